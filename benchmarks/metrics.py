"""CMC, mAP and mINP end to end, beside the bare matrix product of the same embeddings, in one run.

    python benchmarks/metrics.py --queries 5000 --gallery 20000 --dimension 512 --people 1000 --threads 2

Seconds are medians of several runs on random, L2-normalised embeddings, wall clock and processor time. "share
of product" is the wall clock divided by that of the fastest product. Memory is how much the process's peak
grows. Close everything else first: on a busy machine the figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
import torch

from tapetum.evaluation import score_distances, score_embeddings
from tapetum.evaluation._products import NegativeProducts, rows_at_a_time
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

CAMERAS = 6
MIB = 1024  # ru_maxrss counts KiB


@dataclass(frozen=True)
class Timing:
    """One line of the table; peak_mib is the growth of the process's peak memory during the first run."""

    what: str
    wall_s: float
    cpu_s: float
    peak_mib: float


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    query = random_embeddings(rng, args.queries, args.dimension, args.people)
    gallery = random_embeddings(rng, args.gallery, args.dimension, args.people)
    timings = [measure(what, work, args.repeats) for what, work in cases(query, gallery)]
    fastest = min(t.wall_s for t in timings if t.what.startswith("product"))
    print(
        f"{args.queries} x {args.gallery}, {args.dimension}-d, {args.people} people, {args.threads} threads"
    )
    print(f"{'':34}{'wall s':>9}{'cpu s':>9}{'share of product':>18}{'added MiB':>11}")
    for t in timings:
        print(f"{t.what:34}{t.wall_s:9.3f}{t.cpu_s:9.3f}{t.wall_s / fastest:18.2f}{t.peak_mib:11.0f}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump({"arguments": vars(args), "timings": [asdict(t) for t in timings]}, file, indent=1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--gallery", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def random_embeddings(rng: np.random.Generator, rows: int, dimension: int, people: int) -> Embeddings:
    vectors = rng.standard_normal((rows, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids, cameras = rng.integers(0, people, rows).tolist(), rng.integers(0, CAMERAS, rows).tolist()
    tracklets = (
        Tracklet(str(n), (), Modality.VISIBLE, person_id=person, camera_id=camera)
        for n, (person, camera) in enumerate(zip(ids, cameras, strict=True))
    )
    return Embeddings(vectors, TrackletSet("random", tuple(tracklets)))


def cases(query: Embeddings, gallery: Embeddings) -> list[tuple[str, Callable[[], object]]]:
    """Blocked cases first: memory is measured as growth of a peak."""
    queries, items = torch.from_numpy(query.vectors), torch.from_numpy(gallery.vectors)
    products = NegativeProducts(items)
    parts = queries.split(rows_at_a_time(len(items)))
    ids = [[t.person_id for t in side.tracklets] for side in (query, gallery)]

    def of_distances() -> object:
        return score_distances(-(queries @ items.T), *ids)

    return [
        ("product, blocked, as used", lambda: [products(part) is None for part in parts]),
        ("product, blocked, torch.mm", lambda: [torch.mm(part, items.T) is None for part in parts]),
        ("score_embeddings, camera rule", lambda: score_embeddings(query, gallery)),
        ("score_embeddings, all kept", lambda: score_embeddings(query, gallery, same_camera=True)),
        ("score_embeddings, identities", lambda: score_embeddings(query, gallery, count="identities")),
        ("product, whole, torch.mm", lambda: torch.mm(queries, items.T) is None),
        ("product + score_distances", of_distances),
    ]


def measure(what: str, work: Callable[[], object], repeats: int) -> Timing:
    before = peak_mib()
    runs = []
    grown = 0.0
    for number in range(repeats + 1):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        runs.append((time.perf_counter() - wall, time.process_time() - cpu))
        if number == 0:
            grown = peak_mib() - before
    wall_s, cpu_s = (median(run[i] for run in runs[1:]) for i in (0, 1))  # the first run warms up
    return Timing(what, wall_s, cpu_s, grown)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


if __name__ == "__main__":
    main()
