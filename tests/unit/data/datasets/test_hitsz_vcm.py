import logging
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tapetum.data import check_files, dataset_names, read_clip, read_dataset
from tapetum.data.datasets import _hitsz_vcm_files as files
from tapetum.data.datasets.hitsz_vcm import NumberedFrames, read
from tapetum.errors import DataError
from tapetum.types import Modality

TRAIN_NAMES = [
    f"{code}F{frame}"
    for code, frames in (
        ("0001M2D1T1", (1, 6, 11)),
        ("0001M1D2T1", (1, 6, 11)),
        ("0004M2D3T1", (1, 6, 11)),
        ("0004M1D4T1", (21, 26, 31)),
    )
    for frame in frames
]
TRAIN_TRACKS = ["2 1 3 1 1", "1 4 6 1 2", "2 7 9 4 3", "1 10 12 4 4"]
TEST_NAMES = [
    f"{code}F{frame}"
    for code, frames in (
        ("0503M2D1T1", (1, 6)),
        ("0503M2D1T2", (11, 16)),
        ("0503M1D2T1", (1, 6)),
        ("0506M2D5T1", (1, 6)),
        ("0506M1D4T1", (1, 6)),
    )
    for frame in frames
]
TEST_TRACKS = ["2 1 2 503 1", "2 3 4 503 1", "1 5 6 503 2", "2 7 8 506 5", "1 9 10 506 4"]


def write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))


def write_info(root, **changes):
    """Write the worked example's info files; `changes` replaces the lines of some."""
    lines = {
        "train_name": [f"{name}.jpg" for name in TRAIN_NAMES],
        "track_train_info": TRAIN_TRACKS,
        "test_name": [f"{name}.jpg" for name in TEST_NAMES],
        "track_test_info": TEST_TRACKS,
        "query_IDX": ["3 5"],
    }
    (root / "info").mkdir(parents=True)
    for name, content in (lines | changes).items():
        if content is not None:
            write_lines(root / "info" / f"{name}.txt", content)
    return root


def colour(name):
    """The colour that the picture of a coded name is painted in."""
    return np.random.default_rng(list(name.encode())).integers(0, 256, 3, dtype=np.uint8)


def write_pictures(root, train="Train", test="Test"):
    for folder, names in ((train, TRAIN_NAMES), (test, TEST_NAMES)):
        for name in names:
            person, camera = name[:4], name[name.index("D") + 1 : name.index("T")]
            modality = "ir" if name[5] == "1" else "rgb"
            path = root / folder / person / modality / f"D{camera}" / f"{name[name.index('F') + 1 :]}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((16, 8, 3), colour(name))).save(path, quality=95)


@pytest.fixture(scope="module")
def example_root(tmp_path_factory):
    root = write_info(tmp_path_factory.mktemp("vcm"))
    write_pictures(root)
    return root


def relative(tracklet, root):
    return [path.removeprefix(f"{root.as_posix()}/") for path in tracklet.frames]


def test_the_training_half_of_the_worked_example(example_root):
    found = read(example_root, min_frames=3)
    assert found.label_ids == (1, 4)
    assert [(relative(t, example_root), t.modality, t.person_id, t.camera_id) for t in found.train] == [
        ([f"Train/0001/rgb/D1/{i}.jpg" for i in (1, 6, 11)], Modality.VISIBLE, 1, 1),
        ([f"Train/0001/ir/D2/{i}.jpg" for i in (1, 6, 11)], Modality.INFRARED, 1, 2),
        ([f"Train/0004/rgb/D3/{i}.jpg" for i in (1, 6, 11)], Modality.VISIBLE, 4, 3),
        ([f"Train/0004/ir/D4/{i}.jpg" for i in (21, 26, 31)], Modality.INFRARED, 4, 4),
    ]
    assert {t.part for t in found.train} == {"train"}
    assert found.camera_ids == (1, 2, 3, 4)


