import json
import math

import numpy as np
import pytest
import torch

from tapetum.errors import ModelMismatchError, NoMatchError
from tapetum.evaluation import Scores, score_distances, score_embeddings
from tapetum.evaluation.distances import block_sizes, blocks
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

DISTANCE = [[0.3, 0.1, 0.2, 0.4], [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]
QUERY_IDS, GALLERY_IDS = [1, 2, 9], [1, 2, 1, 3]


def same(one: Scores, two: Scores) -> None:
    assert one.to_json() == two.to_json()
    np.testing.assert_array_equal(one.average_precision, two.average_precision)
    np.testing.assert_array_equal(one.inp, two.inp)
    np.testing.assert_array_equal(one.first_rank, two.first_rank)


def make(vectors, ids, cameras=None, model="m") -> Embeddings:
    cameras = cameras or [None] * len(ids)
    rows = tuple(
        Tracklet(str(n), (), Modality.VISIBLE, person_id=i, camera_id=c)
        for n, (i, c) in enumerate(zip(ids, cameras, strict=True))
    )
    return Embeddings(np.asarray(vectors, dtype=np.float32), TrackletSet("test", rows), model)


def test_small_case_by_hand():
    """Query 1 sees 2 1 1 3; query 2 sees 1 2 1 3; query 9 is not there."""
    scores = score_distances(DISTANCE, QUERY_IDS, GALLERY_IDS, max_rank=6)
    assert scores.cmc.tolist() == [0, 1, 1, 1, 1, 1]
    assert scores.cmc.dtype == np.float64
    assert scores.first_rank.tolist() == [2, 2, 0]
    np.testing.assert_allclose(scores.average_precision, [(1 / 2 + 2 / 3) / 2, 1 / 2, math.nan])
    np.testing.assert_allclose(scores.inp, [2 / 3, 1 / 2, math.nan])
    assert (scores.queries, scores.skipped) == (2, 1)


def test_ties_are_broken_by_gallery_order():
    flat = np.zeros((1, 4))
    assert score_distances(flat, ["b"], ["a", "b", "b", "c"]).first_rank[0] == 2
    assert score_distances(flat, ["b"], ["b", "a", "b", "c"]).first_rank[0] == 1
    assert score_distances(flat, ["c"], ["a", "a", "b", "c"], count="identities").first_rank[0] == 3


@pytest.mark.parametrize(
    "convert",
    [
        np.array,
        torch.tensor,
        lambda d: np.array(d)[:, ::-1][:, ::-1],
        lambda d: torch.tensor(d, dtype=torch.float64, requires_grad=True),
        lambda d: (np.array(d) * 10).round().astype(int),
        lambda d: torch.tensor(d).to(torch.bfloat16),
        lambda d: np.array(d, dtype=np.float16),
    ],
)
def test_arrays_and_tensors_of_any_number_type_score_alike(convert):
    same(
        score_distances(convert(DISTANCE), QUERY_IDS, GALLERY_IDS),
        score_distances(DISTANCE, QUERY_IDS, GALLERY_IDS),
    )


def test_input_is_not_changed():
    distance = np.array(DISTANCE, dtype=np.float32)
    distance.flags.writeable = False
    mask = np.array(DISTANCE) > 0.3
    mask.flags.writeable = False
    score_distances(distance, QUERY_IDS, GALLERY_IDS, leave_out=mask)
    tensor = torch.tensor(DISTANCE)
    score_distances(tensor, QUERY_IDS, GALLERY_IDS, leave_out=torch.from_numpy(mask.copy()))
    np.testing.assert_array_equal(tensor, torch.tensor(DISTANCE))


@pytest.mark.parametrize(
    "convert",
    [
        np.array,
        torch.tensor,
        tuple,
        lambda i: np.array(i, np.int8),
        lambda i: [str(x) for x in i],
        lambda i: [np.int64(x) for x in i],
    ],
)
def test_identifiers_of_any_kind_score_alike(convert):
    found = score_distances(DISTANCE, convert(QUERY_IDS), convert(GALLERY_IDS))
    same(found, score_distances(DISTANCE, QUERY_IDS, GALLERY_IDS))


def test_float64_distances_are_not_rounded():
    close = np.array([[1.0 + 1e-12, 1.0]])
    assert score_distances(close, [1], [1, 2]).first_rank[0] == 2


def test_distractors_stay_in_the_list_and_match_nobody():
    for stranger in (None, -1):
        scores = score_distances([[0.1, 0.2, 0.3]], [7], [stranger, stranger, 7])
        assert (scores.first_rank[0], scores.mean_ap) == (3, pytest.approx(1 / 3))
    unknown = score_distances(np.zeros((2, 2)), [None, 7], [None, 7])
    assert (unknown.queries, unknown.skipped) == (1, 1)


def test_unknown_people_count_one_by_one_and_named_ones_once():
    distance = [[0.1, 0.2, 0.3]]
    assert score_distances(distance, [7], [None, None, 7], count="identities").first_rank[0] == 3
    assert score_distances(distance, [7], [-1, -1, 7], count="identities").first_rank[0] == 2


def test_copies_of_a_wrong_person_do_not_change_the_identity_count():
    rng = np.random.default_rng(0)
    distance, ids = rng.random((20, 40)), rng.integers(0, 6, 40)
    wrong = np.flatnonzero(ids == 3)
    more = np.concatenate([distance, distance[:, wrong]], axis=1), np.concatenate([ids, ids[wrong]])
    queries = [0, 1, 2, 4, 5] * 4
    before, after = (score_distances(d, queries, i, count="identities") for d, i in ((distance, ids), more))
    np.testing.assert_array_equal(before.cmc, after.cmc)
    images = score_distances(distance, queries, ids), score_distances(more[0], queries, more[1])
    assert images[1].mean_ap < images[0].mean_ap
    assert (images[1].cmc <= images[0].cmc).all()


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    distance, ids = (
        rng.integers(0, 40, (30, 50)).astype(np.float32),
        (rng.integers(0, 9, 30), rng.integers(0, 9, 50)),
    )
    whole = score_distances(distance, *ids)
    monkeypatch.setattr(block_sizes, "_MOST_ENTRIES", 50 * 16)
    same(score_distances(distance, *ids), whole)
    assert [(s.start, s.stop) for s in blocks.block_rows(40, 50)] == [(0, 16), (16, 32), (32, 40)]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"distance": np.zeros((3, 5))}, ValueError, r"distance has shape \(3, 5\).*\(3, 4\)"),
        ({"distance": np.zeros(4)}, ValueError, r"distance has shape \(4,\)"),
        ({"distance": [["a"]]}, TypeError, "distance holds"),
        ({"leave_out": np.zeros((4, 3), bool)}, ValueError, r"leave_out has shape \(4, 3\)"),
        ({"leave_out": np.zeros((3, 4))}, TypeError, "leave_out holds float64; expected bool"),
        ({"query_ids": np.zeros((3, 1), int)}, ValueError, r"query_ids have shape \(3, 1\)"),
        ({"gallery_ids": [1, 2.5, 3, 4]}, TypeError, "gallery_ids hold 2.5 of type float"),
        ({"count": "people"}, ValueError, "unknown count 'people'; known: images, identities"),
        ({"max_rank": 0}, ValueError, "max_rank is 0"),
        ({"query_ids": [8, 9, None]}, NoMatchError, "none of 3 queries has a true match among 4"),
        ({"leave_out": np.ones((3, 4), bool)}, NoMatchError, "none of 3 queries"),
    ],
)
def test_bad_input_is_refused(changes, error, message):
    arguments = {"distance": DISTANCE, "query_ids": QUERY_IDS, "gallery_ids": GALLERY_IDS, **changes}
    with pytest.raises(error, match=message):
        score_distances(**arguments)


