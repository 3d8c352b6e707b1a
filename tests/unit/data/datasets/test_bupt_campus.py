import json
import logging
import re
import shutil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tapetum.data import check_files, read_dataset
from tapetum.data.datasets import _bupt_campus_files as files
from tapetum.data.datasets._base import Remark
from tapetum.data.datasets._numbered_frames import NumberedFrames
from tapetum.data.datasets.bupt_campus import read
from tapetum.errors import DataError
from tapetum.types import Modality

VISIBLE, INFRARED = Modality
QUERY = ["11 RGB CQ1 1", "12 IR W4 1"]


def rows(tracklets):
    return [(t.person_id, t.camera_id, t.modality) for t in tracklets]


def relative(tracklet, root):
    return [frame.removeprefix(f"{root}/") for frame in tracklet.frames]


def test_the_worked_example(bupt_files):
    root = bupt_files.write()
    found = read(root)
    pairs = [(1, "CQ1"), (1, "G25"), (2, "LS3"), (2, "W4")]
    assert rows(found.train) == [(*pair, modality) for pair in pairs for modality in (VISIBLE, INFRARED)]
    assert found.label_ids == (1, 2)
    assert rows(found.query) == [(11, "CQ1", VISIBLE), (12, "W4", INFRARED)]
    test = [(11, "G25"), (12, "LS3")]
    assert rows(found.gallery) == [(*one, modality) for one in test for modality in (INFRARED, VISIBLE)]
    assert [t.tracklet_id for t in found.query] == ["11/RGB/CQ1/1", "12/IR/W4/1"]
    assert relative(found.train[0], root) == [f"DATA/1/RGB/CQ1/1_RGB_CQ1_1_{n}.jpg" for n in (100, 101)]
    assert relative(found.train[1], root) == [f"DATA/1/IR/CQ1/1_IR_CQ1_1_{n}.jpg" for n in (100, 101)]
    assert {t.part for t in found.train} == {"train"}
    assert ({t.part for t in found.query}, {t.part for t in found.gallery}) == ({"query"}, {"gallery"})
    assert (found.name, found.title, found.train.name) == ("bupt-campus", "bupt-campus", "bupt-campus/train")
    assert found.camera_ids == ("CQ1", "G25", "LS3", "W4")
    assert len({t.tracklet_id for t in (*found.train, *found.test)}) == 8 + 2 + 4


def test_directions_have_the_queries_and_galleries_of_the_worked_example(bupt_files):
    found = read(bupt_files.write())
    assert rows(found.query.of_modality(VISIBLE)) == [(11, "CQ1", VISIBLE)]
    assert rows(found.gallery.of_modality(INFRARED)) == [(11, "G25", INFRARED), (12, "LS3", INFRARED)]
    assert rows(found.query.of_modality(INFRARED)) == [(12, "W4", INFRARED)]
    assert rows(found.gallery.of_modality(VISIBLE)) == [(11, "G25", VISIBLE), (12, "LS3", VISIBLE)]


def test_auxiliary_people_train_when_asked_for(bupt_files):
    found = read_dataset(f"bupt-campus:{bupt_files.write()}?auxiliary=true")
    assert rows(found.train)[8:] == [(3, "TSG1", VISIBLE), (3, "TSG1", INFRARED)]
    assert found.label_ids == (1, 2, 3)
    assert found.title == "bupt-campus?auxiliary=true"
    assert found.query.name == "bupt-campus?auxiliary=true/query"


def test_labels_are_sorted_as_numbers_and_auxiliary_people_are_not_needed(bupt_files):
    bupt_files.set_frames(10, "IR", "W4", [1])
    bupt_files.set_frames(10, "RGB", "W4", [1])
    lines = ["10 RGB/IR W4 1", "2 RGB/IR W4 1"]
    assert read(bupt_files.write(train=lines, train_auxiliary=None)).label_ids == (2, 10)


def test_the_root_may_be_the_folder_of_the_pictures(bupt_files):
    root = bupt_files.write()
    bupt_files.draw()
    inside = read(root / "DATA")
    assert inside.root == root
    assert inside.train == read(root).train
    shutil.move(root / "DATA" / "1", root / "1")
    shutil.rmtree(root / "DATA")
    assert relative(read(root).train[0], root)[0] == "1/RGB/CQ1/1_RGB_CQ1_1_100.jpg"


