import io

import numpy as np
import pytest
from PIL import Image

from tapetum.errors import DataError, ModelMismatchError
from tapetum.ingest import ingest, load_failures, open_source
from tapetum.search import Gallery

RED, BLUE = (200, 40, 60), (30, 60, 210)


def index(address, gallery, encoder, failures=None, **options):
    return ingest(open_source(address), gallery, encoder, failures=failures, **options)


def ids(gallery):
    return [t.tracklet_id for t in gallery.filter()]


def test_folders_become_tracklets_with_thumbnails(crops, colours):
    folder = crops("day", {"a": [RED] * 12, "b/deep": [None] * 3, ".": [BLUE]})
    gallery = Gallery.open("memory:")
    report = index(f"crops:{folder}", gallery, colours)
    assert ids(gallery) == [f"{folder}/0.jpg", f"{folder}/a", f"{folder}/b/deep"]
    assert [t.modality.value for t in gallery.filter()] == ["visible", "visible", "infrared"]
    assert (report.new, report.stored, report.unchanged, report.problems) == (3, 3, 0, [])
    assert [len(gallery.thumbnails(name)) for name in ids(gallery)] == [1, 4, 3]
    for data in gallery.thumbnails(f"{folder}/a"):
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (24, 48))
    assert len(gallery.filter()[1].frames) == 12
    red = gallery.get([f"{folder}/a"]).vectors[0]
    assert red[0] > red[1]


def test_the_same_content_is_neither_read_nor_stored_again_and_changed_content_replaces(crops, colours):
    folder = crops("day", {"a": [RED] * 3, "b": [BLUE] * 3})
    gallery = Gallery.open("memory:")
    index(f"crops:{folder}", gallery, colours)
    seen, before = colours.seen, gallery.get(ids(gallery)).vectors
    again = index(f"crops:{folder.parent}/../{folder.parent.name}/day", gallery, colours)
    assert (again.unchanged, again.stored, colours.seen) == (2, 0, seen)
    crops("day", {"a": [BLUE] * 3})
    changed = index(f"crops:{folder}", gallery, colours)
    assert (changed.unchanged, changed.stored, changed.new, len(ids(gallery))) == (1, 1, 0, 2)
    after = gallery.get(ids(gallery)).vectors
    assert not np.allclose(after[0], before[0], atol=0.05)
    np.testing.assert_array_equal(after[1], before[1])


def test_what_cannot_be_read_is_kept_in_the_table_until_it_can(crops, colours, tmp_path):
    folder = crops("day", {"a": [RED] * 3, "b": [BLUE], "c": [RED] * 3})
    good = (folder / "b/0.jpg").read_bytes()
    (folder / "b/0.jpg").write_bytes(b"")
    (folder / "c/1.jpg").write_bytes(good[:100])
    gallery, table = Gallery.open("memory:"), tmp_path / "failures.parquet"
    report = index(f"crops:{folder}", gallery, colours, table)
    assert ids(gallery) == [f"{folder}/a", f"{folder}/c"]
    assert (report.failed, dict(report.counts())) == (1, {"failed": 1, "partly": 1})
    found = {row.problem.item: row.problem for row in load_failures(table)}
    assert set(found) == {f"{folder}/b", f"{folder}/c"}
    assert f"{folder}/b/0.jpg: cannot read a picture" in found[f"{folder}/b"].reason
    assert f"left out: {folder}/c/1.jpg" in found[f"{folder}/c"].reason
    index(f"crops:{folder}", gallery, colours, table)
    assert len(load_failures(table)) == 2
    (folder / "b/0.jpg").write_bytes(good)
    (folder / "c/1.jpg").write_bytes(good)
    report = index(f"crops:{folder}", gallery, colours, table)
    assert (load_failures(table), report.stored, len(ids(gallery))) == ([], 2, 3)


