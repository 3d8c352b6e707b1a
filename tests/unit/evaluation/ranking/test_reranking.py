import numpy as np
import pytest
import torch

from tapetum.errors import ModelMismatchError
from tapetum.evaluation import rerank
from tapetum.evaluation.ranking import reranking
from tapetum.evaluation.ranking._neighbours import SquaredDistances
from tapetum.evaluation.ranking._pair_distances import PairDistances
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

RNG = np.random.default_rng(0)
BY_TORCH_AND_NUMPY = (lambda vectors: SquaredDistances(vectors, torch.device("cpu")), PairDistances)
QUERY, GALLERY = (RNG.standard_normal((n, 8)).astype(np.float32) for n in (5, 30))


def make(vectors, model="m") -> Embeddings:
    rows = tuple(Tracklet(f"t{n}", (), Modality.VISIBLE) for n in range(len(vectors)))
    return Embeddings(np.asarray(vectors, dtype=np.float32), TrackletSet("test", rows), model)


@pytest.mark.parametrize(
    "convert",
    [
        torch.from_numpy,
        lambda v: torch.from_numpy(v).double().requires_grad_(),
        lambda v: v.astype(np.float64),
        lambda v: v.tolist(),
        make,
    ],
)
def test_vectors_of_any_kind_give_the_same(convert):
    found = rerank(convert(QUERY), convert(GALLERY), k1=6, k2=3)
    assert (found.dtype, found.shape) == (np.float32, (5, 30))
    np.testing.assert_allclose(found, rerank(QUERY, GALLERY, k1=6, k2=3), atol=1e-6)


def test_blocks_change_nothing(monkeypatch):
    whole = rerank(QUERY, GALLERY, k1=6, k2=3)
    monkeypatch.setattr(reranking, "_ENTRIES", 40)
    np.testing.assert_allclose(rerank(QUERY, GALLERY, k1=6, k2=3), whole, atol=1e-7)


def test_input_is_not_changed():
    copies = QUERY.copy(), GALLERY.copy()
    rerank(QUERY, GALLERY)
    np.testing.assert_array_equal(copies[0], QUERY)
    np.testing.assert_array_equal(copies[1], GALLERY)


def test_moving_and_scaling_all_vectors_changes_nothing():
    whole = rerank(QUERY, GALLERY, k1=6, k2=3)
    np.testing.assert_allclose(rerank(QUERY * 1e6, GALLERY * 1e6, k1=6, k2=3), whole, atol=1e-5)
    np.testing.assert_allclose(rerank(QUERY + 50, GALLERY + 50, k1=6, k2=3), whole, atol=1e-3)


@pytest.mark.parametrize("pairs_of", BY_TORCH_AND_NUMPY)
def test_neighbours_too_close_for_float32_are_told_apart(pairs_of):
    """The vectors 1 to 9 differ in their distance to 0 by less than a float32 product can see."""
    vectors = np.zeros((10, 2))
    vectors[1:, 0] = 1 + 1e-9 * np.array([4, 8, 1, 7, 2, 9, 3, 6, 5])
    pairs = pairs_of(vectors)
    (rows,) = pairs.parts
    nearest = pairs.nearest(rows.start, pairs.block(rows), (3, 6))
    assert set(nearest[0, :3]) == {0, 3, 5}
    assert set(nearest[0]) == {0, 3, 5, 7, 1, 9}


@pytest.mark.parametrize("pairs_of", BY_TORCH_AND_NUMPY)
def test_equal_vectors_are_taken_in_order(pairs_of):
    pairs = pairs_of(np.ones((9, 3), dtype=np.float32))
    (rows,) = pairs.parts
    assert pairs.nearest(rows.start, pairs.block(rows), (2, 4)).tolist() == [[0, 1, 2, 3]] * 9
    np.testing.assert_allclose(
        rerank(np.ones((2, 3)), np.ones((7, 3)), k1=2, k2=1)[0], [0] + [0.7] * 6, atol=1e-6
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k1": 0}, "k1 is 0; expected at least 1"),
        ({"k2": 0}, "k2 is 0"),
        ({"lambda_value": 1.5}, r"lambda_value is 1.5; expected 0\.\.1"),
        ({"lambda_value": float("nan")}, "lambda_value is nan"),
        ({"distance": "cosine"}, "unknown distance 'cosine'; known: squared, fourth-power"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        rerank(QUERY, GALLERY, **changes)


@pytest.mark.parametrize(
    ("query", "gallery", "error", "message"),
    [
        (QUERY[:0], GALLERY, ValueError, r"query vectors have shape \(0, 8\)"),
        (QUERY, GALLERY[:0], ValueError, "gallery vectors have shape"),
        (QUERY[0], GALLERY, ValueError, r"query vectors have shape \(8,\)"),
        (QUERY, GALLERY[:, :7], ValueError, "length 8, gallery embeddings 7"),
        (
            QUERY,
            np.where(np.arange(30)[:, None] == 4, np.nan, GALLERY),
            ValueError,
            "gallery vector 4 holds",
        ),
        ([["a"]], [["b"]], TypeError, "query vectors hold <U1"),
        (
            make(QUERY * [[1], [1], [0], [1], [1]]),
            make(GALLERY),
            ValueError,
            r"query embedding 2 \(tracklet t2\) is zero",
        ),
        (make(QUERY), make(GALLERY, "other"), ModelMismatchError, "model m, the gallery of model other"),
    ],
)
def test_bad_vectors_are_refused(query, gallery, error, message):
    with pytest.raises(error, match=message):
        rerank(query, gallery)


@pytest.mark.parametrize("seed", range(4))
def test_without_torch_the_same_comes_out(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    people = rng.standard_normal((12, 16))
    vectors = (people[rng.integers(0, 12, 90)] + 0.4 * rng.standard_normal((90, 16))).astype(np.float32)
    vectors[rng.integers(0, 90, 20)] = vectors[rng.integers(0, 90, 20)]
    expected = rerank(vectors[:7], vectors[7:], k1=9, k2=4)
    monkeypatch.setattr(reranking, "_pairs_of", lambda vectors, device: PairDistances(vectors))
    np.testing.assert_allclose(rerank(vectors[:7], vectors[7:], k1=9, k2=4), expected, atol=2e-6)