def test_frames_are_found_where_they_are_said_to_be(bupt_files):
    root = bupt_files.write()
    bupt_files.draw()
    found = read(root)
    assert check_files(found) == []
    assert found.notes == ("4 tracklets of data_paths.json are on no list that was read",)


def test_frames_of_consecutive_and_other_numbers_stay_small(bupt_files):
    bupt_files.set_frames(12, "IR", "W4", [5, 9, 6])
    found = read(bupt_files.write())
    assert [type(t.frames) for t in found.test] == [NumberedFrames] * 6
    assert found.query[1].frames.numbers.tolist() == [5, 9, 6]


def test_paths_of_any_other_form_are_taken_as_they_are(bupt_files):
    paths = ["extra/12_7.png", "12.jpeg"]
    bupt_files.tree["12"]["IR"]["W4"]["1"] = paths
    found = read(bupt_files.write())
    assert list(found.query[1].frames) == [f"{found.root}/DATA/{path}" for path in paths]
    (note,) = [note for note in found.notes if "of another name" in note]
    assert note.startswith("1 tracklets")
    assert "first: 12/IR/W4/1" in note


def test_single_frames_are_left_out_when_asked_for(bupt_files):
    bupt_files.set_frames(1, "IR", "CQ1", [100])
    bupt_files.set_frames(2, "RGB", "W4", [8_535])
    bupt_files.set_frames(12, "IR", "W4", [8_535])
    root = bupt_files.write()
    kept, left = read(root), read(root, skip_single_frames=True)
    assert (len(kept.train), len(kept.query)) == (8, 2)
    assert rows(left.train)[:2] == [(1, "G25", VISIBLE), (1, "G25", INFRARED)]
    assert (len(left.train), len(left.query), len(left.gallery)) == (6, 1, 4)
    assert left.label_ids == kept.label_ids
    assert left.title == "bupt-campus?skip_single_frames=true"
    assert "train: 1 tracklets or pairs have a single frame (first: 1/RGB/CQ1/1); kept" in kept.notes
    assert "query: 1 tracklets or pairs have a single frame (first: 12/IR/W4/1); left out" in left.notes
    assert left.counts == kept.counts


def test_generated_frames_stand_for_the_visible_ones(bupt_files):
    bupt_files.tree["11"]["RGB"]["CQ1"]["1"] = ["11/RGB/a/b.png", "11/RGB/RGB/c.png"]
    root = bupt_files.write()
    with pytest.raises(FileNotFoundError, match="FakeIR: no such folder"):
        read(root, fake_infrared=True)
    (root / "DATA" / "1" / "FakeIR").mkdir(parents=True)
    found, plain = read(root, fake_infrared=True), read(root)
    assert relative(found.train[0], root) == [f"DATA/1/FakeIR/CQ1/1_RGB_CQ1_1_{n}.jpg" for n in (100, 101)]
    assert relative(found.query[0], root) == ["DATA/11/FakeIR/a/b.png", "DATA/11/FakeIR/RGB/c.png"]
    assert found.gallery[0] == plain.gallery[0]
    assert [t.tracklet_id for t in found.train] == [t.tracklet_id for t in plain.train]
    assert rows(found.train) == rows(plain.train)
    assert (found.counts, found.notes) == (plain.counts, plain.notes)
    assert found.title == "bupt-campus?fake_infrared=true"


