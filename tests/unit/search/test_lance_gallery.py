import json
import os
from pathlib import Path

import numpy as np
import pytest

from tapetum.embedding_files import save_embeddings
from tapetum.errors import DataError, GalleryVersionError
from tapetum.search import Filter, Gallery, _lance_store, gallery_folder
from tapetum.search.lance_gallery import LanceGallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def tracklet(number: int, **changes) -> Tracklet:
    fields = {"person_id": number, "time": float(number), **changes}
    return Tracklet(f"t{number}", (f"{number}.jpg",), list(Modality)[number % 2], **fields)


def make(numbers, model="m1", dimension=8, **changes) -> Embeddings:
    vectors = np.stack([np.random.default_rng(n).standard_normal(dimension) for n in numbers])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(
        Tracklet(
            f"t{n}", (f"{n}.jpg",), list(Modality)[n % 2], **{"person_id": n, "time": float(n), **changes}
        )
        for n in numbers
    )
    return Embeddings(vectors.astype(np.float32), TrackletSet("test", rows), model)


def ids(gallery) -> list[str]:
    return [t.tracklet_id for t in gallery.filter()]


def bytes_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_others_find_at_once_what_was_stored(tmp_path):
    mine, theirs = Gallery.open(tmp_path / "deep" / "g"), Gallery.open(tmp_path / "deep" / "g")
    mine.upsert(make([1, 2, 3], camera_id="gate"))
    assert ids(theirs) == ["t1", "t2", "t3"]
    assert theirs.upsert(make([3, 4])) == 1
    mine.delete(["t2"])
    again = Gallery.open(tmp_path / "deep" / "g", create=False)
    assert ids(mine) == ids(theirs) == ids(again) == ["t1", "t3", "t4"]
    assert again.info() == mine.info()
    assert (again.info().storage, again.info().cameras) == ("lancedb", ("gate",))
    for gallery in (mine, theirs, again):
        assert [hit.tracklet.tracklet_id for hit in gallery.search(make([4]), top=1)] == ["t4"]


def test_files_are_as_documented(tmp_path):
    gallery = Gallery.open(tmp_path)
    gallery.upsert(make([1]))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "gallery.json", "tracklets-1.lance"]
    assert json.loads((tmp_path / "gallery.json").read_text()) == {
        "format": "tapetum-gallery",
        "format_version": 1,
        "storage": "lancedb",
        "table": "tracklets-1",
        "model": "m1",
        "dimension": 8,
        "replacement": None,
        "index": None,
    }


def test_opening_and_asking_write_nothing(tmp_path):
    gallery = Gallery.open(tmp_path / "g")
    gallery.search(np.ones(8))
    assert (gallery.delete(["t1"]), gallery.contents(), gallery.calibration()) == (0, {}, None)
    gallery.optimise()
    gallery.set_calibration(None)
    with pytest.raises(KeyError, match="t1"):
        gallery.get(["t1"])
    assert not (tmp_path / "g").exists()


def test_an_emptied_gallery_keeps_model_and_dimension(tmp_path):
    gallery = Gallery.open(tmp_path)
    gallery.upsert(make([1]))
    gallery.delete(["t1"])
    gallery.optimise()
    info = Gallery.open(tmp_path, create=False).info()
    assert (info.count, info.model, info.dimension) == (0, "m1", 8)


def test_an_empty_list_decides_the_model(tmp_path):
    gallery = Gallery.open(tmp_path)
    assert gallery.upsert(make([1]).rows([])) == 0
    assert (gallery.info().model, gallery.count()) == ("m1", 0)


def test_names_with_quotes_and_line_breaks_come_back(tmp_path):
    names = ["it's", 'say "x"', "back\\slash", "two\nlines", "ünï", "%_", "a'); DROP TABLE t; --"]
    rows = tuple(Tracklet(n, (n,), Modality.VISIBLE, person_id=n, camera_id=n) for n in names)
    gallery = Gallery.open(tmp_path)
    gallery.upsert(Embeddings(make(range(7)).vectors, TrackletSet("x", rows), "m1"), contents=names)
    assert gallery.get(names).tracklets.tracklets == rows
    assert gallery.contents(names[:2]) == {n: n for n in names[:2]}
    for name, row in zip(names, rows, strict=True):
        assert list(gallery.filter(Filter(cameras=name))) == [row]
    assert gallery.delete(names[:6]) == 6
    assert ids(gallery) == names[6:]


