import numpy as np
import pytest

from tapetum.data.containers import has_frame
from tapetum.data.frames import read_picture
from tapetum.errors import DataError, MissingExtraError
from tapetum.ingest import ingest, load_failures, open_source
from tapetum.search import Gallery

RED, BLUE = (200, 40, 60), (30, 60, 210)

VIDEOS = [
    ("a.avi", "mpeg4"),
    ("b.mp4", "libx264"),
    ("c.mkv", "libx264"),
    ("d.ts", "libx264"),
    ("e.mpg", "mpeg2video"),
]
"""Kinds of files, with an index of their frames and without."""


def always(colour):
    return lambda number: colour


def index(video, tracks, gallery, encoder, options="", **rest):
    return ingest(open_source(f"video:{video}?tracks={tracks}{options}"), gallery, encoder, **rest)


def by_track(gallery):
    return {t.tracklet_id.partition("#")[2]: t for t in gallery.filter()}


@pytest.mark.parametrize(("codec", "name"), [("mpeg4", "gate.avi"), ("libx264", "gate.mp4")])
def test_tracks_become_tracklets_of_the_right_pixels(film, colours, codec, name):
    people = {
        1: (1, 20, 10, 20, always(RED)),
        7: (5, 16, 100, 30, always(BLUE)),
        9: (3, 12, 60, 10, always(None)),
    }
    video, tracks = film(name, people, codec=codec, order=-1)
    gallery = Gallery.open("memory:")
    report = index(video, tracks, gallery, colours, "&camera=3&start=1970-01-02")
    assert (report.new, report.problems) == (3, [])
    found = by_track(gallery)
    assert [(k, t.modality.value, t.camera_id, t.time) for k, t in sorted(found.items())] == [
        ("1", "visible", 3, 86400.0),
        ("7", "visible", 3, 86400.4),
        ("9", "infrared", 3, 86400.2),
    ]
    assert found["7"].frames[0].startswith(f"{video}::frame=")
    for track, (first, last, left, top, colour_of) in people.items():
        frames = found[str(track)].frames
        numbers = [int(f.partition("frame=")[2].partition("&")[0]) for f in frames]
        assert numbers == sorted(set(numbers))
        assert first <= numbers[0] <= numbers[-1] <= last
        assert frames[0].endswith(f"&box={left},{top},24,48")
        mean = np.asarray(read_picture(frames[0]), float)[4:20, 4:20].mean(axis=(0, 1))
        expected = np.array(colour_of(1) or (90, 90, 90)) + 20
        np.testing.assert_allclose(mean, expected, atol=25)
        assert len(gallery.thumbnails(found[str(track)].tracklet_id)) == 4


def test_numbers_of_frames_are_exact(film):
    shade = {n: (10 * n, 10 * n, 10 * n) for n in range(1, 21)}
    for name, codec in VIDEOS:
        video, _ = film(name, {1: (1, 20, 40, 20, shade.get)}, codec=codec)
        seen = [
            np.asarray(read_picture(f"{video}::frame={n}&box=44,24,16,16")).mean() for n in (1, 7, 20, 13)
        ]
        np.testing.assert_allclose(seen, np.array([1, 7, 20, 13]) * 10 + 20, atol=6)
        assert has_frame(f"{video}::frame=20")
        assert not has_frame(f"{video}::frame=21")
        with pytest.raises(DataError, match="no such frame: the video has 20"):
            read_picture(f"{video}::frame=21")
        with pytest.raises(DataError, match="no entry of a video"):
            read_picture(f"{video}::17")


def test_a_second_time_nothing_is_decoded_and_a_moved_box_replaces_one_tracklet(film, colours, monkeypatch):
    people = {1: (1, 20, 10, 20, always(RED)), 2: (1, 20, 100, 30, always(BLUE))}
    video, tracks = film("gate.mp4", people)
    gallery = Gallery.open("memory:")
    index(video, tracks, gallery, colours)
    seen = colours.seen
    monkeypatch.setattr("tapetum.data.video_files.VideoFile.frames", None)
    again = index(video, tracks, gallery, colours)
    assert (again.unchanged, again.stored, colours.seen) == (2, 0, seen)
    monkeypatch.undo()
    tracks.write_text(tracks.read_text().replace("5,1,10,20,", "5,1,11,20,"))
    moved = index(video, tracks, gallery, colours)
    assert (moved.unchanged, moved.stored, moved.new, len(gallery.filter())) == (1, 1, 0, 2)


