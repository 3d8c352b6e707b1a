from dataclasses import replace

import numpy as np
import pytest

from tapetum.errors import ModelMismatchError
from tapetum.search import Filter, Gallery, GalleryItem, SearchEngine, Several
from tapetum.types import Embeddings, Modality, TrackletSet


class Known:
    """Embeds tracklets by their identifiers, and counts how often it is asked."""

    fingerprint = "model-1"

    def __init__(self, embeddings):
        self.rows = {
            t.tracklet_id: row for t, row in zip(embeddings.tracklets, embeddings.vectors, strict=True)
        }
        self.calls = []

    def encode(self, items):
        self.calls.append(len(items))
        return np.stack([self.rows[t.tracklet_id] for t in items])


def unit(vectors):
    mean = np.asarray(vectors, dtype=np.float64).mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_an_item_is_asked_by_its_stored_embedding_and_left_out(place, crowd, names):
    engine = SearchEngine(place)
    for where in (None, Filter(modality="infrared"), Filter(cameras=99)):
        found = engine.search(GalleryItem("3.1"), top=7, where=where)
        expected = place.similar_to("3.1", top=7, where=where)
        assert names(found) == names(expected)
        assert (found.searched, found.exact) == (expected.searched, True)
        assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
    assert found.seen is Modality.INFRARED
    np.testing.assert_array_equal(engine.embed(GalleryItem("3.1")).vectors[0], crowd.vectors[19])


def test_several_are_asked_by_the_mean_of_their_unit_embeddings(place, crowd, names):
    given = replace(crowd.rows([60]), vectors=3 * crowd.vectors[[60]])  # its length must not count
    several = Several((GalleryItem("3.1"), crowd.tracklets[20], given))
    model = Known(crowd)
    engine = SearchEngine(place, model)
    found = engine.embed(several)
    expected = unit(crowd.vectors[[19, 20, 60]])
    np.testing.assert_allclose(found.vectors, expected[None], atol=1e-6)
    assert model.calls == [1]
    answer = engine.search(several, top=200)
    similarity = crowd.vectors @ expected
    order = [i for i in np.argsort(-similarity, kind="stable") if i != 19]  # the item alone is left out
    assert names(answer) == [crowd.tracklets[i].tracklet_id for i in order]
    assert answer.searched == 119


def test_pictures_of_several_are_embedded_at_once(place, crowd):
    model = Known(crowd)
    tracklets = crowd.tracklets.tracklets
    found = SearchEngine(place, model).embed(Several(tracklets[:3]))
    assert model.calls == [3]
    np.testing.assert_allclose(found.vectors[0], unit(crowd.vectors[:3]), atol=1e-6)


def test_embeddings_are_queries_and_several_rows_are_several(place, crowd, names):
    engine = SearchEngine(place)
    assert names(engine.search(crowd.rows([5]), top=1)) == ["0.5"]
    both = engine.embed(crowd.rows([0, 1]))
    np.testing.assert_allclose(both.vectors[0], unit(crowd.vectors[:2]), atol=1e-6)


def test_several_are_seen_as_most_of_them_are(place, crowd):
    engine = SearchEngine(place)

    def seen(*rows):
        items = tuple(GalleryItem(crowd.tracklets[row].tracklet_id) for row in rows)
        return engine.search(Several(items), top=1).seen

    assert seen(0, 1, 3) is Modality.INFRARED
    assert seen(0, 2, 1) is Modality.VISIBLE
    assert seen(1, 0) is Modality.INFRARED  # as many of each: the first


def test_an_item_that_is_asked_twice_is_left_out_once(place, names):
    engine = SearchEngine(place)
    found = engine.search(Several((GalleryItem("3.1"), GalleryItem("3.1"))), top=200)
    assert (len(found), found.searched) == (119, 119)
    assert names(found) == names(engine.search(GalleryItem("3.1"), top=200))


def test_refusals(place, crowd, tmp_path):
    engine = SearchEngine(place)
    with pytest.raises(KeyError, match=r"99\.9"):
        engine.search(GalleryItem("99.9"))
    with pytest.raises(ValueError, match="pictures need a model"):
        engine.search(crowd.tracklets[0])
    with pytest.raises(ValueError, match="no query among the several"):
        Several(())
    with pytest.raises(TypeError, match="itself several"):
        Several((Several(("a.png",)),))
    with pytest.raises(ValueError, match="no rows"):
        engine.search(crowd.rows([]))
    with pytest.raises(ModelMismatchError):
        engine.search(replace(crowd.rows([0]), model="model-2"))
    with pytest.raises(ModelMismatchError):
        engine.search(Several((GalleryItem("0.1"), replace(crowd.rows([0]), model="model-2"))))
    row = Embeddings(np.eye(1, 3, dtype=np.float32), TrackletSet("x", (crowd.tracklets[0],)), "model-1")
    with pytest.raises(ValueError, match="dimensions 24 and 3"):
        engine.search(Several((GalleryItem("0.1"), row)))
    against = replace(crowd.rows([0]), vectors=-crowd.vectors[:1])
    with pytest.raises(ValueError, match="the mean of the queries is zero"):
        engine.search(Several((GalleryItem("0.0"), against)))
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        SearchEngine(place, Known(crowd)).search(Several((GalleryItem("0.0"), tmp_path / "gone.png")))
    with pytest.raises(KeyError, match=r"0\.0"):
        SearchEngine(Gallery.open("memory:")).search(GalleryItem("0.0"))
