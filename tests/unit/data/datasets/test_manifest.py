"""Manifests written by hand; pictures exist only where pixels or folders are looked at."""

import csv
import pickle
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tapetum.data.datasets import Remark, read_dataset
from tapetum.data.datasets._manifest_table import ManifestError
from tapetum.data.datasets.manifest import read
from tapetum.errors import DataError
from tapetum.types import Modality


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="manifest.csv"):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / name

    return to_file


def lines(*rows):
    return "".join(f"{row}\n" for row in rows)


def picture(path, modality):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 200, (32, 16, 1 if modality == "infrared" else 3))
    Image.fromarray(np.broadcast_to(pixels, (32, 16, 3)).astype(np.uint8)).save(path)


def whole(data):
    """All tracklets by id."""
    return {t.tracklet_id: t for t in (*data.train, *data.test)}


def test_frames_become_tracklets(write, tmp_path):
    file = write(
        lines(
            "path,person_id,camera_id,modality,tracklet_id,frame,time,split",
            "a/10.jpg,7,D1,rgb,t1,10,12.5,train",
            "a/9.jpg,7,D1,RGB,t1,9,12.0,train",
            "b.jpg,9,D2,nir,t2,1,3,test",
            "/elsewhere/c.jpg,9,D1,vis,t3,1,4,test",
            "d.jpg,8,D3,thermal,t4,1,,query",
            "e.jpg,8,D3,thermal,t5,1,,gallery",
        )
    )
    data = read(file)
    assert [t.tracklet_id for t in data.train] == ["t1"]
    assert [t.tracklet_id for t in data.query] == ["t2", "t4"]
    assert [t.tracklet_id for t in data.gallery] == ["t3", "t5"]
    first = data.train[0]
    assert first.frames == (f"{tmp_path}/a/9.jpg", f"{tmp_path}/a/10.jpg")
    assert (first.person_id, first.camera_id, first.modality) == (7, "D1", Modality.VISIBLE)
    assert (first.time, first.part) == (12.0, "train")
    assert whole(data)["t3"].frames == ("/elsewhere/c.jpg",)
    assert whole(data)["t4"].time is None
    assert (data.name, data.root, data.variant, data.label_ids) == ("manifest", tmp_path, "", (7,))
    assert data.train.name == "manifest/train"


def test_an_image_without_a_tracklet_is_one_of_its_own(write):
    data = read(write(lines("path,modality", "x/b.jpg,ir", "x/a.jpg,rgb")))
    assert [(t.tracklet_id, len(t.frames)) for t in data.gallery] == [("x/b.jpg", 1), ("x/a.jpg", 1)]
    assert not data.train
    assert not data.query
    assert data.variant == ""  # nobody is known, so nobody was drawn


def test_a_folder_is_a_tracklet_in_natural_order(write, tmp_path):
    for name in ("p1/9.png", "p1/10.png", "p1/.hidden.png", "p1/notes.txt", "p2/1.png"):
        picture(tmp_path / name, "visible") if name.endswith("png") else (tmp_path / name).write_text("")
    data = read(write(lines("folder,modality,tracklet_id", "p1,ir,first", "p2,ir,")))
    assert [t.tracklet_id for t in data.gallery] == ["first", "p2"]
    assert [f.rpartition("/")[2] for f in data.gallery[0].frames] == ["9.png", "10.png"]
    assert data.gallery[0].frames[0] == str(tmp_path / "p1" / "9.png")


@pytest.mark.parametrize(
    ("rows", "order"),
    [
        (["c,f10,9", "b,f9,1", "a,f8,2"], "abc"),  # the numbers in texts
        (["c,1e1,9", "b,-2,1", "a,2.5,2"], "bac"),  # numbers as such
        (["c,,3", "b,,1", "a,,2"], "bac"),  # by time
        (["c,,3", "b,,", "a,,2"], "cba"),  # as in the file, for a time is missing
        (["c,,3", "b,,3", "a,,2"], "acb"),  # equal times: as in the file
    ],
)
def test_frames_are_ordered_by_number_else_time_else_row(write, rows, order):
    file = write(lines("path,frame,time,modality,tracklet_id", *(f"{row},ir,t" for row in rows)))
    assert [f[-1] for f in read(file).gallery[0].frames] == list(order)