def test_boxes_and_tracks_without_a_place_are_reported(film, colours, tmp_path):
    people = {
        1: (1, 20, -12, 20, always(RED)),  # half outside
        2: (1, 20, 300, 20, always(RED)),  # wholly outside
        3: (1, 3, 60, 20, always(RED)),  # short
        5: (11, 30, 100, 20, always(BLUE)),  # goes on past the end
        6: (21, 30, 100, 20, always(BLUE)),  # past the end
    }
    tiny = [f"{n},4,60,20,3,9,1" for n in range(1, 20)]
    bad = [
        "1,x,0,0,9,9,1",
        "2,1,50,20,24,48,1",
        "3,8,1,1",
        "0,8,1,1,9,9,1",
        "4,8,1,1,0,9,1",
        "5,8,1,1,9,nan,1",
    ]
    video, tracks = film("gate.mp4", people, lines=[*tiny, *bad, "9,1,0,0,90,90,0", ""])
    gallery, table = Gallery.open("memory:"), tmp_path / "failures.parquet"
    report = index(video, tracks, gallery, colours, failures=table)
    assert set(by_track(gallery)) == {"1", "5"}
    assert by_track(gallery)["1"].frames[0].endswith("&box=0,20,12,48")
    rows = {row.problem.item.rpartition("/")[2]: row.problem for row in load_failures(table)}
    assert dict(report.counts()) == {"failed": 7, "skipped": 3, "partly": 1}
    assert rows["gate.mp4#2"].reason.startswith("20 of 20 boxes lie outside the 160 x 96 picture")
    assert rows["gate.mp4#3"].reason == "3 usable boxes; expected at least 5"
    assert rows["gate.mp4#4"].reason.startswith("19 of 19 boxes are smaller than 8 x 16 pixels")
    assert rows["gate.mp4#5"].kind == "partly"
    assert "frames are past the video's end or damaged: 2" in rows["gate.mp4#5"].reason
    assert rows["gate.mp4#6"].reason.startswith("none of its frames can be read")
    lines = len(tracks.read_text().splitlines()) - len(bad) - 2
    reasons = [
        "id is 'x'",
        "has a box in frame 2 already",
        "4 values",
        "frame is 0",
        "width is 0",
        "a finite number",
    ]
    for number, reason in enumerate(reasons, lines + 1):
        assert reason in rows[f"gate.mp4.txt, line {number}"].reason
    tracks.write_text(
        "".join(f"{line}\n" for line in tracks.read_text().splitlines()[:lines] if ",4," not in line)
    )
    index(video, tracks, gallery, colours, "&min_frames=3", failures=table)
    left = {row.problem.item.rpartition("#")[2] for row in load_failures(table)}
    assert left == {"2", "5", "6"}


def test_a_camera_that_changes_over_gives_one_tracklet_of_each_modality(film, colours):
    dusk = {1: (1, 20, 10, 20, lambda number: RED if number <= 10 else None)}
    video, tracks = film("gate.mp4", dusk)
    gallery = Gallery.open("memory:")
    index(video, tracks, gallery, colours)
    found = by_track(gallery)
    assert set(found) == {"1@visible", "1@infrared"}
    day, night = ([int(f.partition("=")[2].partition("&")[0]) for f in t.frames] for t in found.values())
    assert max(day) <= 10 < min(night)
    assert index(video, tracks, gallery, colours).unchanged == 1


def test_damaged_videos(film, colours, tmp_path):
    people = {1: (1, 20, 10, 20, always(RED))}
    video, tracks = film("whole.avi", people)
    whole = video.read_bytes()
    cases = {
        "empty.mp4": (b"", "the file is empty"),
        "noise.mp4": (b"no video" * 99, "no video that can be read"),
    }
    head = whole[: whole.index(b"movi")]
    cases["head.avi"] = (head + b"movi", "no frames in it")
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        table = tmp_path / f"{name}.parquet"
        report = index(tmp_path / name, tracks, Gallery.open("memory:"), colours, failures=table)
        assert report.is_in_vain
        (row,) = load_failures(table)
        assert (row.problem.item, row.problem.kind) == (str(tmp_path / name), "failed")
        assert message in row.problem.reason
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 2 // 3])
    report = index(tmp_path / "cut.avi", tracks, Gallery.open("memory:"), colours)
    assert (report.stored, dict(report.counts())) == (1, {"partly": 1})
    with pytest.raises(FileNotFoundError, match=r"none\.mp4: no such file"):
        open_source(f"video:{tmp_path}/none.mp4?tracks={tracks}")
    with pytest.raises(FileNotFoundError, match=r"none\.txt: no such file"):
        open_source(f"video:{video}?tracks={tmp_path}/none.txt")
    (tmp_path / "notes.txt").write_text("no tracks\n")
    with pytest.raises(DataError, match="no track in it; line 1: 2 values"):
        open_source(f"video:{video}?tracks={tmp_path}/notes.txt")


def test_without_the_library_the_extra_is_named(film, colours, monkeypatch):
    video, tracks = film("gate.mp4", {1: (1, 20, 10, 20, always(RED))})
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"tapetum\[video\]"):
        index(video, tracks, Gallery.open("memory:"), colours)
