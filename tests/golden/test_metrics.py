"""Scores against a plain loop over a stable ranking, and against values worked by hand."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tapetum.errors import NoMatchError
from tapetum.evaluation.ranking.stable_order import stable_order
from tapetum.evaluation.scores.metrics import Scores, score_distances, score_embeddings
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def plain_scores(distance, query_ids, gallery_ids, leave_out, count, max_rank):
    """(cmc, AP, INP and first rank of each query; None where there is no match), item by item."""
    average_precision, inp, first_rank = [], [], []
    for q, row in enumerate(distance):
        ranking = sorted(range(len(row)), key=lambda g: row[g])  # Python's sort is stable
        ranking = [g for g in ranking if leave_out is None or not leave_out[q][g]]
        true = [query_ids[q] is not None and gallery_ids[g] == query_ids[q] for g in ranking]
        if not any(true):
            average_precision.append(None), inp.append(None), first_rank.append(None)
            continue
        hits, total, last = 0, 0.0, 0
        for k, is_true in enumerate(true, start=1):
            if is_true:
                hits, last = hits + 1, k
                total += hits / k
        average_precision.append(total / hits)
        inp.append(hits / last)
        before = [gallery_ids[g] for g in ranking[: true.index(True)]]
        unknown = Counter(i is None for i in before)[True]
        people = len({i for i in before if i is not None}) + unknown
        first_rank.append(1 + (people if count == "identities" else len(before)))
    valid = [r for r in first_rank if r is not None]
    cmc = [sum(r <= k for r in valid) / len(valid) for k in range(1, max_rank + 1)] if valid else None
    return cmc, average_precision, inp, first_rank


def assert_equal(scores: Scores, expected) -> None:
    cmc, average_precision, inp, first_rank = expected
    valid = [a for a in average_precision if a is not None]
    assert scores.queries == len(valid)
    assert scores.skipped == len(average_precision) - len(valid)
    assert scores.first_rank.tolist() == [r or 0 for r in first_rank]
    np.testing.assert_array_equal(scores.cmc, cmc)
    np.testing.assert_allclose(
        scores.average_precision, [np.nan if a is None else a for a in average_precision], 1e-13
    )
    np.testing.assert_allclose(scores.inp, [np.nan if a is None else a for a in inp], 1e-15)
    assert scores.mean_ap == pytest.approx(sum(valid) / len(valid), abs=1e-13)
    assert scores.mean_inp == pytest.approx(sum(i for i in inp if i is not None) / len(valid), abs=1e-13)


def check(distance, query_ids, gallery_ids, leave_out, count, max_rank):
    expected = plain_scores(np.asarray(distance), query_ids, gallery_ids, leave_out, count, max_rank)
    arguments = {"leave_out": leave_out, "count": count, "max_rank": max_rank}
    if expected[0] is None:
        with pytest.raises(NoMatchError, match=f"{len(query_ids)} queries"):
            score_distances(distance, query_ids, gallery_ids, **arguments)
        return
    assert_equal(score_distances(distance, query_ids, gallery_ids, **arguments), expected)


identifiers = st.one_of(
    st.integers(-2, 3), st.none(), st.sampled_from([10**15, -(10**12)]), st.sampled_from(["a", "b", "3"])
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_scores_equal_a_plain_loop(data):
    queries, gallery = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 24))
    levels = data.draw(st.sampled_from([2, 5, 1000]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    distance = (rng.integers(-levels, levels + 1, (queries, gallery)) / 7).astype(
        data.draw(st.sampled_from([np.float32, np.float64, np.float16]))
    )
    query_ids = data.draw(st.lists(identifiers, min_size=queries, max_size=queries))
    gallery_ids = data.draw(st.lists(identifiers, min_size=gallery, max_size=gallery))
    leave_out = rng.random(distance.shape) < 0.3 if data.draw(st.booleans()) else None
    count = data.draw(st.sampled_from(["images", "identities"]))
    check(distance, query_ids, gallery_ids, leave_out, count, data.draw(st.sampled_from([1, 4, 20])))


@pytest.mark.parametrize("count", ["images", "identities"])
@pytest.mark.parametrize("decimals", [None, 2])
@pytest.mark.parametrize("people", [3, 60])
def test_many_queries_over_several_blocks_equal_a_plain_loop(count, decimals, people):
    rng = np.random.default_rng(people)
    distance = rng.standard_normal((300, 500)).astype(np.float32)
    if decimals is not None:
        distance = distance.round(decimals)
    query_ids, gallery_ids = rng.integers(0, people + 5, 300), rng.integers(0, people, 500)
    leave_out = rng.random(distance.shape) < 0.1
    check(distance, query_ids.tolist(), gallery_ids.tolist(), leave_out, count, 20)


GALLERY_IDS = [7, 3, 7, 7, 5]
GALLERY_CAMERAS = [2, 2, 1, 3, 1]


@pytest.mark.parametrize(
    ("rule", "rank_1", "rank_2", "mean_ap", "mean_inp"),
    [(True, 0.0, 1.0, (1 / 2 + 2 / 3) / 2, 2 / 3), (False, 1.0, 1.0, (1 + 2 / 3 + 3 / 4) / 3, 3 / 4)],
)
def test_camera_rule_by_hand(rule, rank_1, rank_2, mean_ap, mean_inp):
    leave_out = [[rule and i == 7 and c == 2 for i, c in zip(GALLERY_IDS, GALLERY_CAMERAS, strict=True)]]
    scores = score_distances([[0.1, 0.2, 0.3, 0.4, 0.5]], [7], GALLERY_IDS, leave_out=leave_out)
    assert (scores.rank(1), scores.rank(2)) == (rank_1, rank_2)
    assert scores.mean_ap == pytest.approx(mean_ap, abs=1e-15)
    assert scores.mean_inp == pytest.approx(mean_inp, abs=1e-15)
    assert round(scores.mean_ap, 4) == (0.5833 if rule else 0.8056)


def test_three_queries_with_identity_count_by_hand():
    """Query 1 sees 5 5 7 9 7 4 (two items left out), query 2 sees 9 4 5 7 9 7 5 7, query 3 has no match."""
    people = [5, 7, 5, 9, 7, 9, 7, 4]
    first = [0, 1, 2, 3, 4, 5, 6, 7]
    cameras = [1, 2, 4, 2, 4, 1, 1, 5]
    #                   5/1 7/2 5/4 9/2 7/4 9/1 7/1 4/5
    second = [2, 5, 6, 0, 7, 4, 3, 1]
    leave_out = np.array([[c == 2 for c in cameras], [False] * 8, [False] * 8])
    scores = score_distances(
        np.array([first, second, first]),
        [7, 9, 8],
        people,
        leave_out=leave_out,
        count="identities",
        max_rank=4,
    )
    assert scores.cmc.tolist() == [0.5, 1.0, 1.0, 1.0]
    assert scores.average_precision[:2] == pytest.approx([11 / 30, 0.7], abs=1e-15)
    assert scores.inp[:2] == pytest.approx([2 / 5, 2 / 5], abs=1e-15)
    assert scores.mean_ap == pytest.approx((11 / 30 + 0.7) / 2, abs=1e-15)
    assert (scores.queries, scores.skipped) == (2, 1)
    by_images = score_distances(np.array([first]), [7], people, leave_out=leave_out[:1])
    assert (scores.first_rank[0], by_images.first_rank[0]) == (2, 3)


def embeddings(vectors, ids, cameras, model="m") -> Embeddings:
    tracklets = tuple(
        Tracklet(str(row), ("x.jpg",), Modality.VISIBLE, person_id=i, camera_id=c)
        for row, (i, c) in enumerate(zip(ids, cameras, strict=True))
    )
    return Embeddings(np.asarray(vectors, dtype=np.float32), TrackletSet("test", tracklets), model)


def random_embeddings(rng, rows, people, cameras, levels=None) -> Embeddings:
    """With `levels`, vectors of small integers: their products are exact, and many are equal."""
    vectors = rng.integers(-levels, levels + 1, (rows, 8)) if levels else rng.standard_normal((rows, 8))
    if not levels:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [None if i == people else i for i in rng.integers(0, people + 1, rows).tolist()]
    places = [None if c == cameras else c for c in rng.integers(0, cameras + 1, rows).tolist()]
    return embeddings(vectors, ids, places)


def pairs_out(query: Embeddings, gallery: Embeddings, same_camera: bool, hidden_cameras):
    def is_out(q, g):
        own = None not in (q.person_id, q.camera_id) and (q.person_id, q.camera_id) == (
            g.person_id,
            g.camera_id,
        )
        return (own and not same_camera) or (q.camera_id, g.camera_id) in hidden_cameras

    return np.array([[is_out(q, g) for g in gallery.tracklets] for q in query.tracklets])


@pytest.mark.parametrize("count", ["images", "identities"])
@pytest.mark.parametrize("same_camera", [True, False])
@pytest.mark.parametrize("hidden_cameras", [(), ((3, 2),), ((0, 0), (0, 1), (3, 2), (1, 99))])
@pytest.mark.parametrize("levels", [None, 1, 3])
@pytest.mark.parametrize("block", [7, 256])
def test_embeddings_score_as_their_distances(count, same_camera, hidden_cameras, levels, block):
    rng = np.random.default_rng(levels or 0)
    query, gallery = random_embeddings(rng, 90, 12, 4, levels), random_embeddings(rng, 210, 10, 4, levels)
    distance = -query.vectors.astype(np.float64) @ gallery.vectors.astype(np.float64).T
    leave_out = pairs_out(query, gallery, same_camera, hidden_cameras)
    ids = [[t.person_id for t in part.tracklets] for part in (query, gallery)]
    expected = plain_scores(distance, *ids, leave_out, count, 20)
    assert_equal(score_distances(distance, *ids, leave_out=leave_out, count=count), expected)
    for dtype in (torch.float32, torch.float64):
        rules = {"same_camera": same_camera, "hidden_cameras": hidden_cameras, "count": count}
        assert_equal(score_embeddings(query, gallery, **rules, block=block, dtype=dtype), expected)


def test_stable_order_equals_a_stable_argsort():
    rng = np.random.default_rng(0)
    distance = rng.standard_normal((20, 300)).astype(np.float32).round(1)
    distance[rng.random(distance.shape) < 0.1] *= 0.0
    distance[rng.random(distance.shape) < 0.05] = np.inf
    distance[rng.random(distance.shape) < 0.05] = -np.inf
    expected = np.argsort(distance, axis=1, kind="stable")
    np.testing.assert_array_equal(stable_order(distance), expected)
    np.testing.assert_array_equal(stable_order(distance.astype(np.float64)), expected)