@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (["1", "007", "-1", ""], [1, 7, -1, None]),
        (["1", "a", "", "02"], ["1", "a", None, "02"]),
        (["1.0", "2", " 3 ", ""], ["1.0", "2", "3", None]),
    ],
)
def test_ids_are_integers_where_all_are(write, texts, ids):
    rows = [f"{i}.jpg,ir,{text},{text}" for i, text in enumerate(texts)]
    data = read(write(lines("path,modality,person_id,camera_id", *rows)), test_share=1)
    found = whole(data)
    assert [found[f"{i}.jpg"].person_id for i in range(len(ids))] == ids
    assert [found[f"{i}.jpg"].camera_id for i in range(len(ids))] == ids


def test_spellings_of_one_number_are_noted(write):
    data = read(write(lines("path,modality,person_id,split", "a,ir,7,test", "b,ir,07,test")))
    assert "person_id '07' is the same whole number as another spelling of it" in data.notes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86400.0),
        ("1970-01-01T01:00:00Z", 3600.0),
        ("1970-01-01 02:00:00.5+02:00", 0.5),
        ("19700101T000100", 60.0),
        ("-3", -3.0),
        ("1.5e3", 1500.0),
    ],
)
def test_times_are_seconds(write, text, seconds):
    data = read(write(lines("path,modality,time", f"a,ir,{text}")))
    assert data.gallery[0].time == seconds
    assert any("name no zone" in note for note in data.notes) == (text in ("1970-01-02", "19700101T000100"))


def test_csv_and_parquet_say_the_same(write, tmp_path):
    names = ["path", "person_id", "camera_id", "modality", "tracklet_id", "frame", "time", "split"]
    rows = [
        ("a,b.jpg", "3", "1", "visible", 'the "first"', "2", "1.5", "train"),
        ("c.jpg", "3", "1", "visible", 'the "first"', "1", "0.5", "train"),
        ("ü d.jpg", "4", "2", "infrared", "ß", "1", "", "test"),
        ("e.jpg", "", "2", "infrared", "", "1", "", "test"),
    ]
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    texts = {name: pa.array([v or None for v in values]) for name, values in columns.items()}
    typed = {
        **texts,
        "person_id": pa.array([3.0, 3.0, 4.0, float("nan")]),
        "camera_id": pa.array([1, 1, 2, 2], pa.int8()),
        "modality": texts["modality"].dictionary_encode(),
        "frame": pa.array([2.0, 1.0, 1.0, 1.0], pa.float32()),
        "time": pa.array([1.5, 0.5, None, None]),
    }
    pq.write_table(pa.table(texts), tmp_path / "texts.parquet")
    pq.write_table(pa.table(typed), tmp_path / "typed.parquet")
    expected = read(tmp_path / "manifest.csv")
    assert [t.frames[0].rpartition("/")[2] for t in expected.train] == ["c.jpg"]
    assert [(t.tracklet_id, t.person_id) for t in expected.gallery] == [("e.jpg", None)]
    for name in ("texts.parquet", "typed.parquet"):
        found = read(tmp_path / name)
        assert (found.train, found.query, found.gallery) == (expected.train, expected.query, expected.gallery)


