"""Re-ranking against its dense definition, in float64 and loops over matrices of all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapetum.evaluation import rerank


def reciprocal(ranking, i, k):
    forward = ranking[i, : k + 1]
    return forward[(ranking[forward, : k + 1] == i).any(axis=1)]


def plain_rerank(query, gallery, k1, k2, lambda_value, power=1):
    vectors = np.concatenate([query, gallery]).astype(np.float64)
    queries, total = len(query), len(vectors)
    distance = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2) ** power
    largest = distance.max(axis=1, keepdims=True)
    distance = distance / np.where(largest > 0, largest, 1)
    ranking = np.argsort(distance, axis=1, kind="stable")
    weights = np.zeros((total, total))
    for i in range(total):
        own = reciprocal(ranking, i, k1)
        expanded = set(own)
        for candidate in own:
            others = reciprocal(ranking, candidate, int(np.around(k1 / 2)))
            if len(np.intersect1d(others, own)) > 2 / 3 * len(others):
                expanded |= set(others)
        found = sorted(expanded)
        weights[i, found] = np.exp(-distance[i, found]) / np.exp(-distance[i, found]).sum()
    if k2 != 1:
        weights = np.stack([weights[ranking[i, :k2]].mean(axis=0) for i in range(total)])
    shared = np.minimum(weights[:queries, None], weights[None, queries:]).sum(axis=2)
    return (1 - lambda_value) * (1 - shared / (2 - shared)) + lambda_value * distance[:queries, queries:]


def draw(rng, kind, rows, length):
    vectors = rng.standard_normal((rows, length))
    if kind == "few values":
        vectors = rng.integers(-1, 2, (rows, length))
    elif kind == "copies":
        vectors = vectors[rng.integers(0, max(1, rows // 5), rows)]
    elif kind == "people":
        vectors = 3 + vectors[rng.integers(0, max(1, rows // 8), rows)] + 0.5 * vectors
    return vectors.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_equal_the_dense_definition(data):
    queries, gallery = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 40))
    kind = data.draw(st.sampled_from(["normal", "few values", "copies", "people"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    vectors = draw(rng, kind, queries + gallery, data.draw(st.integers(1, 20)))
    k1, k2 = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    share, distance = data.draw(st.sampled_from([0.0, 0.3, 1.0])), data.draw(st.booleans())
    found = rerank(
        vectors[:queries],
        vectors[queries:],
        k1=k1,
        k2=k2,
        lambda_value=share,
        distance="fourth-power" if distance else "squared",
    )
    expected = plain_rerank(vectors[:queries], vectors[queries:], k1, k2, share, 2 if distance else 1)
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["normal", "people"])
def test_several_blocks_equal_the_dense_definition(kind):
    vectors = draw(np.random.default_rng(3), kind, 330, 24)
    found = rerank(vectors[:40], vectors[40:])
    np.testing.assert_allclose(found, plain_rerank(vectors[:40], vectors[40:], 20, 6, 0.3), atol=1e-6, rtol=0)