def test_the_test_half_of_the_worked_example(example_root):
    found = read(example_root, min_frames=2)
    assert [t.tracklet_id for t in found.query] == ["test/0503M1D2T1", "test/0506M1D4T1"]
    assert [t.tracklet_id for t in found.gallery] == ["test/0503M2D1T1", "test/0503M2D1T2", "test/0506M2D5T1"]
    assert [relative(t, example_root) for t in found.gallery[:2]] == [
        ["Test/0503/rgb/D1/1.jpg", "Test/0503/rgb/D1/6.jpg"],
        ["Test/0503/rgb/D1/11.jpg", "Test/0503/rgb/D1/16.jpg"],
    ]
    assert [t.time for t in found.gallery] == [1 / 25, 11 / 25, 1 / 25]
    assert {t.part for t in found.query} == {"query"}
    assert {t.part for t in found.gallery} == {"gallery"}
    assert found.notes == ()


def test_every_frame_is_the_picture_of_its_name(example_root):
    found = read(example_root, min_frames=2)
    assert check_files(found) == []
    frames = [read_clip(t.frames, range(len(t.frames)), 16, 8)[:, :, 8, 4] for t in found.train]
    expected = np.stack([colour(name) for name in TRAIN_NAMES])
    assert np.abs(np.concatenate(frames).astype(int) - expected).max() <= 4


def test_the_format_is_found_by_name(example_root):
    assert "hitsz-vcm" in dataset_names()
    assert len(read_dataset(f"hitsz-vcm:{example_root}", min_frames=2).test) == 5


def test_short_tracklets_are_dropped_everywhere_but_keep_their_label(example_root):
    found = read(example_root)
    assert (len(found.train), len(found.query), len(found.gallery)) == (0, 0, 0)
    assert found.label_ids == (1, 4)
    assert found.notes == ("9 of 9 tracklets have fewer than 12 frames; dropped",)
    assert len(read(example_root, min_frames=3).test) == 0


@pytest.mark.parametrize("layout", [("Train", "Test"), ("Train/Train", "Test/Test"), ("", "")])
def test_pictures_are_found_in_each_layout(tmp_path, layout):
    root = write_info(tmp_path)
    write_pictures(root, *layout)
    found = read(root, min_frames=2)
    assert check_files(found) == []
    assert found.notes == ()


def test_missing_pictures_are_noted_not_raised(tmp_path):
    found = read(write_info(tmp_path), min_frames=2)
    assert len(found.notes) == 2
    assert found.notes[0].startswith(f"train: no folder of an identity found in {tmp_path / 'Train'}")
    assert len(check_files(found.train, decode=False)) == 12


def test_a_missing_picture_is_named_when_needed(tmp_path):
    root = write_info(tmp_path)
    write_pictures(root)
    (root / "Train/0004/ir/D4/26.jpg").unlink()
    found = read(root, min_frames=2)
    (problem,) = check_files(found.train)
    assert problem.path.endswith("Train/0004/ir/D4/26.jpg")
    with pytest.raises(DataError, match=r"0004/ir/D4/26\.jpg"):
        read_clip(found.train[3].frames, [1], 16, 8)


FOREIGN = {
    # row 1 ends in another person's frame, row 3 begins with another modality's, row 4 with another camera's
    "train_name": [
        "0001M2D1T1F1.jpg",
        "0001M2D1T1F6.jpg",
        "0004M2D1T1F11.jpg",
        *[f"{name}.jpg" for name in TRAIN_NAMES[3:6]],
        "0004M1D3T7F1.jpg",
        *[f"{name}.jpg" for name in TRAIN_NAMES[7:9]],
        "0004M1D6T1F21.jpg",
        *[f"{name}.jpg" for name in TRAIN_NAMES[10:]],
    ]
}


def test_foreign_frames_stay_where_their_name_says_and_are_reported(tmp_path):
    found = read(write_info(tmp_path, **FOREIGN), min_frames=3)
    assert relative(found.train[0], tmp_path)[2] == "Train/0004/rgb/D1/11.jpg"
    assert relative(found.train[2], tmp_path)[0] == "Train/0004/ir/D3/1.jpg"
    assert relative(found.train[3], tmp_path)[0] == "Train/0004/ir/D6/21.jpg"
    assert [(t.person_id, t.camera_id) for t in found.train] == [(1, 1), (1, 2), (4, 3), (4, 4)]
    (note,) = [n for n in found.notes if "another" in n]
    assert note.startswith("train: 3 frames in 3 tracklets are of another identity, modality or camera")
    assert "first in row 1" in note
    assert note.endswith("kept, as in published results")


