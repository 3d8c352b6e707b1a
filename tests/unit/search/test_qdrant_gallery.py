import gc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tapetum.errors import DataError, GalleryInUseError, GalleryVersionError
from tapetum.search import Gallery
from tapetum.search.addresses import server_place
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

pytest.importorskip("qdrant_client")

from tapetum.search._qdrant_store import Place, QdrantStore
from tapetum.search.qdrant_gallery import QdrantGallery


def make(numbers, model="m1", dimension=8) -> Embeddings:
    vectors = np.stack([np.random.default_rng(n).standard_normal(dimension) for n in numbers])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(
        Tracklet(f"name-{n}-", (f"path-{n}-",), list(Modality)[n % 2], f"person-{n}-", n, float(n))
        for n in numbers
    )
    return Embeddings(vectors.astype(np.float32), TrackletSet("test", rows), model)


@pytest.fixture
def open_at():
    """A function that opens a gallery without a server; what it opened is closed in the end."""
    opened = []

    def open_gallery(folder: Path, **options) -> Gallery:
        opened.append(Gallery.open(f"qdrant:{folder}", **options))
        return opened[-1]

    yield open_gallery
    for gallery in opened:
        gallery.close()


def ids(gallery) -> list[str]:
    return [t.tracklet_id for t in gallery.filter()]


def bytes_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_opening_writes_nothing(open_at, tmp_path):
    gallery = open_at(tmp_path / "g")
    assert (len(gallery.search(np.ones(8))), gallery.count(), gallery.contents()) == (0, 0, {})
    gallery.optimise()
    assert not (tmp_path / "g").exists()
    with pytest.raises(FileNotFoundError, match="there is no gallery"):
        open_at(tmp_path / "g", create=False)


def test_what_was_stored_is_there_when_opened_again(open_at, tmp_path):
    gallery = open_at(tmp_path)
    gallery.upsert(make(range(5)), thumbnails=[[b"\x00\xff%d" % n] for n in range(5)])
    info = gallery.info()
    gallery.close()
    again = open_at(tmp_path, create=False)
    assert again.info() == info
    assert (info.storage, info.model, info.cameras) == ("qdrant", "m1", (0, 1, 2, 3, 4))
    np.testing.assert_array_equal(again.get(["name-3-"]).vectors, make([3]).vectors)
    assert again.thumbnails("name-3-") == [b"\x00\xff3"]


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the client leaves a file open
def test_a_second_one_is_told_that_the_folder_is_in_use(open_at, tmp_path):
    open_at(tmp_path).upsert(make([1]))
    with pytest.raises(GalleryInUseError, match=f"{tmp_path} is in use"):
        open_at(tmp_path)
    gc.collect()


def test_what_is_erased_leaves_the_disk(open_at, tmp_path):
    gallery = open_at(tmp_path)
    gallery.upsert(make(range(5)), contents=[f"digest-{n}-" for n in range(5)])
    secrets = [b"name-0-", b"path-0-", b"person-0-", b"digest-0-"]
    assert all(secret in bytes_below(tmp_path) for secret in secrets)
    assert gallery.erase(person_ids="person-0-") == 1
    after = bytes_below(tmp_path)
    assert [secret for secret in secrets if secret in after] == []
    assert b"name-1-" in after
    assert ids(gallery) == [f"name-{n}-" for n in range(1, 5)]
    assert gallery.contents(["name-2-"]) == {"name-2-": "digest-2-"}
    gallery.close()
    assert ids(open_at(tmp_path)) == [f"name-{n}-" for n in range(1, 5)]


