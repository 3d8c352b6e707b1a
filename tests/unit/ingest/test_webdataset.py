import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from tapetum.errors import DataError
from tapetum.ingest import ingest, open_source
from tapetum.ingest.webdataset import expand_tars
from tapetum.search import Gallery


def picture(draw, colour) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw(colour)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def tar(tmp_path, draw):
    """Writes an archive of members by name; dictionaries become JSON, colours pictures."""

    def write(name, members):
        path = tmp_path / name
        with tarfile.open(path, "w") as archive:
            for member, content in members.items():
                if isinstance(content, dict):
                    content = json.dumps(content).encode()
                elif isinstance(content, tuple):
                    content = picture(draw, content)
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return path

    return write


RED, BLUE = (200, 40, 30), (30, 40, 200)


def stored(address, colours, tmp_path):
    gallery = Gallery.open("memory:")
    report = ingest(open_source(address), gallery, colours)
    return report, {t.tracklet_id: t for t in gallery.filter()}


def test_samples_are_tracklets_and_their_json_says_who(tar, colours, tmp_path):
    path = tar(
        "a.tar",
        {
            "day/1.000.jpg": RED,
            "day/1.001.jpg": RED,
            "day/1.json": {"person_id": 7, "camera_id": "gate", "modality": "visible", "time": 12},
            "2.jpg": BLUE,
            "2.cls": b"3",
            "3.jpg": RED,
            "3.json": {"tracklet_id": "walk", "time": "1970-01-01T00:01:00Z"},
            "4.jpg": RED,
            "4.json": {"tracklet_id": "walk"},
            "5.txt": b"no picture",
        },
    )
    report, found = stored(f"webdataset:{path}?camera=9&modality=visible", colours, tmp_path)
    assert (report.failed, sorted(found)) == (0, sorted([f"{path}/day/1", f"{path}/2", "walk"]))
    first = found[f"{path}/day/1"]
    assert (first.person_id, first.camera_id, first.time) == (7, "gate", 12.0)
    assert first.frames == (f"{path}::day/1.000.jpg", f"{path}::day/1.001.jpg")
    assert (found[f"{path}/2"].camera_id, found[f"{path}/2"].person_id) == (9, None)
    assert (len(found["walk"].frames), found["walk"].time) == (2, 60.0)


def test_what_is_wrong_is_told_and_the_rest_is_there(tar, colours, tmp_path):
    path = tar(
        "a.tar",
        {"1.jpg": RED, "2.jpg": b"none", "3.jpg": RED, "3.json": b"{", "4.jpg": RED, "4.json": {"time": "?"}},
    )
    whole = path.read_bytes()
    path.write_bytes(whole.rstrip(b"\0") + b"\0" * 300)
    report, found = stored(f"webdataset:{path}?modality=visible&name=w", colours, tmp_path)
    assert sorted(found) == ["w/a/1"]
    problems = {problem.item: problem.reason for problem in report.problems}
    assert sorted(problems) == ["w/a", "w/a/2", "w/a/3", "w/a/4"]
    assert "cut short" in problems["w/a"]
    assert "not JSON" in problems["w/a/3"]
    assert "expected seconds" in problems["w/a/4"]


def test_names_in_braces_and_stars(tmp_path):
    for name in ("b-1.tar", "b-10.tar", "b-2.tar"):
        (tmp_path / name).touch()
    assert expand_tars(f"{tmp_path}/b-*.tar") == [f"{tmp_path}/b-{n}.tar" for n in (1, 2, 10)]
    assert expand_tars("{a,b}-{1..2}.tar") == ["a-1.tar", "a-2.tar", "b-1.tar", "b-2.tar"]
    with pytest.raises(DataError, match="no such files"):
        expand_tars(f"{tmp_path}/c-*.tar")
    with pytest.raises(DataError, match="compressed archives are not read"):
        expand_tars("a.tar.gz")
    with pytest.raises(FileNotFoundError, match=r"a\.tar"):
        open_source(f"webdataset:{tmp_path}/a.tar")


def test_crops_and_manifests_may_lie_in_object_storage(storage, draw, colours, tmp_path):
    for number, name in enumerate(["1/a.jpg", "1/b.jpg", "2/a.jpg", "alone.jpg", "2/notes.txt"]):
        storage.buckets["shed"][f"crops/{name}"] = (picture(draw, (90, 40 * number, 9)), 1.0)
    report, found = stored("crops:s3://shed/crops?camera=2&modality=visible", colours, tmp_path)
    assert (report.failed, sorted(found)) == (0, [f"s3://shed/crops/{n}" for n in ("1", "2", "alone.jpg")])
    assert found["s3://shed/crops/1"].frames == ("s3://shed/crops/1/a.jpg", "s3://shed/crops/1/b.jpg")
    _, named = stored("crops:s3://shed/crops?pattern={person_id}/{frame}.jpg", colours, tmp_path)
    assert {t.person_id for t in named.values()} == {1, 2}
    with pytest.raises(DataError, match="no pictures below"):
        open_source("crops:s3://shed/nothing")
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,modality,split\ns3://shed/crops/alone.jpg,visible,gallery\n")
    _, listed = stored(f"manifest:{manifest}", colours, tmp_path)
    assert [t.frames for t in listed.values()] == [("s3://shed/crops/alone.jpg",)]
    assert np.isfinite(colours.seen)