def test_times_of_parquet_columns(tmp_path):
    noon = datetime(1970, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    for values, seconds in (
        (pa.array([noon]), 36000.0),
        (pa.array([datetime(1970, 1, 1, 1, tzinfo=UTC)], pa.timestamp("ns", "UTC")), 3600.0),
        (pa.array([date(1970, 1, 2)]), 86400.0),
        (pa.array([60], pa.int16()), 60.0),
    ):
        table = pa.table({"path": ["a.jpg"], "modality": ["ir"], "time": values})
        pq.write_table(table, tmp_path / "manifest.parquet")
        assert read(tmp_path / "manifest.parquet").gallery[0].time == seconds


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_marks_between_columns_and_a_byte_order_mark(write, mark):
    text = lines("Path, Modality ,tracklet_id", "", "a.jpg,ir,x", "", "b.jpg,ir,x").replace(",", mark)
    data = read(write(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()))
    assert [(t.tracklet_id, len(t.frames)) for t in data.gallery] == [("x", 2)]


HEAD = "path,person_id,camera_id,modality,tracklet_id,frame,time,split"


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        (
            ["a,1,1,rgb,t,1,,", "", "b,2,1,rgb,t,2,,"],
            [":4: tracklet 't' has person_id 2 here and 1 in line 2"],
        ),
        (
            ["a,,1,rgb,t,1,,", "b,2,1,rgb,t,2,,"],
            [":3: tracklet 't' has person_id 2 here and unknown in line 2"],
        ),
        (["a,1,1,rgb,t,1,,", "b,1,2,rgb,t,2,,"], [":3: tracklet 't' has camera_id 2 here and 1 in line 2"]),
        (
            ["a,1,1,rgb,t,1,,", "b,1,1,ir,t,2,,"],
            [":3: tracklet 't' has modality infrared here and visible in"],
        ),
        (
            ["a,1,1,rgb,t,1,,train", "b,1,1,rgb,t,2,,"],
            [":3: tracklet 't' has split unknown here and train in"],
        ),
        (
            ["a,1,1,rgb,t,1,,", "b,1,1,rgb,t,1,,"],
            [":3: frame '1' of tracklet 't' is listed already, in line 2"],
        ),
        (
            ["a,1,1,rgb,t,1,,", "a,1,1,rgb,t,2,,"],
            [":3: path 'a' of tracklet 't' is listed already, in line 2"],
        ),
        (["a,1,1,rgb,,,,", "a,1,1,rgb,,,,"], [":3: path 'a' of tracklet 'a' is listed already, in line 2"]),
        (["a,1,1,rgb,t,1,,", "b,1,1,rgb,t,,,"], [":3: no frame number, but other rows of tracklet 't' have"]),
        (
            ["a,1,1,rgb,,,,", "b,1,1,rgb,a,,,"],
            [":3: 'a' is the tracklet_id of one row and the path of another"],
        ),
        ([",1,1,rgb,t,1,,"], [":2: path is empty"]),
        (["a,1,1,uv,t,1,,"], [":2: unknown modality 'uv'; expected one of visible, vis, rgb,"]),
        (
            ["a,1,1,rgb,t,1,,tset"],
            [":2: unknown split 'tset'; expected one of train, query, gallery, test, or"],
        ),
        (["a,,1,rgb,t,1,,train"], [":2: split is train, but person_id is empty"]),
        (
            ["a,1,1,rgb,t,1,soon,"],
            [":2: time 'soon'; expected seconds, or a date such as 2024-05-31T18:04:05"],
        ),
        (["a,1,1,rgb,t,1,inf,"], [":2: time 'inf'"]),
        (
            ["a,1,1,rgb,t,1,5,", "b,1,1,rgb,t,2,2024-05-31,"],
            [":3: time '2024-05-31' does not go with '5' in line 2; expected seconds everywhere, or dates"],
        ),
        (["a,1,1,uv,t,1,,", "b,1,1,rgb,u,1,,", "c,1,1,uv,v,1,,"], [":2: unknown modality 'uv'", "in line 4"]),
        (
            ["a,1,1,uv,t,1,,", "b,1,1,rgb,u,1,,x", ",1,1,rgb,v,1,,"],
            [":2: unknown m", ":3: unkn", ":4: path is"],
        ),
        (["a,1,1,rgb,t,1", "b,1,1,rgb,t,2,,,,"], [":2: 6 columns; expected 8", ":3: 10 columns; expected 8"]),
        (['"a\nb",1,1,rgb,t,1,,', "c,1,1,uv,u,1,,"], [":4: unknown modality 'uv'"]),  # lines, not records
    ],
)
def test_rows_that_cannot_be_are_named(write, rows, messages):
    file = write(lines(HEAD, *rows))
    with pytest.raises(ManifestError) as caught:
        read(file)
    text = str(caught.value)
    assert all(message in text for message in messages), text
    assert text.startswith(f"{file}:")
    assert all(problem.startswith(f"{file}:") for problem in caught.value.problems)


