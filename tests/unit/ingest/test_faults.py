"""Damage of every kind to what is read, and several processes at work on one gallery."""

import io
import random
import subprocess
import sys
import wave
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from tapetum.data.frames import read_picture
from tapetum.errors import DataError
from tapetum.ingest import ingest, load_failures, open_source
from tapetum.ingest.failures import FailureTable
from tapetum.ingest.items import Problem
from tapetum.search import Gallery

RED, BLUE = (200, 40, 60), (30, 60, 210)

CHILD = """
import importlib.util, pathlib, sys, time
from tapetum.ingest import ingest, open_source
from tapetum.search import Gallery

spec = importlib.util.spec_from_file_location("drawing", sys.argv[1])
drawing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(drawing)
place, table, go, *addresses = sys.argv[2:]
print("ready", flush=True)
end = time.monotonic() + 50
while not pathlib.Path(go).exists() and time.monotonic() < end:
    time.sleep(0.01)
for address in addresses:
    report = ingest(
        open_source(address), Gallery.open(place), drawing.Colours(), failures=pathlib.Path(table), chunk=1
    )
    print(report.stored + report.unchanged, report.failed)
"""


def damaged(content: bytes, kind: str, seed: int) -> bytes:
    """A file's bytes after an accident."""
    dice, data = random.Random(seed), bytearray(content)
    start = dice.randrange(len(data))
    match kind:
        case "cut":
            del data[start:]
        case "flipped":
            for _ in range(1 + 5 * seed):
                data[dice.randrange(len(data))] = dice.randrange(256)
        case "zeroed":
            length = min(len(data) - start, 400)
            data[start : start + length] = bytes(length)
        case "lost":
            del data[start : start + 300]
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("b.mp4", "libx264"), ("c.mkv", "libx264"), ("d.ts", "mpeg2video")],
)
def test_whatever_happens_to_a_video_is_told(film, colours, tmp_path, name, codec):
    """Each track is in the gallery or reported; what is in it can be looked at, or is damaged by name."""
    people = {1: (1, 20, 10, 20, lambda _: RED), 2: (1, 20, 100, 30, lambda _: BLUE)}
    video, tracks = film(name, people, codec=codec)
    whole, place = video.read_bytes(), tmp_path / f"spoiled{video.suffix}"
    for seed in range(3):
        for kind in ("cut", "flipped", "zeroed", "lost"):
            place.write_bytes(damaged(whole, kind, seed))
            gallery = Gallery.open("memory:")
            report = ingest(open_source(f"video:{place}?tracks={tracks}"), gallery, colours)
            told = {p.item for p in report.problems}
            for track in ("1", "2"):
                own = f"{place}#{track}"
                found = [t for t in gallery.filter() if t.tracklet_id.partition("@")[0] == own]
                assert found or told & {own, str(place)}, (kind, seed)
                for tracklet in found:
                    pictures = gallery.thumbnails(tracklet.tracklet_id)
                    assert Image.open(io.BytesIO(pictures[0])).size == (24, 48)
            for tracklet in gallery.filter():
                with suppress(DataError):  # its frame may be damaged where it was not looked at
                    read_picture(tracklet.frames[-1])


def test_a_video_in_an_unknown_coding_is_named(film, colours, tmp_path):
    video, tracks = film("a.mkv", {1: (1, 20, 10, 20, lambda _: RED)}, codec="libx264")
    video.write_bytes(video.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/AVC"))
    report = ingest(open_source(f"video:{video}?tracks={tracks}"), Gallery.open("memory:"), colours)
    (problem,) = report.problems
    assert (problem.item, problem.kind) == (str(video), "failed")
    assert "coding that is unknown" in problem.reason


@pytest.mark.parametrize("name", ["tracks", "picture", "sound", "folder"])
def test_what_is_no_video_or_has_no_tracks_is_named(film, colours, tmp_path, name):
    video, tracks = film("gate.avi", {1: (1, 20, 10, 20, lambda _: RED)})
    place = tmp_path / name
    match name:
        case "tracks":
            place.write_bytes(b"")
            with pytest.raises(DataError, match=f"{place}: no track in it"):
                open_source(f"video:{video}?tracks={place}")
            return
        case "folder":
            place.mkdir()
            with pytest.raises(FileNotFoundError, match=f"{place}: no such file"):
                open_source(f"video:{place}?tracks={tracks}")
            return
        case "picture":
            Image.new("RGB", (160, 96), RED).save(place, "JPEG")
        case "sound":
            with wave.open(str(place), "wb") as file:
                file.setparams((1, 2, 8000, 8, "NONE", ""))
                file.writeframes(bytes(16))
    report = ingest(open_source(f"video:{place}?tracks={tracks}"), Gallery.open("memory:"), colours)
    problem = report.problems[-1]
    assert problem.kind in ("failed", "partly")
    assert str(place) in problem.item


@pytest.mark.slow
def test_two_processes_fill_one_gallery_and_one_table(crops, tmp_path):
    """Both begin at once with a gallery that is not there; half of what they bring is the same."""
    folders = {
        name: crops(name, {f"{number}": [(200, 40, 9 * number)] for number in range(4)})
        for name in ("left", "right", "both")
    }
    for folder in folders.values():
        (folder / "3" / "0.jpg").write_bytes(b"")
    place, table, go = tmp_path / "gallery", tmp_path / "failures.parquet", tmp_path / "go"
    common = [sys.executable, "-c", CHILD, str(Path(__file__).parent / "conftest.py"), place, table, go]
    children = [
        subprocess.Popen(
            [*map(str, common), f"crops:{folders[own]}", f"crops:{folders['both']}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in ("left", "right")
    ]
    try:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        go.touch()
        said = [child.communicate(timeout=50)[0].splitlines() for child in children]
    finally:
        for child in children:
            child.kill()
    assert said == [["3 1", "3 1"]] * 2
    names = [t.tracklet_id for t in Gallery.open(place).filter()]
    assert sorted(names) == sorted(f"{folder}/{n}" for folder in folders.values() for n in range(3))
    failed = sorted(row.problem.item for row in load_failures(table))
    assert failed == sorted(f"{folder}/3" for folder in folders.values())


def test_a_table_of_failures_keeps_what_others_note_meanwhile(tmp_path):
    file = tmp_path / "deep" / "failures.parquet"
    first, second = FailureTable(file, "one"), FailureTable(file, "two")
    first.note(Problem("a", "failed", "of one"))
    second.note(Problem("a", "failed", "of two"))
    first.save()
    second.save()
    second.note(Problem("b", "failed", "of two"))
    first.clear("a")
    first.save()
    second.save()
    assert [(row.source, row.problem.item) for row in load_failures(file)] == [("two", "a"), ("two", "b")]
