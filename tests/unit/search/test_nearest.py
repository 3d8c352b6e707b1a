import numpy as np
import pytest

from tapetum.search._nearest import nearest


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def plain(vectors, query, top, kept):
    products = [float(v.astype(np.float64) @ query.astype(np.float64)) for v in vectors]
    rows = [row for row in range(len(vectors)) if kept is None or kept[row]]
    return sorted(rows, key=lambda row: -products[row])[:top]


@pytest.mark.parametrize("rows", [1, 3, 10, 1001])
@pytest.mark.parametrize("top", [1, 4, 20, 2000])
@pytest.mark.parametrize("share", [None, 0.0, 0.1, 0.9])
def test_equals_a_plain_loop(rows, top, share):
    rng = np.random.default_rng(rows)
    vectors, query = unit(rng.standard_normal((rows, 512))), unit(rng.standard_normal((1, 512)))[0]
    kept = None if share is None else rng.random(rows) < share
    found, products = nearest(vectors, query, top, kept)
    assert found.tolist() == plain(vectors, query, top, kept)
    np.testing.assert_allclose(products, vectors[found].astype(np.float64) @ query, atol=1e-12)


@pytest.mark.parametrize("dimension", [5, 64, 513])
def test_copies_tie_wherever_they_stand(dimension):
    """A float32 product may round the last rows of a matrix otherwise than the first."""
    rng = np.random.default_rng(dimension)
    vectors = unit(rng.standard_normal((1001, dimension)))
    copies = [3, 4, 500, 998, 999, 1000]
    vectors[copies] = vectors[0]
    query = unit(vectors[:1] + 0.1 * rng.standard_normal((1, dimension)))[0]
    for top in (1, 4, 7):
        found, products = nearest(vectors, query, top, None)
        assert found.tolist() == [0, *copies][:top]
        assert len(set(products.tolist())) == 1


def test_what_a_float32_product_cannot_tell_apart_is_ordered_rightly():
    steps = np.arange(200)[::-1] * 1e-9
    vectors = np.stack([np.full(200, 0.6), np.sqrt(0.64) - steps], axis=1).astype(np.float32)
    query = np.array([0.8, 0.6], dtype=np.float32)
    assert nearest(vectors, query, 5, None)[0].tolist() == plain(vectors, query, 5, None)