def test_foreign_frames_can_be_dropped(tmp_path):
    found = read(write_info(tmp_path, **FOREIGN), min_frames=2, drop_foreign=True)
    assert [len(t.frames) for t in found.train] == [2, 3, 2, 2]
    assert relative(found.train[2], tmp_path) == ["Train/0004/rgb/D3/6.jpg", "Train/0004/rgb/D3/11.jpg"]
    assert found.train[2].tracklet_id == "train/0004M2D3T1"
    assert found.train[2].time == 6 / 25
    assert any(n.endswith("; dropped") and "3 frames" in n for n in found.notes)
    assert [len(t.frames) for t in read(tmp_path, min_frames=3, drop_foreign=True).train] == [3]


def test_a_row_of_foreign_frames_alone_is_dropped_with_the_short_ones(tmp_path):
    wrong = [TRAIN_TRACKS[0], "1 4 6 4 2", *TRAIN_TRACKS[2:]]
    root = write_info(tmp_path, track_train_info=wrong)
    assert len(read(root, min_frames=1, drop_foreign=True).train) == 3
    kept = read(root, min_frames=1).train[1]
    assert kept.person_id == 4
    assert relative(kept, root)[0] == "Train/0001/ir/D2/1.jpg"


def test_strict_names_the_first_foreign_frame(tmp_path):
    with pytest.raises(DataError, match=r"track_train_info\.txt:1: .*0001M2D1.*line 3 .*0004M2D1"):
        read(write_info(tmp_path, **FOREIGN), min_frames=2, strict=True)


def test_rows_with_the_same_codes_get_different_ids(tmp_path):
    split = ["2 1 1 1 1", "2 2 3 1 1", *TRAIN_TRACKS[1:]]
    found = read(write_info(tmp_path, track_train_info=split), min_frames=1)
    assert [t.tracklet_id for t in found.train[:3]] == [
        "train/0001M2D1T1",
        "train/0001M2D1T1#2",
        "train/0001M1D2T1",
    ]


def test_rows_that_join_tracklets_are_noted(tmp_path):
    joined = ["2 1 4 503 1", *TEST_TRACKS[2:]]
    found = read(write_info(tmp_path, track_test_info=joined, query_IDX=["2 4"]), min_frames=2)
    assert "test: 1 rows join several coded tracklets (first: 1); kept" in found.notes


def test_oddities_of_the_query_list_are_noted(tmp_path):
    found = read(write_info(tmp_path, query_IDX=["3 1", "3"]), min_frames=2)
    assert [t.tracklet_id for t in found.query] == ["test/0503M2D1T1", "test/0503M1D2T1"]
    assert {
        "test: 1 query rows are visible",
        "test: 1 infrared rows are no queries and so in the gallery",
        "test: 1 query rows are listed again",
    } <= set(found.notes)


def test_counts_stand_beside_the_published_ones(example_root, caplog):
    with caplog.at_level(logging.WARNING):
        counts = {c.what: (c.expected, c.found) for c in read(example_root).counts}
    assert counts["training identities"] == (500, 2)
    assert counts["training frames"] == (232_496, 12)
    assert counts["test tracklets"] == (10_802, 5)
    assert counts["query tracklets"] == (5_159, 2)
    assert counts["gallery tracklets of 12 frames and more"] == (5_099, 0)
    assert sum(e for what, (e, _) in counts.items() if "frames in these" in what) == 224_757 + 224_116
    (record,) = caplog.records
    assert "16 of 16 counts differ" in record.getMessage()
    assert "training identities 2, expected 500" in record.getMessage()


def test_published_counts_after_the_filter_apply_to_the_filter_of_twelve_only(example_root):
    assert len(read(example_root, min_frames=2).counts) == 8
    assert len(read(example_root, drop_foreign=True).counts) == 8


def test_a_synthetic_set_is_not_warned_of(tmp_path, caplog):
    write_info(tmp_path)
    (tmp_path / "walkers.json").write_text("{}")
    read(tmp_path)
    assert caplog.records == []