def test_counts_stand_beside_the_published_ones(bupt_files, caplog):
    root = bupt_files.write()
    with caplog.at_level(logging.WARNING):
        counts = {c.what: (c.expected, c.found) for c in read(root, auxiliary=True).counts}
    assert counts["identities in data_paths.json"] == (3_080, 5)
    assert counts["train identities"] == (1_074, 2)
    assert counts["train visible frames"] == (398_069, 8)
    assert counts["train_auxiliary infrared tracklets"] == (930, 1)
    assert counts["query visible tracklets"] == (540, 1)
    assert counts["query infrared tracklets"] == (536, 1)
    assert counts["gallery infrared frames"] == (298_771, 4)
    expected = dict.fromkeys(("train", "train_auxiliary", "query", "gallery"), 0)
    for what, (number, _) in counts.items():
        if what.endswith(" frames"):
            expected[what.split()[0]] += number
    assert expected == {"train": 796_138, "train_auxiliary": 209_150, "query": 101_938, "gallery": 597_542}
    (record,) = caplog.records
    assert "21 of 21 counts differ from the published BUPTCampus" in record.getMessage()
    with pytest.raises(DataError, match="counts differ"):
        read(root, strict=True)
    (root / "walkers.json").write_text("{}")
    caplog.clear()
    assert read(root).counts == ()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda f: f.set_frames(2, "IR", "W4", [8_535]), "1 training pairs .* other lengths or numbers"),
        (lambda f: f.set_frames(2, "IR", "W4", [8_535, 8_537]), r"1 training pairs .*first: 2/RGB/W4/1"),
        (
            lambda f: f.tree["2"]["IR"]["W4"].update({"1": ["a.png"]}),
            "1 tracklets have frames of another name",
        ),
        (lambda f: f.write(query=[*QUERY, "2 RGB LS3 2"]), "1 people are in training and in testing"),
        (lambda f: f.write(query=[*QUERY, "2 RGB LS3 2"]), "1 query people have no tracklet in gallery"),
        (lambda f: f.write(query=QUERY[:1]), r"1 gallery people have no query \(first: 12\)"),
        (lambda f: f.write(query=[*QUERY, "11 IR CQ1 1"]), r"1 people have several queries \(first: 11\)"),
        (lambda f: f.write(train_auxiliary=["2 RGB/IR LS3 2"]), "1 people are in train.txt and in train_aux"),
    ],
)
def test_what_contradicts_the_format_is_noted_or_refused(bupt_files, change, note):
    bupt_files.set_frames(2, "RGB", "LS3", [7, 8], tracklet="2")
    bupt_files.set_frames(2, "IR", "LS3", [7, 8], tracklet="2")
    change(bupt_files)
    root = bupt_files.write()
    (root / "walkers.json").write_text("{}")
    found = read(root, auxiliary=True)
    assert any(re.match(note, one) and not isinstance(one, Remark) for one in found.notes)
    with pytest.raises(DataError, match="BUPTCampus: 1 "):
        read(root, auxiliary=True, strict=True)


def test_a_set_without_contradictions_is_read_strictly(bupt_files):
    root = bupt_files.write()
    (root / "walkers.json").write_text("{}")
    assert read(root, strict=True).notes == (
        f"no folder {root}/DATA/1: where are the pictures?",
        "4 tracklets of data_paths.json are on no list that was read",
    )
    assert [isinstance(note, Remark) for note in read(root).notes] == [False, True]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("train", "1 RGB/IR CQ1", r"train\.txt:2: '1 RGB/IR CQ1'; expected identity, modality, camera"),
        ("train", "", r"train\.txt:2: ''; expected identity"),
        ("train", "one RGB/IR CQ1 1", r"train\.txt:2: .*expected identity"),
        ("train", "-1 RGB/IR CQ1 1", r"train\.txt:2: .*expected identity"),
        ("train", "1 RGB CQ1 1", r"train\.txt:2: unknown modality 'RGB'; expected RGB/IR$"),
        ("query", "11 RGB/IR CQ1 1", r"query\.txt:2: unknown modality 'RGB/IR'; expected RGB or IR"),
        ("gallery", "11 rgb CQ1 1", r"gallery\.txt:2: unknown modality 'rgb'"),
        ("gallery", "11 RGB D1 1", r"gallery\.txt:2: unknown camera 'D1'; expected LS3 or G25 or CQ1"),
        ("query", "99 RGB CQ1 1", r"query\.txt:2: data_paths\.json has no identity '99'"),
        ("query", "11 RGB LS3 1", r"query\.txt:2: data_paths\.json has no camera 'LS3' within 11/RGB"),
        ("query", "11 RGB CQ1 7", r"query\.txt:2: data_paths\.json has no tracklet '7' within 11/RGB/CQ1"),
        ("query", "11 RGB G25 1", r"gallery\.txt:2: tracklet 11/RGB/G25/1 is listed again; .*query\.txt:2"),
        ("train", "1 RGB/IR CQ1 1", r"train\.txt:2: tracklet 1/RGB/CQ1/1 is listed again; .*train\.txt:1"),
    ],
)
def test_a_wrong_line_is_named(bupt_files, name, line, message):
    lines = list(bupt_files.lists[name])
    with pytest.raises(DataError, match=message):
        read(bupt_files.write(**{name: [lines[0], line, *lines[1:]]}))


