"""K-reciprocal re-ranking beside its dense textbook form and the bare product of all pairs, in one run.

    python benchmarks/reranking.py --sizes 1000+5000 3000+12000 --threads 2

Seconds are medians on random embeddings of people, 20 pictures each; memory is how much a fresh process grows
at most. The dense form holds matrices of all pairs: 3,000 + 12,000 take several GiB and minutes, so it is run
once. Close everything else first: on a busy machine the figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import Case, Timing, measure, table
from numpy.typing import NDArray

from tapetum.evaluation import rerank
from tapetum.evaluation.distances.products import NegativeProducts, rows_at_a_time

FloatArray = NDArray[np.float32]
K1, K2, LAMBDA = 20, 6, 0.3
PICTURES, SPREAD = 20, 1.2
PRODUCT, SPARSE, DENSE = "product of all pairs", "rerank", "dense textbook form"


def main() -> None:
    args = parse_arguments()
    found = []
    for size in args.sizes:
        queries, gallery = (int(part) for part in size.split("+"))
        cases = partial(make_cases, queries, gallery, args.dimension, args.threads)
        timings = measure(cases, args.repeats, without_memory=[PRODUCT])
        found.append({"queries": queries, "gallery": gallery, "timings": [t.to_json() for t in timings]})
        report(size, args, {t.what: t for t in timings})
    if args.json:
        Path(args.json).write_text(
            json.dumps({"arguments": vars(args), "sizes": found}, indent=1), encoding="utf-8"
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1000+5000", "3000+12000"], metavar="QUERIES+GALLERY")
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def report(size: str, args: argparse.Namespace, timings: dict[str, Timing]) -> None:
    sparse, dense = timings[SPARSE], timings[DENSE]
    print(f"{size}, {args.dimension}-d, {args.threads} threads")
    print(table(list(timings.values()), timings[PRODUCT], "share of product"))
    print(f"{dense.wall_s / sparse.wall_s:.1f} times the speed of the dense form", end="")
    if sparse.added_mib is not None and dense.added_mib is not None:
        print(f", {sparse.added_mib / dense.added_mib:.2f} of its memory", end="")
    print("\n")


def make_cases(queries: int, gallery: int, dimension: int, threads: int) -> dict[str, Case]:
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
    parts = everything.split(rows_at_a_time(total))
    return {
        PRODUCT: Case(lambda: [products(part) is None for part in parts]),
        SPARSE: Case(lambda: rerank(query, items, k1=K1, k2=K2, lambda_value=LAMBDA)),
        DENSE: Case(lambda: dense_rerank(query, items), rounds=1),
    }


def dense_rerank(query: FloatArray, gallery: FloatArray) -> FloatArray:
    """The definition as it is usually written: matrices of all pairs, loops over rows."""
    vectors = np.concatenate([query, gallery])
    total, queries = len(vectors), len(query)
    squares = (vectors**2).sum(axis=1)
    distance = squares[:, None] + squares - 2 * vectors @ vectors.T
    distance /= distance.max(axis=1, keepdims=True)
    ranking = np.argsort(distance, axis=1)
    weights = np.zeros_like(distance)
    for i in range(total):
        own = reciprocal(ranking, i, K1)
        expanded = own
        for candidate in own:
            others = reciprocal(ranking, candidate, round(K1 / 2))
            if len(np.intersect1d(others, own)) > 2 / 3 * len(others):
                expanded = np.append(expanded, others)
        expanded = np.unique(expanded)
        weight = np.exp(-distance[i, expanded])
        weights[i, expanded] = weight / weight.sum()
    distance = distance[:queries]
    averaged = np.zeros_like(weights)
    for i in range(total):
        averaged[i] = weights[ranking[i, :K2]].mean(axis=0)
    sharing = [np.flatnonzero(averaged[:, j]) for j in range(total)]
    jaccard = np.zeros_like(distance)
    for i in range(queries):
        shared = np.zeros(total, dtype=np.float32)
        for j in np.flatnonzero(averaged[i]):
            shared[sharing[j]] += np.minimum(averaged[i, j], averaged[sharing[j], j])
        jaccard[i] = 1 - shared / (2 - shared)
    mixed: FloatArray = (1 - LAMBDA) * jaccard + LAMBDA * distance
    return mixed[:, queries:]


def reciprocal(ranking: NDArray[np.int64], i: int, k: int) -> NDArray[np.int64]:
    forward = ranking[i, : k + 1]
    return forward[(ranking[forward, : k + 1] == i).any(axis=1)]


if __name__ == "__main__":
    main()