def test_long_tracklets_are_the_mean_of_their_parts(crops, colours):
    folder = crops("day", {"a": [RED] * 65 + [BLUE] * 65})
    gallery = Gallery.open("memory:")
    report = index(f"crops:{folder}", gallery, colours, batch_size=2)
    assert (report.clips, report.stored) == (3, 1)
    vector = gallery.get(ids(gallery)).vectors[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    parts = [Gallery.open("memory:") for _ in range(3)]
    vectors = []
    for number, part in enumerate(parts):
        frames = range(number * 130 // 3, (number + 1) * 130 // 3)
        piece = crops(f"part{number}", {"a": [RED if i < 65 else BLUE for i in frames]})
        for place, i in enumerate(frames):
            (piece / f"a/{place}.jpg").write_bytes((folder / f"a/{i}.jpg").read_bytes())
        index(f"crops:{piece}?modality=visible", part, colours)
        vectors.append(part.get(ids(part)).vectors[0].astype(np.float64))
    mean = np.mean(vectors, axis=0)
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_a_tracklet_of_day_and_night_is_stored_as_two_and_as_one_again(crops, colours):
    folder = crops("dusk", {"a": [RED] * 6 + [None] * 6})
    gallery = Gallery.open("memory:")
    index(f"crops:{folder}", gallery, colours)
    assert ids(gallery) == [f"{folder}/a@visible", f"{folder}/a@infrared"]
    assert [len(t.frames) for t in gallery.filter()] == [4, 4]
    assert all(gallery.thumbnails(name) for name in ids(gallery))
    assert index(f"crops:{folder}", gallery, colours).unchanged == 1
    assert index(f"crops:{folder}?modality=visible", gallery, colours).new == 1
    assert ids(gallery) == [f"{folder}/a"]


def test_another_model_is_refused_before_anything_is_read(crops, colours):
    folder = crops("day", {"a": [RED]})
    gallery = Gallery.open("memory:")
    index(f"crops:{folder}", gallery, colours)
    colours.fingerprint, seen = "other", colours.seen
    with pytest.raises(ModelMismatchError, match="of model other"):
        index(f"crops:{folder}", gallery, colours)
    assert colours.seen == seen


def test_embeddings_without_direction_are_failures(crops, colours):
    folder = crops("day", {"a": [RED], "b": [BLUE]})
    encode = colours.encode_clips
    colours.encode_clips = lambda clips, *rest: encode(clips, *rest) * np.array([[np.nan], [1]])
    gallery = Gallery.open("memory:")
    report = index(f"crops:{folder}", gallery, colours)
    assert ids(gallery) == [f"{folder}/b"]
    assert [p.reason for p in report.problems] == ["its embedding is zero or not finite"]


def test_a_full_disk_stops_it_and_the_next_run_goes_on(crops, colours, tmp_path, monkeypatch):
    folder = crops("day", {str(i): [RED] for i in range(5)})
    gallery = Gallery.open(f"numpy:{tmp_path / 'gallery'}")
    upsert, calls = gallery.upsert, []

    def full(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(tmp_path))
        return upsert(*args, **options)

    monkeypatch.setattr(gallery, "upsert", full)
    with pytest.raises(OSError, match="No space left"):
        index(f"crops:{folder}", gallery, colours, chunk=2, batch_size=1)
    assert len(ids(gallery)) == 2
    report = index(f"crops:{folder}", gallery, colours, chunk=2, batch_size=1)
    assert (report.unchanged, report.new, len(ids(gallery))) == (2, 3, 5)


def test_patterns_say_who_and_where(crops, colours):
    folder = crops("tree", {"007/2": [RED] * 2, "007/10": [None] * 2, "12/2": [BLUE]})
    gallery = Gallery.open("memory:")
    index(f"crops:{folder}?pattern={{person_id}}/{{camera_id}}/*.jpg&name=mon", gallery, colours)
    found = [(t.tracklet_id, t.person_id, t.camera_id, len(t.frames)) for t in gallery.filter()]
    assert found == [
        ("mon/007/2", 7, 2, 2),
        ("mon/007/10", 7, 10, 2),
        ("mon/12/2", 12, 2, 1),
    ]
    with pytest.raises(DataError, match="none of 5 pictures is of the pattern"):
        open_source(f"crops:{folder}?pattern={{person_id}}.jpg")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("crops:{0}?colour=red", "unknown option 'colour'"),
        ("crops:{0}?modality=heat", "unknown modality 'heat'"),
        ("crops:{0}?camera=", "not of the form name=value"),
        ("video:{0}", "needs its tracks"),
        ("crops:{0}/none", "no such folder"),
        ("crops:{0}/empty", "no pictures in it"),
    ],
)
def test_addresses_that_are_refused(crops, address, message):
    folder = crops("day", {"a": [RED], "empty": []})
    with pytest.raises((ValueError, OSError), match=message):
        open_source(address.format(folder))