def test_a_pair_without_its_infrared_half_is_named(bupt_files):
    del bupt_files.tree["2"]["IR"]
    with pytest.raises(DataError, match=r"train\.txt:3: data_paths\.json has no modality 'IR' within 2$"):
        read(bupt_files.write())


@pytest.mark.parametrize("content", [[], ["a", 3], "a", {"frames": []}, None])
def test_a_listed_tracklet_without_a_list_of_paths_is_named(bupt_files, content):
    bupt_files.tree["12"]["IR"]["W4"]["1"] = content
    with pytest.raises(DataError, match=r"query\.txt:2: data_paths\.json has no list of paths for 12/IR"):
        read(bupt_files.write())
    bupt_files.write(query=QUERY[:1])
    assert len(read(bupt_files.root).query) == 1, "it matters only where a list names it"


@pytest.mark.parametrize("name", ["train", "train_auxiliary", "query", "gallery"])
def test_a_missing_or_empty_list_is_named(bupt_files, name):
    root = bupt_files.write()
    (root / f"{name}.txt").write_text("\n")
    with pytest.raises(DataError, match=rf"{name}\.txt: the file is empty; expected identity"):
        read(root, auxiliary=True)
    (root / f"{name}.txt").write_bytes(b"\xff\xfe1")
    with pytest.raises(DataError, match=rf"{name}\.txt: no text"):
        read(root, auxiliary=True)
    (root / f"{name}.txt").unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}\.txt: no such file"):
        read(root, auxiliary=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no JSON file of tracklets"),
        (b'{"1": ', "no JSON file of tracklets: .*line 1"),
        (b"\xff\xfe\xfd", "no JSON file of tracklets"),
        (b"[" * 100_000, "no JSON file of tracklets"),
        (b'{"1": {}, "1": {}}', "the key '1' stands twice in one object"),
        (b"[]", r"data_paths\.json: list; expected an object of identities"),
        (b"3", r"data_paths\.json: int; expected an object"),
        (b"{}", r"train\.txt:1: data_paths\.json has no identity '1'$"),
        (b'{"1": 5}', r"train\.txt:1: data_paths\.json has no modality 'RGB' within 1$"),
    ],
)
def test_a_damaged_json_file_is_named(bupt_files, content, message):
    root = bupt_files.write()
    (root / "data_paths.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(root)


def test_a_missing_root_or_json_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; expected the root of BUPTCampus"):
        read(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"data_paths\.json: no such file; expected the root"):
        read(tmp_path)
    (tmp_path / "train_ir.lmdb").mkdir()
    with pytest.raises(FileNotFoundError, match=r"if you trust them, give bupt-campus:.*\?lmdb=true"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"auxiliary": "yes"}, "auxiliary must be true or false, found 'yes'"),
        ({"lmdb": 1}, "lmdb must be true or false, found 1"),
        ({"lmdb": True, "auxiliary": True}, "auxiliary=true does not go with lmdb=true"),
        ({"lmdb": True, "fake_infrared": True}, "fake_infrared=true does not go with lmdb=true"),
    ],
)
def test_options_that_make_no_sense_are_refused(bupt_files, options, message):
    with pytest.raises(ValueError, match=message):
        read(bupt_files.write(), **options)


def test_pictures_are_opened_by_nobody(bupt_files, monkeypatch):
    root = bupt_files.write()
    bupt_files.draw()
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("a picture was opened"))
    assert len(read(root, auxiliary=True).train) == 10