def secret_tracklet(n: int) -> Tracklet:
    frames = (f"path-{n}-",)
    return Tracklet(f"name-{n}-", frames, Modality.VISIBLE, f"person-{n}-", f"camera-{n}-", float(n))


@pytest.mark.parametrize("how", ["person", "tracklet", "age", "delete"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_what_is_erased_leaves_the_disk(tmp_path, how, pieces):
    """One tracklet of many is a small part of its piece, which the store would leave as it is."""
    gallery = Gallery.open(tmp_path)
    for part in np.array_split(np.arange(100), pieces):
        tracklets = make(part.tolist())
        named = tuple(
            Tracklet(
                f"name-{n}-", (f"path-{n}-",), Modality.VISIBLE, f"person-{n}-", f"camera-{n}-", float(n)
            )
            for n in part
        )
        gallery.upsert(
            Embeddings(tracklets.vectors, TrackletSet("x", named), "m1"),
            thumbnails=[[b"jpeg-%d-" % n] for n in part],
            contents=[f"digest-{n}-" for n in part],
        )
    secrets = [b"name-0-", b"path-0-", b"person-0-", b"jpeg-0-", b"digest-0-", b"camera-0-"]
    secrets.append(make([0]).vectors.tobytes())
    before = bytes_below(tmp_path)
    assert all(secret in before for secret in secrets)
    match how:
        case "person":
            assert gallery.erase(person_ids="person-0-") == 1
        case "tracklet":
            assert gallery.erase(tracklet_ids="name-0-") == 1
        case "age":
            assert gallery.purge(0.5) == 1
        case "delete":
            gallery.delete(["name-0-"])
            gallery.optimise()
    after = bytes_below(tmp_path)
    assert [secret for secret in secrets if secret in after] == []
    assert b"name-1-" in after
    assert gallery.count() == Gallery.open(tmp_path).count() == 99
    assert gallery.thumbnails("name-1-") == [b"jpeg-1-"]


def test_erasing_reaches_a_replacement_on_its_way(tmp_path):
    gallery, new = Gallery.open(tmp_path), make(range(5), model="m2")
    gallery.upsert(make(range(5)), contents=[f"digest-{n}-" for n in range(5)])
    with gallery.replacement("m2") as replacement:
        replacement.store(Embeddings(new.vectors[:3], replacement.pending(3), "m2"))
    gallery.erase(tracklet_ids="t1")
    assert b"digest-1-" not in bytes_below(tmp_path)
    with gallery.replacement("m2") as replacement:  # what was gathered is still there
        assert replacement.count_pending() == 2
        replacement.store(Embeddings(new.vectors[3:], replacement.pending(9), "m2"))
        assert replacement.finish()
    assert ids(gallery) == ["t0", "t2", "t3", "t4"]


def test_a_replacement_for_another_model_is_given_up(tmp_path):
    gallery = Gallery.open(tmp_path)
    gallery.upsert(make(range(3)))
    with gallery.replacement("m2") as replacement:
        replacement.store(Embeddings(make(range(3), "m2").vectors[:2], replacement.pending(2), "m2"))
    assert (tmp_path / "tracklets-2.lance").is_dir()
    with gallery.replacement("m3") as replacement:
        assert replacement.count_pending() == 3
    assert not (tmp_path / "tracklets-2.lance").exists()


def test_what_was_written_meanwhile_is_moved_too(tmp_path):
    gallery, new = Gallery.open(tmp_path), make(range(9), model="m2")
    gallery.upsert(make(range(4)))
    with gallery.replacement("m2") as replacement:
        asked = replacement.pending(9)
        gallery.upsert(make([2], time=99.0))
        gallery.delete(["t3"])
        replacement.store(Embeddings(new.vectors[:4], asked, "m2"))  # t2 and t3 are not as they were asked
        assert [t.tracklet_id for t in replacement.pending(9)] == ["t2"]
        replacement.store(Embeddings(new.vectors[[2]], replacement.pending(9), "m2"))
        assert replacement.finish()
    found = gallery.get(["t0", "t1", "t2"])
    np.testing.assert_array_equal(found.vectors, new.vectors[:3])
    assert (gallery.count(), found.tracklets[2].time) == (3, 99.0)


def test_a_place_in_the_order_is_not_used_twice(tmp_path):
    gallery = Gallery.open(tmp_path)
    gallery.upsert(make(range(3)))
    with gallery.replacement("m2") as replacement:
        replacement.store(Embeddings(make(range(3), "m2").vectors, replacement.pending(9), "m2"))
        gallery.delete(["t2"])
        Gallery.open(tmp_path).upsert(make([7]))
        replacement.store(Embeddings(make([7], "m2").vectors, replacement.pending(9), "m2"))
        assert replacement.finish()
    assert ids(gallery) == ["t0", "t1", "t7"]


def test_optimise_removes_what_interrupted_writings_left(tmp_path):
    gallery = Gallery.open(tmp_path)
    gallery.upsert(make(range(3)))
    Gallery.open(tmp_path / "other").upsert(make([9]))
    (tmp_path / "other" / "tracklets-1.lance").rename(tmp_path / "tracklets-7.lance")
    stray = tmp_path / "tracklets-1.lance" / "data" / "0000.lance"
    stray.write_bytes(b"half a file")
    gallery.optimise()
    assert not stray.exists()
    assert not (tmp_path / "tracklets-7.lance").exists()
    assert ids(gallery) == ["t0", "t1", "t2"]


def test_a_first_writing_that_was_cut_off_is_begun_anew(tmp_path, monkeypatch):
    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_lance_store, "write_state", dies)
        with pytest.raises(KeyboardInterrupt):
            Gallery.open(tmp_path).upsert(make(range(3)))
    gallery = Gallery.open(tmp_path)
    assert gallery.info().model is None
    gallery.upsert(make([5]))
    assert ids(gallery) == ["t5"]


def test_many_writings_are_joined_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr("tapetum.search._lance_writer._JOIN_AFTER", 4)
    monkeypatch.setattr("tapetum.search._lance_operations._MANY_FRAGMENTS", 5)
    gallery = Gallery.open(tmp_path)
    for n in range(9):
        gallery.upsert(make([n]))
    stats = _lance_store.LanceStore(tmp_path).open("tracklets-1").stats()
    assert stats["fragment_stats"]["num_fragments"] < 6
    assert ids(gallery) == [f"t{n}" for n in range(9)]


def test_readers_go_on_where_another_removes_what_they_read(tmp_path):
    reader, writer = Gallery.open(tmp_path), Gallery.open(tmp_path)
    writer.upsert(make(range(300)))
    snapshot = reader._reader.snapshot()
    writer.delete([f"t{n}" for n in range(200)])
    writer.optimise()
    with pytest.raises(RuntimeError, match="Not found"):
        snapshot.read(np.arange(300), ["tracklet_id"])
    seen = []

    def read(latest):
        seen.append(latest)
        return (snapshot if len(seen) == 1 else latest).read(np.arange(5), ["frames"]).num_rows

    assert (reader._reader.read(read), len(seen)) == (5, 2)


def test_other_folders_are_refused(tmp_path):
    save_embeddings(make([1]), tmp_path / "embeddings")
    with pytest.raises(DataError, match="holds embeddings, not a gallery"):
        Gallery.open(tmp_path / "embeddings")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").touch()
    with pytest.raises(DataError, match=r"thesis\.tex"):
        Gallery.open(tmp_path / "work")
    with pytest.raises(DataError, match="is a file"):
        Gallery.open(tmp_path / "work" / "thesis.tex")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / gallery_folder.FAILURES).touch()
    assert Gallery.open(tmp_path / "begun").count() == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format_version": 2}, GalleryVersionError, "format_version is 2; this version reads 1"),
        ({"format_version": "1"}, DataError, "format_version is '1'"),
        ({"storage": None}, DataError, "storage is None"),
        ({"storage": "tape"}, DataError, "storage is 'tape'; expected 'lancedb'"),
        ({"table": 7}, DataError, "table is 7; expected str"),
        ({"table": "../../secrets"}, DataError, "not complete"),
        ({"dimension": 0}, DataError, "not complete"),
        ({"index": {"kind": "x"}}, DataError, "not complete"),
        ({"replacement": {"table": "tracklets-2"}}, DataError, "not complete"),
        ({"table": "tracklets-9"}, FileNotFoundError, "tracklets-9"),
    ],
)
def test_a_damaged_summary_is_refused(tmp_path, change, error, message):
    Gallery.open(tmp_path).upsert(make([1]))
    path = tmp_path / "gallery.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(error, match=message):
        Gallery.open(tmp_path)


def test_a_damaged_table_is_named(tmp_path):
    gallery = Gallery.open(tmp_path)
    gallery.upsert(make(range(300)))
    (data,) = (tmp_path / "tracklets-1.lance" / "data").iterdir()
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises((DataError, OSError), match=str(tmp_path)):
        LanceGallery(tmp_path).search(make([1]))
