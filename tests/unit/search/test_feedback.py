from dataclasses import replace

import numpy as np
import pytest

from tapetum.errors import ModelMismatchError
from tapetum.search import Feedback, Filter, Gallery, GalleryItem, SearchEngine
from tapetum.search.feedback import WRONG, improved
from tapetum.types import Modality


def unit(vector):
    return vector / np.linalg.norm(vector)


def average_precision(found, person, passed):
    """Of the hits that were not marked; None where no right one is left."""
    rest = [hit.tracklet for hit in found if hit.tracklet.tracklet_id not in passed]
    ranks = np.flatnonzero([t.person_id == person for t in rest]) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else None


def one_round(gallery, where=None, looked_at=10, use=("right", "wrong")):
    """Mean average precision of all queries before and after the nearest were marked, these not counted."""
    engine, before, after = SearchEngine(gallery), [], []
    for query in gallery.filter()[::3]:
        asked = GalleryItem(query.tracklet_id)
        within = where(query) if where else None
        first = engine.search(asked, top=1000, where=within)
        marks = {"right": [], "wrong": []}
        for hit in first[:looked_at]:
            kind = "right" if hit.tracklet.person_id == query.person_id else "wrong"
            marks[kind].append(hit.tracklet.tracklet_id)
        second = engine.search(asked, top=1000, where=within, feedback=Feedback(**{k: marks[k] for k in use}))
        passed = {*marks["right"], *marks["wrong"]}
        precisions = [average_precision(found, query.person_id, passed) for found in (first, second)]
        if None not in precisions:
            before.append(precisions[0])
            after.append(precisions[1])
    return np.mean(before), np.mean(after)


@pytest.fixture(scope="module")
def hard(hard_crowd):
    gallery = Gallery.open("memory:")
    gallery.upsert(hard_crowd)
    return gallery


def other_side(query):
    return Filter(modality=query.modality.other)


def test_one_round_finds_more_of_what_was_not_seen_yet(hard):
    for where in (None, other_side):
        before, after = one_round(hard, where)
        assert after > before + 0.3, where


def test_wrong_hits_help_beside_right_ones(hard):
    for where in (None, other_side):
        alone, both = (one_round(hard, where, use=use)[1] for use in (("right",), ("right", "wrong")))
        assert both > alone + 0.02, where


def test_the_query_is_moved_as_documented(crowd):
    day, night = (np.flatnonzero([t.modality is m for t in crowd.tracklets]) for m in Modality)
    asked, right = crowd.rows(day[:1]), crowd.rows([*day[1:3], *night[:1]])
    wrong = crowd.rows([*day[10:12], night[10]])
    found = improved(asked, right, wrong).vectors
    middle = unit(unit(crowd.vectors[day[:3]].astype(float).mean(axis=0)) + crowd.vectors[night[0]])
    expected = unit(middle - WRONG * wrong.vectors.astype(float).mean(axis=0))
    np.testing.assert_allclose(found, expected[None], atol=1e-6)
    assert improved(asked, crowd.rows([]), crowd.rows([])) is asked


def test_one_right_hit_of_the_other_side_takes_the_query_half_the_way(crowd):
    asked, right = crowd.rows([0]), crowd.rows([1])
    assert asked.tracklets[0].modality is not right.tracklets[0].modality
    found = improved(asked, right, crowd.rows([])).vectors[0]
    np.testing.assert_allclose(found @ asked.vectors[0], found @ right.vectors[0], atol=1e-6)
    again = improved(asked, crowd.rows([2, 4, 1]), crowd.rows([])).vectors[0]  # two of its own side, too
    own = unit(crowd.vectors[[0, 2, 4]].astype(float).mean(axis=0))
    np.testing.assert_allclose(again @ own, again @ right.vectors[0], atol=1e-6)


def test_right_hits_stay_marked_and_wrong_ones_go(place, names):
    engine, query = SearchEngine(place), GalleryItem("4.2")
    marks = Feedback(right=["4.1"], wrong=["9.1", "5.0"])
    found = engine.search(query, top=200, feedback=marks)
    assert [hit.tracklet.tracklet_id for hit in found if hit.marked == "right"] == ["4.1"]
    assert sum(hit.marked is None for hit in found) == len(found) - 1
    assert {"9.1", "5.0", "4.2"}.isdisjoint(names(found))
    assert (len(found), found.searched) == (117, 117)
    assert engine.search(query, top=200, feedback=replace(marks, right=("4.2", "4.1"))).hits == found.hits
    night = engine.search(query, top=200, where=Filter(modality="infrared"), feedback=marks)
    assert (len(night), night.searched) == (59, 59)  # 5.0 was seen by day, and so was the query
    improved_query = improved(place.get(["4.2"]), place.get(["4.1"]), place.get(["9.1", "5.0"]))
    similarity = {hit.tracklet: hit.similarity for hit in place.search(improved_query, top=200)}
    assert all(similarity[hit.tracklet] == hit.similarity for hit in found)


def test_marks_are_kept_once_and_in_order():
    marks = Feedback(right=["b", "a", "b"], wrong="c")
    assert (marks.right, marks.wrong) == (("b", "a"), ("c",))
    assert Feedback() == Feedback(right=[], wrong=())


def test_refusals(place, crowd):
    engine, query = SearchEngine(place), GalleryItem("4.2")
    with pytest.raises(ValueError, match=r"'4\.1' is marked both right and wrong"):
        Feedback(right=["4.1"], wrong=["4.1"])
    with pytest.raises(ValueError, match=r"'4\.2' is the query, and it is marked wrong"):
        engine.search(query, feedback=Feedback(wrong=["4.2"]))
    for marks in (Feedback(right=["77.7"]), Feedback(wrong=["77.7"])):
        with pytest.raises(KeyError, match=r"77\.7"):
            engine.search(query, feedback=marks)
    with pytest.raises(ModelMismatchError):
        engine.search(replace(crowd.rows([0]), model="model-2"), feedback=Feedback(right=["4.1"]))
    against = replace(crowd.rows([0]), vectors=-crowd.vectors[:1])
    with pytest.raises(ValueError, match="nothing is left to search by"):
        improved(crowd.rows([0]), against, crowd.rows([]))
