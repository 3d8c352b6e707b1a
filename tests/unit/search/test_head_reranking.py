import numpy as np
import pytest

from tapetum.errors import GalleryChangedError, ModelMismatchError
from tapetum.evaluation import calibrate, rerank
from tapetum.search import Feedback, Filter, GalleryItem, SearchEngine
from tapetum.search.head_reranking import with_head_reranked


@pytest.mark.parametrize("where", [None, Filter(modality="visible")])
@pytest.mark.parametrize("head", [1, 2, 30, 500])
def test_the_head_is_that_of_rerank_and_the_rest_follows_unchanged(place, names, head, where):
    engine, query = SearchEngine(place), GalleryItem("7.1")
    plain = engine.search(query, top=200, where=where)
    found = engine.search(query, top=200, where=where, rerank_head=head)
    first = names(plain)[:head]
    distance = rerank(place.get(["7.1"]).vectors, place.get(first).vectors)[0]
    expected = [first[i] for i in np.argsort(distance, kind="stable")]
    assert names(found) == expected + names(plain)[head:]
    assert found.reranked
    assert not plain.reranked
    assert [hit.rank for hit in found] == list(range(1, len(plain) + 1))
    similarity = {hit.tracklet: hit.similarity for hit in plain}
    assert {hit.tracklet: hit.similarity for hit in found} == similarity
    assert (found.searched, found.exact) == (plain.searched, plain.exact)


def test_a_long_head_of_a_short_answer(place, names):
    engine, query = SearchEngine(place), GalleryItem("7.1")
    long = engine.search(query, top=200, rerank_head=40)
    assert names(long) != names(engine.search(query, top=200))  # so that the next line says something
    assert names(engine.search(query, top=5, rerank_head=40)) == names(long)[:5]


def test_probabilities_stay_those_of_the_similarity(place, crowd):
    engine = SearchEngine(place, None, calibrate(crowd))
    plain = engine.search(GalleryItem("7.1"), top=60)
    found = engine.search(GalleryItem("7.1"), top=60, rerank_head=60)
    assert {hit.tracklet: hit.probability for hit in found} == {h.tracklet: h.probability for h in plain}
    assert [hit.similarity for hit in found] != sorted((hit.similarity for hit in found), reverse=True)


def test_wrong_hits_leave_the_head_before_it_is_ordered(place, names):
    engine, query, marks = SearchEngine(place), GalleryItem("7.1"), Feedback(wrong=["8.1", "9.1"])
    plain = engine.search(query, top=200, feedback=marks)
    found = engine.search(query, top=200, feedback=marks, rerank_head=30)
    assert names(found)[30:] == names(plain)[30:]
    assert sorted(names(found)[:30]) == sorted(names(plain)[:30])


def test_groups_are_made_after_it(place, names):
    engine, query = SearchEngine(place), GalleryItem("7.1")
    found = engine.search(query, top=200, rerank_head=60)
    firsts = list({hit.tracklet.person_id: hit.tracklet.tracklet_id for hit in reversed(found)}.values())
    grouped = engine.search(query, top=200, rerank_head=60, group="person")
    assert set(names(grouped)) == set(firsts)
    assert names(grouped) == [name for name in names(found) if name in firsts]
    assert grouped.reranked


def test_hits_that_are_deleted_meanwhile_are_asked_anew(place, names):
    class Shrinking(type(place)):
        """Loses hits after each search."""

        losses = 1

        def search(self, query, *, top=20, where=None):
            found = super().search(query, top=top, where=where)
            if self.losses:
                self.losses -= 1
                self.delete([found[-1].tracklet.tracklet_id])
            return found

    gallery = Shrinking()
    gallery.upsert(place.get([t.tracklet_id for t in place.filter()]))
    engine, query = SearchEngine(gallery), place.get(["7.1"])
    found = engine.search(query, top=10, rerank_head=10)
    assert (len(found), found.searched) == (10, 119)
    gallery.losses = 10
    with pytest.raises(GalleryChangedError, match="ask again"):
        engine.search(query, top=10, rerank_head=10)


def test_refusals(place, crowd):
    with pytest.raises(ValueError, match="rerank_head is 0"):
        SearchEngine(place).search(GalleryItem("7.1"), rerank_head=0)
    query = place.get(["7.1"])
    found = place.search(query, top=5)
    with pytest.raises(ModelMismatchError):
        with_head_reranked(found, type(query)(query.vectors, query.tracklets, "model-2"), place, 5)


def test_an_empty_answer_is_none_the_less_reranked(place):
    found = SearchEngine(place).search(GalleryItem("7.1"), where=Filter(cameras=99), rerank_head=9)
    assert (len(found), found.reranked) == (0, True)