def test_an_erasure_that_was_cut_off_is_completed_by_the_next(open_at, tmp_path):
    gallery = open_at(tmp_path)
    gallery.upsert(make(range(3)))
    gallery.delete(["name-0-"])
    gallery.optimise()
    assert b"name-0-" not in bytes_below(tmp_path)


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_it_was_told_is_stored(open_at, tmp_path):
    program = """
import sys
import numpy as np
from tapetum.search import Gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

gallery = Gallery.open(sys.argv[1])
for n in range(10_000):
    rows = (Tracklet(f"t{n}", (f"{n}.jpg",), Modality.VISIBLE, n),)
    vectors = np.eye(8, dtype=np.float32)[[n % 8]]
    gallery.upsert(Embeddings(vectors, TrackletSet("x", rows), "m1"), contents=[f"c{n}"])
    print(n, flush=True)
"""
    words = [sys.executable, "-c", program, f"qdrant:{tmp_path / 'g'}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
        stored = next(int(line) for line in writer.stdout if int(line) >= 5)
        writer.kill()
        rest = writer.stdout.read().split()
    stored = int(rest[-1]) if rest else stored
    gallery = open_at(tmp_path / "g")
    count = gallery.count()
    assert count in (stored + 1, stored + 2)
    assert sorted(ids(gallery)) == sorted(f"t{n}" for n in range(count))
    assert gallery.contents(["t0"]) == {"t0": "c0"}
    gallery.upsert(make([7]))
    assert gallery.count() == count + 1


def test_a_move_goes_on_where_it_was_cut_off(open_at, tmp_path):
    gallery, new = open_at(tmp_path), make(range(4), "m2", 6)
    gallery.upsert(make(range(4)))
    with gallery.replacement("m2") as replacement:
        asked = replacement.pending(2)
        rows = [int(t.tracklet_id.split("-")[1]) for t in asked]
        replacement.store(Embeddings(new.vectors[rows], asked, "m2"))
    gallery.close()
    gallery = open_at(tmp_path)
    with gallery.replacement("m2") as replacement:
        asked = replacement.pending(9)
        assert len(asked) == 2
        rows = [int(t.tracklet_id.split("-")[1]) for t in asked]
        replacement.store(Embeddings(new.vectors[rows], asked, "m2"))
        assert replacement.finish()
    np.testing.assert_array_equal(gallery.get([f"name-{n}-" for n in range(4)]).vectors, new.vectors)
    assert b"tracklets-1" not in bytes_below(tmp_path)


def test_a_move_to_yet_another_model_starts_anew(open_at, tmp_path):
    gallery = open_at(tmp_path)
    gallery.upsert(make(range(3)))
    with gallery.replacement("m2") as replacement:
        replacement.store(Embeddings(make([0], "m2").vectors, replacement.pending(1), "m2"))
    with gallery.replacement("m3") as replacement:
        assert replacement.count_pending() == 3


def test_large_answers_are_approximate_and_say_what_they_find():
    gallery = QdrantGallery(Place("qdrant::memory:", "g"), exact_rows=30)
    gallery.upsert(make(range(80)))
    assert gallery.search(make([3])).manner == "exact"  # nothing is known of the index yet
    gallery.optimise()
    assert (gallery.info().exact, gallery.info().recall) == (False, 1.0)  # without a server all is compared
    found = gallery.search(make([3]), top=5)
    assert found.manner == "approximate, recall 1.00"
    assert found[0].tracklet.tracklet_id == "name-3-"
    gallery.delete([f"name-{n}-" for n in range(60)])
    assert gallery.search(make([70])).manner == "exact"
    gallery.optimise()
    assert gallery.info().exact


def test_a_collection_of_somebody_else_is_refused():
    from qdrant_client import models

    gallery = QdrantGallery(Place("qdrant::memory:", "people"))
    config = models.VectorParams(size=2, distance=models.Distance.DOT)
    with gallery._store.using() as client:
        client.create_collection("people", vectors_config=config)
    with pytest.raises(DataError, match="people is a collection, but no gallery"):
        gallery.upsert(make([1]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format_version": 2}, GalleryVersionError, "format_version is 2; this version reads 1"),
        ({"format": "other"}, DataError, "is no gallery of Tapetum"),
        ({"dimension": "wide"}, DataError, "not complete"),
    ],
)
def test_a_gallery_that_cannot_be_read_is_refused(open_at, tmp_path, change, error, message):
    gallery = open_at(tmp_path)
    gallery.upsert(make([1]))
    with gallery._store.using() as client:
        client.update_collection("tracklets-1", metadata=change)
    gallery.close()
    with pytest.raises(error, match=message):
        open_at(tmp_path)


def test_a_server_that_does_not_answer_is_named():
    with pytest.raises(ConnectionError, match=r"qdrant://127\.0\.0\.1:9/people: no answer"):
        Gallery.open("qdrant://127.0.0.1:9/people")


def test_addresses_of_servers(monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    place = server_place("qdrant+https://host/people?shards=6&replicas=2")
    assert place == Place(place.uri, "people", "https://host:6333", None, 6, 2, "secret")
    assert replace(server_place("qdrant://h:1/n"), uri="") == Place("", "n", "http://h:1", key="secret")
    assert QdrantStore(place).is_server
    assert server_place("qdrant://host/people?replicas=3&consistency=2").consistency == 2


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("qdrant://host:6333", "expected qdrant://HOST:PORT/NAME"),
        ("qdrant:///people", "expected qdrant://HOST:PORT/NAME"),
        ("qdrant://host/a/b", "expected qdrant://HOST:PORT/NAME"),
        ("qdrant://user:key@host/people", "give the server's key in QDRANT_API_KEY"),
        ("qdrant://host/people?shards=0", "shards=0"),
        ("qdrant://host/people?copies=2", "copies=2"),
        ("qdrant://host/people?consistency=x", "shards=N, replicas=N, consistency=N"),
        ("qdrant:", "address is empty"),
    ],
)
def test_addresses_that_name_no_place_are_refused(address, message):
    with pytest.raises(ValueError, match=message):
        Gallery.open(address)