def test_rows_of_parquet_are_named_by_number(tmp_path):
    table = pa.table({"path": ["a", "b"], "modality": ["ir", "uv"]})
    pq.write_table(table, tmp_path / "manifest.parquet")
    with pytest.raises(DataError, match=r"manifest\.parquet: row 2: unknown modality 'uv'"):
        read(tmp_path / "manifest.parquet")


def test_a_long_list_of_problems_is_cut_in_the_message_only(write):
    file = write(lines("path,modality", *(f"{i}.jpg,m{i}" for i in range(50))))
    with pytest.raises(ManifestError) as caught:
        read(file)
    assert len(caught.value.problems) == 50
    assert str(caught.value).endswith("and 30 more problems")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("path\n", "no rows"),
        ("file,x\na,b\n", "has no column path or folder; found file, x"),
        ("path,folder,modality\na,b,ir\n", "has both path and folder"),
        ("path,Path\na,b\n", "column 'path' occurs 2 times"),
        ("video,track\na.mp4,3\n", "video comes with cropping, which this version does not have"),
        (b"path\n\xff\xfe.jpg\n", "cannot be read"),
    ],
)
def test_files_that_are_no_manifest_are_refused(write, text, message):
    file = write(text)
    with pytest.raises(DataError, match=message) as caught:
        read(file)
    assert str(file) in str(caught.value)


def test_places_that_are_no_manifest_are_refused(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv: no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"holds no manifest\.csv or manifest\.parquet"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"expected a file that ends in \.csv or \.parquet"):
        read(write("path\n", "list.txt"))
    write("no parquet", "manifest.parquet")
    with pytest.raises(DataError, match=r"manifest\.parquet: cannot be read"):
        read(tmp_path)
    write("path,modality\na,ir\n")
    with pytest.raises(DataError, match=r"holds both manifest\.csv and manifest\.parquet"):
        read(tmp_path)
    (tmp_path / "manifest.parquet").unlink()
    assert len(read(tmp_path).gallery) == 1
    pq.write_table(pa.table({"path": [True]}), tmp_path / "odd.parquet")
    with pytest.raises(DataError, match="column 'path' is of type bool"):
        read(tmp_path / "odd.parquet")


def test_folders_that_hold_no_tracklet_are_named(write, tmp_path):
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "full" / "1.png", "visible")
    file = write(lines("folder,modality", "full,ir", "none,ir", "empty,ir", ",ir", "full,ir"))
    with pytest.raises(ManifestError) as caught:
        read(file)
    assert [p.removeprefix(str(file)).partition(";")[0] for p in caught.value.problems] == [
        f":3: {tmp_path}/none: No such file or directory",
        f":4: {tmp_path}/empty: no image in this folder",
        ":5: folder is empty",
        ":6: tracklet 'full' is listed already, in line 2",
    ]


def test_the_modality_is_decided_from_pixels_where_it_is_auto(write, tmp_path):
    for name, modality in (("a/1.png", "infrared"), ("a/2.png", "infrared"), ("b.png", "visible")):
        picture(tmp_path / name, modality)
    rows = ("a/1.png,t,auto", "a/2.png,t,Auto", "b.png,,", "none.png,,ir")
    data = read(write(lines("path,tracklet_id,modality", *rows)))
    assert {name: t.modality.value for name, t in whole(data).items()} == {
        "t": "infrared",
        "b.png": "visible",
        "none.png": "infrared",
    }
    assert "the modality of 2 tracklets was decided from pixels, anew with each reading" in data.notes
    file = write(lines("path", "b.png", "none.png", "gone.png"))
    with pytest.raises(ManifestError) as caught:
        read(file)
    assert len(caught.value.problems) == 2
    assert f":3: modality cannot be decided: {tmp_path}/none.png: cannot read" in str(caught.value)


