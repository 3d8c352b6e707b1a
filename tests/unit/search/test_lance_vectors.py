"""Large galleries, made small: vectors that do not fit into memory, and approximate indexes."""

import numpy as np
import pytest

from tapetum.search import Filter, Gallery, _lance_index, _lance_snapshot, _lance_vectors
from tapetum.search.lance_gallery import LanceGallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

D = 16
FILTERS = [None, Filter(modality="visible"), Filter(cameras=[0, 3], after=100.0), Filter(cameras=99)]


def make(count, model="m1") -> Embeddings:
    """People in clusters, seen by nine cameras; every tenth a copy of the one before."""
    rng = np.random.default_rng(count)
    vectors = rng.standard_normal((1 + count // 8, D))[np.arange(count) // 8]
    vectors += 0.6 * rng.standard_normal((count, D))
    vectors[10::10] = vectors[9 : count - 1 : 10]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(
        Tracklet(f"t{n}", (f"{n}.jpg",), list(Modality)[n % 2], n // 8, n % 9, float(n)) for n in range(count)
    )
    return Embeddings(vectors.astype(np.float32), TrackletSet("test", rows), model)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("large") / "g"
    gallery = Gallery.open(place)
    for part in np.array_split(np.arange(600), 3):
        gallery.upsert(make(600).rows(part))
    return place


@pytest.mark.parametrize("bytes_per_entry", [4, 1, 0])
@pytest.mark.parametrize("where", FILTERS)
def test_answers_do_not_depend_on_memory(folder, monkeypatch, bytes_per_entry, where):
    monkeypatch.setattr(_lance_snapshot, "_READ_AT_ONCE", 128)
    reference = Gallery.open("memory:")
    reference.upsert(make(600))
    gallery = LanceGallery(folder, memory_bytes=600 * D * bytes_per_entry)
    for row in (0, 10, 333):
        query = make(600).rows([row])
        expected = reference.search(query, top=15, where=where)
        found = gallery.search(query, top=15, where=where)
        assert [hit.tracklet.tracklet_id for hit in found] == [h.tracklet.tracklet_id for h in expected]
        assert [hit.similarity for hit in found] == pytest.approx([h.similarity for h in expected], abs=1e-12)
        assert (found.exact, found.searched) == (True, expected.searched)


def test_memory_holds_what_it_may(folder):
    blocks = {}
    for allowed in (4, 1, 0):
        gallery = LanceGallery(folder, memory_bytes=600 * D * allowed)
        gallery.search(np.ones(D))
        held = gallery._vectors._held[2]
        blocks[allowed] = None if held is None else type(held.blocks[0]).__name__
    assert blocks == {4: "FloatBlock", 1: "ByteBlock", 0: None}


def test_embeddings_that_are_all_alike_are_held_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(_lance_vectors, "_SMALL", 0)
    monkeypatch.setattr(_lance_vectors, "_FEW", 30)
    alike = np.ones((200, D)) + 1e-3 * np.random.default_rng(0).standard_normal((200, D))
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    embeddings = Embeddings(alike.astype(np.float32), make(200).tracklets, "m1")
    reference = Gallery.open("memory:")
    reference.upsert(embeddings)
    gallery, kinds = LanceGallery(tmp_path), []
    gallery.upsert(embeddings)
    for row in (3, 50, 90):
        found, expected = (place.search(embeddings.rows([row])) for place in (gallery, reference))
        assert [hit.tracklet.tracklet_id for hit in found] == [h.tracklet.tracklet_id for h in expected]
        kinds.append(type(gallery._vectors._held[2].blocks[0]).__name__)
    assert kinds == ["ByteBlock", "FloatBlock", "FloatBlock"]


@pytest.fixture
def indexed(tmp_path):
    gallery = LanceGallery(tmp_path, exact_rows=250)
    gallery.upsert(make(600))
    assert gallery.search(make(600).rows([5])).manner == "exact"  # there is no index yet
    gallery.optimise()
    return gallery


def test_large_answers_say_what_they_find_and_small_ones_are_exact(indexed):
    info = indexed.info()
    assert not info.exact
    assert 0.5 < info.recall <= 1
    query = make(600).rows([5])
    everything, visible = indexed.search(query), indexed.search(query, where=Filter(modality="visible"))
    assert (everything.exact, everything.searched) == (False, 600)
    assert everything.manner == f"approximate, recall {info.recall:.2f}"
    assert everything.recall >= visible.recall  # of the filters that recall is measured for, the least
    assert (visible.exact, visible.searched) == (False, 300)
    few = indexed.search(query, where=Filter(before=200.0))
    assert (few.exact, few.searched, few.recall) == (True, 200, None)
    assert everything[0].similarity == pytest.approx(1, abs=1e-6)  # true products, not those of the index


def test_stated_recall_is_what_is_found(indexed):
    """Other questions than those that it was measured with; every answer beside the true one."""
    reference = Gallery.open("memory:")
    reference.upsert(make(600))
    hits = wanted = 0
    for row in range(0, 600, 17):
        query = make(600).rows([row])
        true = {hit.tracklet.tracklet_id for hit in reference.search(query)}
        hits += len(true & {hit.tracklet.tracklet_id for hit in indexed.search(query)})
        wanted += len(true)
    assert hits / wanted == pytest.approx(indexed.info().recall, abs=0.08)


def test_an_index_is_kept_as_long_as_it_fits(indexed, monkeypatch):
    made = []
    create = _lance_index._create_index
    monkeypatch.setattr(_lance_index, "_create_index", lambda *a: made.append(1) or create(*a))
    indexed.optimise()
    assert made == []
    extra = tuple(Tracklet(f"x{n}", (), Modality.VISIBLE) for n in range(30))
    indexed.upsert(Embeddings(make(600).vectors[:30], TrackletSet("x", extra), "m1"))
    found = indexed.search(make(600).rows([5]), top=5)
    assert "x5" in [hit.tracklet.tracklet_id for hit in found]  # not in the index, found all the same
    indexed.optimise()
    assert made == []  # few have come
    indexed.delete(["t5"])
    indexed.optimise()
    assert made == [1]  # an index of what was deleted must go
    assert indexed.count() == 629


def test_a_gallery_that_becomes_small_is_exact_again(indexed):
    indexed.delete([f"t{n}" for n in range(400)])
    indexed.optimise()
    assert indexed.info().exact
    assert indexed.search(np.ones(D)).exact
    assert not list(indexed._folder.glob("*.lance/_indices/*/*"))


def test_other_lengths_are_indexed_too(tmp_path):
    gallery = LanceGallery(tmp_path, exact_rows=50)
    some = make(100)
    cut = some.vectors[:, :6] / np.linalg.norm(some.vectors[:, :6], axis=1, keepdims=True)
    gallery.upsert(Embeddings(cut, some.tracklets, "m1"))
    gallery.optimise()
    assert gallery.search(cut[3], top=1).recall > 0.5
