"""CMC, mAP and mINP end to end, beside the bare matrix product of the same embeddings, in one run.

    python benchmarks/metrics.py --queries 5000 --gallery 20000 --dimension 512 --people 1000 --threads 2

Seconds are medians of several runs on random, L2-normalised embeddings, wall clock and processor time; all
cases are run in turn. "share of product" is the wall clock divided by that of the fastest product, whose
gallery was laid out before the clock started. Memory is how much a fresh process grows at most. The plain
loop is timed on some of the queries, and its seconds are scaled to all of them. Close everything else first:
on a busy machine the figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import Case, measure, table
from numpy.typing import NDArray

from tapetum.evaluation import score_distances, score_embeddings
from tapetum.evaluation.distances.products import NegativeProducts, rows_at_a_time
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

CAMERAS = 6
LOOPED = 100  # queries that the plain loop is timed on
HIDDEN = ((3, 2),)
PRODUCTS = ("product, gallery laid out", "product, torch.mm", "product, numpy", "product, whole, torch.mm")


def main() -> None:
    args = parse_arguments()
    cases = partial(
        make_cases, args.queries, args.gallery, args.dimension, args.people, args.threads, args.plain
    )
    timings = measure(cases, args.repeats, without_memory=[*PRODUCTS[:3], "plain loop"])
    fastest = min((t for t in timings if t.what.startswith("product,")), key=lambda t: t.wall_s)
    print(
        f"{args.queries} x {args.gallery}, {args.dimension}-d, {args.people} people, {args.threads} threads"
    )
    print(table(timings, fastest, "share of product"))
    if args.json:
        found = {"arguments": vars(args), "timings": [t.to_json() for t in timings]}
        Path(args.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--gallery", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-plain", dest="plain", action="store_false", help="without the plain loop")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def make_cases(
    queries: int, gallery: int, dimension: int, people: int, threads: int, plain: bool
) -> dict[str, Case]:
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    asked = random_embeddings(rng, queries, dimension, people)
    found = random_embeddings(rng, gallery, dimension, people)
    vectors, items = torch.from_numpy(asked.vectors), torch.from_numpy(found.vectors)
    laid_out = NegativeProducts(items)
    parts = vectors.split(rows_at_a_time(len(items)))
    ids = [[t.person_id for t in side.tracklets] for side in (asked, found)]
    runs = {
        PRODUCTS[0]: lambda: [laid_out(part) is None for part in parts],
        PRODUCTS[1]: lambda: [torch.mm(part, items.T) is None for part in parts],
        PRODUCTS[2]: lambda: [np.matmul(part.numpy(), found.vectors.T) is None for part in parts],
        PRODUCTS[3]: lambda: torch.mm(vectors, items.T) is None,
        "score_embeddings, camera rule": lambda: score_embeddings(asked, found),
        "score_embeddings, all kept": lambda: score_embeddings(asked, found, same_camera=True),
        "score_embeddings, identities, hidden cameras": lambda: score_embeddings(
            asked, found, same_camera=True, hidden_cameras=HIDDEN, count="identities"
        ),
        "score_embeddings, gallery and queries swapped": lambda: score_embeddings(found, asked),
        "product and score_distances": lambda: score_distances(-(vectors @ items.T), *ids),
    }
    cases = {name: Case(run) for name, run in runs.items()}
    if plain:
        some = min(LOOPED, queries)
        loop = partial(plain_loop, asked.rows(range(some)), found)
        cases["plain loop"] = Case(loop, scale=queries / some, rounds=3)
    return cases


def plain_loop(query: Embeddings, gallery: Embeddings, max_rank: int = 20) -> NDArray[np.float64]:
    """CMC, mAP and mINP by sorting every query's gallery in numpy."""
    people, cameras = np.array(
        [[getattr(t, field) for t in gallery.tracklets] for field in ("person_id", "camera_id")]
    )
    distance = -query.vectors @ gallery.vectors.T
    scores = []
    for row, asked in zip(distance, query.tracklets, strict=True):
        order = np.argsort(row, kind="stable")
        kept = (people[order] != asked.person_id) | (cameras[order] != asked.camera_id)
        hits = (people[order] == asked.person_id)[kept]
        if hits.any():
            positions = np.flatnonzero(hits) + 1
            precision = (np.arange(1, len(positions) + 1) / positions).mean()
            cmc = positions[0] <= np.arange(1, max_rank + 1)
            scores.append([*cmc, precision, len(positions) / positions[-1]])
    return np.mean(scores, axis=0)


def random_embeddings(rng: np.random.Generator, rows: int, dimension: int, people: int) -> Embeddings:
    vectors = rng.standard_normal((rows, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids, cameras = rng.integers(0, people, rows).tolist(), rng.integers(0, CAMERAS, rows).tolist()
    tracklets = (
        Tracklet(str(n), (), Modality.VISIBLE, person_id=person, camera_id=camera)
        for n, (person, camera) in enumerate(zip(ids, cameras, strict=True))
    )
    return Embeddings(vectors, TrackletSet("random", tuple(tracklets)))


if __name__ == "__main__":
    main()