def test_uncertain_modalities_are_noted_also_when_decided_earlier(write):
    file = write(lines("path,modality,modality_certainty", "a,ir,0.4", "b,rgb,0.95", "c,rgb,", "d,ir,.2"))
    (note,) = read(file).notes[1:]
    assert note.startswith("the modality of 2 tracklets was decided with a certainty under 0.9")
    assert "d with 0.20" in note
    with pytest.raises(DataError, match="modality_certainty is '2'; expected a number from 0 to 1"):
        read(write(lines("path,modality,modality_certainty", "a,ir,2")))


def people(count, *, visible=(), infrared=()):
    """Rows of people seen in both modalities, but for some seen in one."""
    rows = []
    for person in range(count):
        rows += [f"v{person}.jpg,{person},rgb"] * (person not in infrared)
        rows += [f"i{person}.jpg,{person},ir"] * (person not in visible)
    return lines("path,person_id,modality", *rows, "x.jpg,,ir", "y.jpg,,rgb")


def test_without_a_split_people_are_divided_at_random(write, tmp_path):
    file = write(people(12, visible={8, 9}, infrared={10, 11}))
    data = read(file, test_share=0.25, seed=3)
    trained, tested = set(data.train.person_ids), set(data.test.person_ids)
    assert trained | tested == set(range(12))
    assert not trained & tested
    assert (len(tested & set(range(8))), len(tested - set(range(8)))) == (2, 1)
    assert {t.modality for t in data.query} == {Modality.INFRARED}
    assert {"x.jpg", "y.jpg"} <= {t.tracklet_id for t in data.gallery}
    assert data.variant == "test_share=0.25&seed=3"
    assert data.test.name == "manifest?test_share=0.25&seed=3/test"
    again = read_dataset(f"manifest:{file}?test_share=0.25&seed=3")
    assert again.train == data.train
    assert read(file).variant == "test_share=0.5&seed=0"
    drawn = {tuple(read(file, seed=seed).train.person_ids) for seed in range(8)}
    assert len(drawn) > 4
    assert pickle.loads(pickle.dumps(data)) == data


def test_options_that_would_change_nothing_or_are_out_of_range_are_refused(write):
    file = write(lines("path,modality,person_id,split", "a,ir,1,test", "b,rgb,2,train"))
    for options in ({"seed": 1}, {"test_share": 0.5}):
        with pytest.raises(ValueError, match="has a split of its own"):
            read(file, **options)
    with pytest.raises(ValueError, match="test_share is 2"):
        read(write(people(2)), test_share=2)
    with pytest.raises(ValueError, match="unknown option of manifest 'sed'; did you mean 'seed'"):
        read_dataset(f"manifest:{file}?sed=1")


def test_oddities_are_noted_and_harmless_ones_are_remarks(write):
    rows = ("a,ir,1,train,x,,", "../b,rgb,,test,x,,", "c,rgb,1,,x,,")
    data = read(write(lines("path,modality,person_id,split,weather,camera,video", *rows)))
    remarks = {str(note) for note in data.notes if isinstance(note, Remark)}
    assert remarks == {
        "column 'weather' is not looked at",
        "column 'video' is not looked at beside 'path'",
        "1 different paths lead out of the manifest's folder; that is allowed",
        "1 tracklets are of unknown people",
    }
    assert [note for note in data.notes if not isinstance(note, Remark)] == [
        "column 'camera' is not looked at; did you mean 'camera_id'?",
        "1 tracklets have no split where others have one; they are in the gallery",
    ]
    assert whole(data)["c"].part == "gallery"


def test_test_tracklets_of_unknown_people_are_no_queries(write):
    data = read(write(lines("path,modality,person_id,split", "a,ir,,test", "b,ir,1,test", "c,ir,,query")))
    assert [t.tracklet_id for t in data.gallery] == ["a"]
    assert [t.tracklet_id for t in data.query] == ["b", "c"]
