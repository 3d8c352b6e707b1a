"""`tapetum index` on folders and videos; on data sets see test_searching.py."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tapetum.ingest import load_failures
from tapetum.search import Gallery


@pytest.fixture
def film(tmp_path):
    """A video of 12 frames in which one person stands still, and its tracks; the second is too short."""
    av = pytest.importorskip("av")
    person = np.random.default_rng(0).integers(0, 255, (48, 24, 3)).astype(np.uint8)
    video, tracks = tmp_path / "gate.mp4", tmp_path / "gate.txt"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(4))
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for _ in range(12):
            pixels = np.full((96, 128, 3), 128, np.uint8)
            pixels[20:68, 40:64] = person
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    rows = [f"{n},1,40,20,24,48,1,-1,-1,-1" for n in range(1, 13)]
    tracks.write_text("\n".join([*rows, "1,2,0,0,24,48,1"]) + "\n")
    return video, tracks


def test_a_video_is_indexed_searched_and_indexed_again(ask, run, film, tmp_path):
    video, tracks = film
    place = tmp_path / "gallery"
    data = f"video:{video}?tracks={tracks}&camera=3&modality=auto&start=100"
    made = ask("index", run, "--data", data, "--gallery", place)
    assert (made.code, made.out) == (0, f"{place}: 1 new of 1 tracklets, 1 in all\n")
    assert f"skipped: {video}#2: 1 usable boxes; expected at least 5" in made.err
    assert f"1 skipped; all are in {place / 'failures.parquet'}" in made.err
    again = ask("index", run, "--data", data, "--gallery", place, "--strict")
    assert (again.code, again.out) == (0, f"{place}: 0 new of 1 tracklets, 1 in all\n")
    assert "1 unchanged" in again.err
    gallery = Gallery.open(place)
    (tracklet,) = gallery.filter()
    assert (tracklet.camera_id, tracklet.time) == (3, 100.0)
    with Image.open(io.BytesIO(gallery.thumbnails(tracklet.tracklet_id)[0])) as picture:
        assert picture.size == (24, 48)
    found = ask("search", place, tracklet.tracklet_id, "--json")
    assert (found.code, found.json["hits"]) == (0, [])


def test_failures_are_told_and_strict_makes_them_an_error(ask, run, tmp_path):
    place, folder, table = tmp_path / "gallery", tmp_path / "crops", tmp_path / "table.parquet"
    for name in ("good", "bad"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (24, 48), (200, 30, 40)).save(folder / "good/1.jpg")
    (folder / "bad/1.jpg").write_bytes(b"")
    command = ("index", run, "--data", f"crops:{folder}", "--gallery", place, "--failures", table)
    made = ask(*command)
    assert (made.code, made.out) == (0, f"{place}: 1 new of 1 tracklets, 1 in all\n")
    assert f"failed: {folder}/bad: {folder}/bad/1.jpg: cannot read a picture" in made.err
    assert [row.problem.item for row in load_failures(table)] == [f"{folder}/bad"]
    strict = ask(*command, "--strict")
    assert (strict.code, "1 could not be read (--strict)" in strict.err) == (1, True)
    (folder / "good/1.jpg").write_bytes(b"")
    vain = ask("index", run, "--data", f"crops:{folder}", "--gallery", tmp_path / "other")
    assert (vain.code, "nothing could be indexed" in vain.err) == (1, True)