@pytest.mark.parametrize(("queries", "gallery"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_score_is_refused(queries, gallery):
    with pytest.raises(NoMatchError, match=f"none of {queries} queries has a true match among {gallery}"):
        score_distances(np.zeros((queries, gallery)), [1] * queries, [1] * gallery)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("leave_out", [None, np.ones((300, 4), bool)])
def test_distances_that_are_not_finite_are_refused_with_their_row(value, leave_out):
    distance = np.array(DISTANCE * 100)
    distance[271, 2] = value
    with pytest.raises(ValueError, match=f"distance holds {value} in row 271"):
        score_distances(distance, QUERY_IDS * 100, GALLERY_IDS, leave_out=leave_out)


def test_ranks_outside_the_cmc_are_refused():
    scores = score_distances(DISTANCE, QUERY_IDS, GALLERY_IDS, max_rank=5)
    assert (scores.rank(1), scores.rank(5)) == (0.0, 1.0)
    for rank in (0, 6):
        with pytest.raises(ValueError, match=rf"rank {rank} is outside 1\.\.5"):
            scores.rank(rank)


def test_json_holds_plain_numbers():
    scores = score_distances(DISTANCE, QUERY_IDS, GALLERY_IDS, max_rank=2)
    assert json.loads(json.dumps(scores.to_json())) == {
        "mean_ap": pytest.approx((7 / 12 + 1 / 2) / 2),
        "mean_inp": pytest.approx((2 / 3 + 1 / 2) / 2),
        "cmc": [0.0, 1.0],
        "queries": 2,
        "skipped": 1,
    }


def test_camera_rule_leaves_out_the_own_person_in_the_own_camera_only():
    """Distances grow from left to right; the query is person 7 in camera 2."""
    angles = np.linspace(0.1, 0.5, 5)
    gallery = make(np.stack([np.cos(angles), np.sin(angles)], axis=1), [7, 3, 7, 7, 5], [2, 2, 1, 3, 1])
    query = make([[1.0, 0.0]], [7], [2])
    without, kept = score_embeddings(query, gallery), score_embeddings(query, gallery, same_camera=True)
    assert without.mean_ap == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert kept.mean_ap == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    unknown = make([[1.0, 0.0]], [7], [None])
    same(score_embeddings(unknown, gallery), kept)


def test_block_size_changes_no_score():
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((160, 32)).astype(np.float32)
    query, gallery = (
        make(vectors[:60], rng.integers(0, 7, 60).tolist()),
        make(vectors[60:], rng.integers(0, 7, 100).tolist()),
    )
    whole = score_embeddings(query, gallery)
    for block in (1, 7, 59):
        same(score_embeddings(query, gallery, block=block), whole)


def test_copies_in_the_gallery_tie():
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((51, 37)).astype(np.float32)
    vectors[50] = vectors[20]
    ids = [1] * 50 + [2]
    scores = score_embeddings(make(vectors[20:21] + 0.01, [2]), make(vectors, ids))
    assert scores.first_rank[0] == 2


@pytest.mark.parametrize(
    ("query", "gallery", "error", "message"),
    [
        (
            make(np.ones((1, 3)), [1], model="a"),
            make(np.ones((1, 3)), [1], model="b"),
            ModelMismatchError,
            "model a.*model b",
        ),
        (
            make(np.ones((1, 3)), [1]),
            make(np.ones((1, 4)), [1]),
            ValueError,
            "length 3, gallery embeddings 4",
        ),
        (
            make(np.ones((1, 3)), [1]),
            make([[1, 1, 1], [1, math.nan, 1]], [1, 1]),
            ValueError,
            r"gallery embedding 1 \(tracklet 1\) holds",
        ),
        (make([[math.inf, 1, 1]], [1]), make(np.ones((1, 3)), [1]), ValueError, "query embedding 0 .* holds"),
        (
            make([[1, 1], [0, 0]], [1, 1]),
            make([[1, 1]], [1]),
            ValueError,
            r"query embedding 1 \(tracklet 1\) is z",
        ),
        (make([[1, 1]], [1]), make([[1e20, 1]], [1]), ValueError, r"too long: its largest value is 1e\+20"),
        (make(np.ones((1, 3)), [1]), make(np.ones((0, 3)), []), NoMatchError, "among 0 gallery items"),
    ],
)
def test_bad_embeddings_are_refused(query, gallery, error, message):
    with pytest.raises(error, match=message):
        score_embeddings(query, gallery)


def test_short_vectors_have_a_direction_too():
    """Their squared lengths are zero in float32."""
    scores = score_embeddings(make([[1e-30, 0]], [1]), make([[0, 1e-30], [1e-12, 0]], [2, 1]))
    assert scores.first_rank[0] == 1


def test_embeddings_of_unknown_models_are_scored():
    assert score_embeddings(make([[1.0]], [1], model=""), make([[1.0]], [1], model="b")).mean_ap == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
@pytest.mark.parametrize("count", ["images", "identities"])
def test_an_accelerator_scores_as_the_processor(count):
    """Vectors of small integers: products are exact on both, and many are equal."""
    rng = np.random.default_rng(4)
    ids, cameras = rng.integers(0, 9, 700).tolist(), rng.integers(0, 3, 700).tolist()
    both = make(rng.integers(-2, 3, (700, 16)), ids, cameras)
    query, gallery = both.rows(range(300)), both.rows(range(300, 700))
    same(
        score_embeddings(query, gallery, count=count, device="cuda"),
        score_embeddings(query, gallery, count=count),
    )
    distance = -query.vectors @ gallery.vectors.T
    there = score_distances(torch.from_numpy(distance).cuda(), ids[:300], ids[300:], count=count)
    same(there, score_distances(distance, ids[:300], ids[300:], count=count))


@pytest.mark.parametrize("pairs", [(3, 2), ((3, 2, 1),), ("ab",)])
def test_hidden_cameras_that_are_no_pairs_are_refused(pairs):
    with pytest.raises(TypeError, match="expected pairs"):
        score_embeddings(make([[1.0]], [1]), make([[1.0]], [1]), hidden_cameras=pairs)