@pytest.mark.parametrize(
    "name", ["train_name", "test_name", "track_train_info", "track_test_info", "query_IDX"]
)
def test_a_missing_or_empty_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=rf"{name}\.txt: no such file"):
        read(write_info(tmp_path / "missing", **{name: None}))
    with pytest.raises(DataError, match=rf"{name}\.txt: (the file is empty|no query rows)"):
        read(write_info(tmp_path / "empty", **{name: [""]}))


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        read(tmp_path / "nowhere")


def test_min_frames_below_one_is_refused(example_root):
    with pytest.raises(ValueError, match="min_frames must be at least 1, found 0"):
        read(example_root, min_frames=0)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        (
            "train_name",
            "0001M2D1T1F1.png",
            r"train_name\.txt:2: '0001M2D1T1F1\.png'; expected a name such as",
        ),
        ("train_name", "0001M2D1F1.jpg", r"train_name\.txt:2: .*expected a name"),
        ("train_name", "0001M2DT1F1.jpg", r"train_name\.txt:2: .*expected a name"),
        ("train_name", "0001M2D1T1F1.jp4g", r"train_name\.txt:2: .*expected a name"),
        ("train_name", "0001M2D1T1F1.jpg4", r"train_name\.txt:2: .*expected a name"),
        ("train_name", "0001M2D1T1F99999999999999999999.jpg", r"train_name\.txt:2: .*expected a name"),
        ("train_name", "", r"train_name\.txt:2: ''; expected a name"),
        ("train_name", "0001M3D1T1F1.jpg", r"train_name\.txt:2: unknown modality 3; expected 1 \(infrared\)"),
        ("train_name", "0001M2D13T1F1.jpg", r"train_name\.txt:2: unknown camera 13; expected 1\.\.12"),
        ("track_test_info", "2 1 2 503", r"track_test_info\.txt:2: '2 1 2 503'; expected five integers"),
        ("track_test_info", "2 1 2 503 1 1", r"track_test_info\.txt:2: .*expected five integers"),
        ("track_test_info", "2 1 two 503 1", r"track_test_info\.txt:2: .*expected five integers"),
        ("track_test_info", "2 -1 2 503 1", r"track_test_info\.txt:2: .*expected five integers"),
        ("track_test_info", "0 1 2 503 1", r"track_test_info\.txt:2: unknown modality 0"),
        ("track_test_info", "2 1 2 503 0", r"track_test_info\.txt:2: unknown camera 0; expected 1\.\.12"),
        ("track_test_info", "2 0 2 503 1", r"track_test_info\.txt:2: frames 0 to 2; .* the 10 lines"),
        ("track_test_info", "2 9 11 503 1", r"track_test_info\.txt:2: frames 9 to 11; .* the 10 lines"),
        ("track_test_info", "2 4 3 503 1", r"track_test_info\.txt:2: frames 4 to 3; expected a range"),
        ("query_IDX", "0", r"query_IDX\.txt:2: '0'; expected a row number in 1\.\.5"),
        ("query_IDX", "6", r"query_IDX\.txt:2: '6'; expected a row number in 1\.\.5"),
        ("query_IDX", "3,5", r"query_IDX\.txt:2: '3,5'; expected a row number"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, name, line, message):
    root = write_info(tmp_path)
    path = root / "info" / f"{name}.txt"
    lines = path.read_text().splitlines()
    lines.insert(1, line)
    write_lines(path, lines)
    with pytest.raises(DataError, match=message):
        read(root, min_frames=2)


NUMBERS = st.integers(0, 10**9 - 1)
NAME_ROWS = st.lists(st.tuples(NUMBERS, st.integers(1, 2), st.integers(1, 12), NUMBERS, NUMBERS), min_size=1)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "  \n", "\t\n"])
no_fixture_check = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80
)


@no_fixture_check
@given(NAME_ROWS, LINE_ENDS, st.booleans(), st.integers(0, 3))
def test_any_valid_name_file_reads_back(tmp_path, rows, end, padded, blanks):
    code = "{:04d}M{}D{}T{}F{}.jpg" if padded else "{}M{}D{}T{}F{}.jpg"
    path = tmp_path / "name.txt"
    path.write_text(end.join(code.format(*row) for row in rows) + "\n" * blanks, newline="")
    names = files.read_names(path)
    columns = zip(names.person, names.modality, names.camera, names.tracklet, names.frame, strict=True)
    assert [tuple(int(i) for i in row) for row in columns] == rows


