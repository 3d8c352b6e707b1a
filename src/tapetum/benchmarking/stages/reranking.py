"""K-reciprocal re-ranking, against the bare product of all pairs and beside its dense textbook form."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.benchmarking.config import BenchConfig
from tapetum.benchmarking.measuring import Case, measure
from tapetum.benchmarking.rows import Limit, Row, time_row
from tapetum.benchmarking.stages._registry import Part
from tapetum.evaluation import rerank
from tapetum.evaluation.distances.products import NegativeProducts, rows_at_a_time

FloatArray = NDArray[np.float32]
K1, K2, LAMBDA = 20, 6, 0.3
PICTURES, SPREAD = 20, 1.2
"""Rows of a person, and how far they lie from its middle."""

PRODUCT, SPARSE, DENSE = "product of all pairs", "rerank", "dense textbook form"


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    return {
        f"{queries} + {gallery}": partial(measure_reranking, config, queries, gallery)
        for queries, gallery in config.reranking.sizes
    }


def measure_reranking(config: BenchConfig, queries: int, gallery: int) -> list[Row]:
    """Seconds on random embeddings of people; the dense form, which takes long, is run once."""
    sizes = config.reranking
    made = partial(make_cases, queries, gallery, sizes.dimension, config.threads, sizes.dense)
    found = {t.what: t for t in measure(made, config.rounds, [PRODUCT], memory=sizes.memory)}
    limit = Limit.of(found[PRODUCT])
    rows = [time_row(found[SPARSE], limit, usual=found.get(DENSE))]
    return [*rows, time_row(found[DENSE], limit)] if sizes.dense else rows


def make_cases(queries: int, gallery: int, dimension: int, threads: int, dense: bool) -> dict[str, Case]:
    """The product alone, re-ranking, and its dense form."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    total = queries + gallery
    people = rng.standard_normal((max(1, total // PICTURES), dimension), dtype=np.float32)
    vectors = SPREAD * rng.standard_normal((total, dimension), dtype=np.float32)
    vectors += people[rng.integers(0, len(people), total)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query, items = vectors[:queries], vectors[queries:]
    everything = torch.from_numpy(vectors)
    products = NegativeProducts(everything)
    blocks = torch.split(everything, rows_at_a_time(total))
    cases = {
        PRODUCT: Case(lambda: [products(block) is None for block in blocks]),
        SPARSE: Case(lambda: rerank(query, items, k1=K1, k2=K2, lambda_value=LAMBDA)),
    }
    return {**cases, DENSE: Case(lambda: dense_rerank(query, items), rounds=1)} if dense else cases


def dense_rerank(query: FloatArray, gallery: FloatArray) -> FloatArray:
    """The definition as it is usually written: matrices of all pairs, loops over rows."""
    vectors = np.concatenate([query, gallery])
    total, queries = len(vectors), len(query)
    squares = (vectors**2).sum(axis=1)
    distance = squares[:, None] + squares - 2 * vectors @ vectors.T
    distance /= distance.max(axis=1, keepdims=True)
    ranking = np.argsort(distance, axis=1)
    weights = _dense_weights(distance, ranking)
    averaged = np.stack([weights[ranking[i, :K2]].mean(axis=0) for i in range(total)])
    sharing = [np.flatnonzero(averaged[:, j]) for j in range(total)]
    jaccard = np.zeros_like(distance[:queries])
    for i in range(queries):
        shared = np.zeros(total, dtype=np.float32)
        for j in np.flatnonzero(averaged[i]):
            shared[sharing[j]] += np.minimum(averaged[i, j], averaged[sharing[j], j])
        jaccard[i] = 1 - shared / (2 - shared)
    mixed: FloatArray = (1 - LAMBDA) * jaccard + LAMBDA * distance[:queries]
    return mixed[:, queries:]


def _dense_weights(distance: FloatArray, ranking: NDArray[np.int64]) -> FloatArray:
    """Weights of the expanded reciprocal neighbours, `[N, N]`."""
    weights = np.zeros_like(distance)
    for i in range(len(distance)):
        own = _reciprocal(ranking, i, K1)
        expanded = own
        for candidate in own:
            others = _reciprocal(ranking, candidate, round(K1 / 2))
            if len(np.intersect1d(others, own)) > 2 / 3 * len(others):
                expanded = np.append(expanded, others)
        expanded = np.unique(expanded)
        weight = np.exp(-distance[i, expanded])
        weights[i, expanded] = weight / weight.sum()
    return weights


def _reciprocal(ranking: NDArray[np.int64], i: int, k: int) -> NDArray[np.int64]:
    forward = ranking[i, : k + 1]
    found: NDArray[np.int64] = forward[(ranking[forward, : k + 1] == i).any(axis=1)]
    return found