no_fixture_check = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80
)
LINES = st.lists(
    st.tuples(
        st.integers(0, 10**9 - 1).map(str),
        st.sampled_from(["RGB", "IR"]),
        st.sampled_from(files.CAMERAS),
        st.text("abc123_", min_size=1, max_size=5),
    ),
    min_size=1,
)


@no_fixture_check
@given(LINES, st.sampled_from(["\n", "\r\n", "  \n"]), st.sampled_from([" ", "  ", "\t"]), st.integers(0, 3))
def test_any_valid_list_reads_back(tmp_path, lines, end, blank, empty):
    path = tmp_path / "list.txt"
    path.write_text(end.join(blank.join(line) for line in lines) + "\n" * empty, newline="")
    found = files.read_list(path, ("RGB", "IR"))
    assert [(one.person, one.modality, one.camera, one.tracklet) for one in found] == lines
    assert [one.place for one in found] == [f"{path}:{n}" for n in range(1, len(lines) + 1)]


@no_fixture_check
@given(st.text("019RGBI/ LS3TW4\n\r\té\x00", max_size=60) | st.binary(max_size=40))
def test_garbage_in_a_list_is_an_error_with_file_and_line_or_four_known_fields(tmp_path, garbage):
    path = tmp_path / "list.txt"
    path.write_bytes(garbage.encode() if isinstance(garbage, str) else garbage)
    found, message = outcome(lambda: files.read_list(path, ("RGB", "IR")))
    assert found or f"{path}:" in message
    assert all(one.camera in files.CAMERAS and one.person.isdecimal() for one in found or ())


ENDING = st.sampled_from([".jpg", ".png", ""])
PATH = st.tuples(st.text("12/_aRé", max_size=8), st.integers(0, 3 * 10**9), ENDING)


@no_fixture_check
@given(st.lists(PATH.map(lambda parts: "{}{}{}".format(*parts)), min_size=1, max_size=6))
@example(["1/a_1.jpg", "1/a_01.jpg"])
@example(["1/a_007.jpg"])
@example(["1/a_1.jpg", "1/a_-2.jpg"])
@example(["1/a_1.jpg", "1/a_ 2.jpg"])
@example(["1/a_1_1.jpg", "1/a_1_2.jpg"])
@example(["1/a_9.jpg", "1/a_10.jpg"])
@example(["1/a_99.jpg", "1/a_5.jpg"])
@example(["1/a_1.jpg", "2/a_2.jpg"])
@example(["/1.jpg"])
def test_paths_kept_as_numbers_are_the_same_paths(paths):
    assert list(files.numbered_frames(paths)) == paths


@no_fixture_check
@given(st.integers(0, 10**6), st.integers(1, 50), st.booleans())
def test_numbered_paths_are_kept_as_numbers(first, count, backwards):
    numbers = range(first, first + count)[:: -1 if backwards else 1]
    paths = [f"1/RGB/W4/1_RGB_W4_1_{number}.jpg" for number in numbers]
    found = files.numbered_frames(paths)
    assert isinstance(found, NumberedFrames)
    assert (found.folder, found.name, found.numbers.tolist()) == ("1/RGB/W4", "1_RGB_W4_1_", list(numbers))


JSON = st.recursive(
    st.none() | st.integers() | st.text("ab/_1.jpg", max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["11", "RGB", "IR", "CQ1", "1"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@no_fixture_check
@given(JSON)
@example({"11": {"RGB": {"CQ1": {"1": ["11/RGB/CQ1/11_RGB_CQ1_1_5.jpg"]}}}})
def test_any_json_gives_frames_or_an_error_that_names_the_line(tmp_path, content):
    path = tmp_path / "data_paths.json"
    path.write_text(json.dumps(content))
    line = files.Listed("query.txt:1", "11", "RGB", "CQ1", "1")
    frames, message = outcome(lambda: files.DataPaths(path, tmp_path).frames(line, "RGB"))
    if frames is None:
        assert message.startswith((f"{path}: ", "query.txt:1: data_paths.json has no "))
    else:
        assert list(frames) == [f"{tmp_path}/{found}" for found in content["11"]["RGB"]["CQ1"]["1"]]


def outcome(work):
    """What `work` answers, or None and the message of its DataError."""
    try:
        return work(), ""
    except DataError as error:
        return None, str(error)