@no_fixture_check
@given(st.data(), st.integers(1, 60), LINE_ENDS, st.sampled_from([" ", "  ", "\t"]))
def test_any_valid_track_file_reads_back(tmp_path, data, lines, end, blank):
    row = st.tuples(st.integers(1, 2), st.integers(1, lines), NUMBERS, st.integers(1, 12))
    rows = [
        (m, first, data.draw(st.integers(first, lines)), p, c)
        for m, first, p, c in data.draw(st.lists(row, min_size=1, max_size=20))
    ]
    path = tmp_path / "track.txt"
    path.write_text(end.join(blank.join(map(str, row)) for row in rows), newline="")
    tracks = files.read_tracks(path, lines)
    found = zip(tracks.modality, tracks.start + 1, tracks.end, tracks.person, tracks.camera, strict=True)
    assert [tuple(int(i) for i in row) for row in found] == rows
    assert tracks.lengths.tolist() == [last - first + 1 for _, first, last, _, _ in rows]


GARBAGE = st.text("0123MDTF.jpg \n\t\r-é\x00", max_size=60) | st.binary(max_size=40)


@no_fixture_check
@given(GARBAGE)
@example("0001M2D1T1F1.jpg\n0001M2D1T1F.1jpg\n")
@example("12M1D1T1F1.jpg3\nM1D1T1F1.jpg")
@example("1 2 3 4 5 6\n1 2 3 4\n")
def test_garbage_is_an_error_with_file_and_line_or_reads_as_line_by_line(error_of, tmp_path, garbage):
    path = tmp_path / "garbage.txt"
    path.write_bytes(garbage.encode() if isinstance(garbage, str) else garbage)
    for read_file in (files.read_names, read_five_lines, read_five_rows):
        message = error_of(read_file, path)
        assert message is None or f"{path}:" in message


def read_five_lines(path):
    return files.read_tracks(path, 5)


def read_five_rows(path):
    return files.read_query_rows(path, 5)


@no_fixture_check
@given(st.lists(st.text("0123456789MDTF.jpg", max_size=24), min_size=1, max_size=4))
@example(["1M1D1T1F1.jpg", "1M1D1T1F1.j5pg"])
@example(["1M1D1T1F.jpg", "1M1D1T1F1.jpg5"])
@example(["1M1D1T1F.jpg", "1M1D1T1F15.jpg"])
@example(["1M1D1T1F99999999999999999999999.jpg"])
def test_reading_at_once_agrees_with_reading_line_by_line(lines):
    text = "".join(f"{line}\n" for line in lines).encode()
    whole = files._parse_at_once(text, files._NAME_LINE)
    try:
        single = files._parse_lines("file", text, files._NAME_LINE)
    except DataError:
        assert whole is None
    else:
        assert whole is None or np.array_equal(whole, single)


def test_clean_files_are_read_at_once():
    text = "".join(f"{name}.jpg\n" for name in TRAIN_NAMES).encode()
    assert files._parse_at_once(text, files._NAME_LINE).shape == (12, 5)
    tracks = "".join(f"{row}\n" for row in TRAIN_TRACKS).encode()
    assert files._parse_at_once(tracks, files._TRACK_LINE).tolist()[3] == [1, 10, 12, 4, 4]


def test_numbered_frames_behave_as_a_sequence_of_paths():
    frames = NumberedFrames("a/D1", np.array([1, 6, 11], dtype=np.int32))
    assert list(frames) == ["a/D1/1.jpg", "a/D1/6.jpg", "a/D1/11.jpg"]
    assert (len(frames), frames[-1], list(frames[1:])) == (3, "a/D1/11.jpg", ["a/D1/6.jpg", "a/D1/11.jpg"])
    with pytest.raises(IndexError):
        frames[3]
    same = NumberedFrames("a/D1", np.array([1, 6, 11], dtype=np.int32))
    assert frames == same
    assert hash(frames) == hash(same)
    assert frames != frames[1:]
    assert frames != list(frames)
    assert pickle.loads(pickle.dumps(frames)) == frames
    assert repr(frames) == "NumberedFrames('a/D1', [1, 6, 11])"
