"""CMC, mAP and mINP end to end, against the bare matrix product of the same embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.benchmarking.config import BenchConfig, MetricsSizes
from tapetum.benchmarking.measuring import Case, measure
from tapetum.benchmarking.rows import Limit, Row, time_row
from tapetum.benchmarking.stages._registry import Part
from tapetum.evaluation import score_distances, score_embeddings
from tapetum.evaluation.distances.products import NegativeProducts, rows_at_a_time
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

CAMERAS = 6
HIDDEN = ((3, 2),)
LOOPED = 100
"""Queries that the plain loop is timed on; its seconds are scaled to all."""

PRODUCTS = ("product, gallery laid out", "product, torch.mm", "product, numpy")
PLAIN = "plain loop, numpy"


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    sizes = config.metrics
    return {f"{sizes.queries} x {sizes.gallery}": partial(measure_metrics, config)}


def measure_metrics(config: BenchConfig) -> list[Row]:
    """Seconds on random, L2-normalised embeddings; the limit is the fastest product alone."""
    made = partial(make_cases, config.metrics, config.threads)
    found = measure(made, config.rounds, [*PRODUCTS, PLAIN], memory=config.metrics.memory)
    fastest = min((t for t in found if t.what in PRODUCTS), key=lambda t: t.best_wall_s)
    usual = next((t for t in found if t.what == PLAIN), None)
    return [
        time_row(t, Limit.of(fastest), usual=None if t.what == PLAIN else usual)
        for t in found
        if t.what not in PRODUCTS
    ]


def make_cases(sizes: MetricsSizes, threads: int) -> dict[str, Case]:
    """Products alone, scores in each way, and the plain loop."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    asked = random_embeddings(rng, sizes.queries, sizes.dimension, sizes.people)
    found = random_embeddings(rng, sizes.gallery, sizes.dimension, sizes.people)
    vectors, items = torch.from_numpy(asked.vectors), torch.from_numpy(found.vectors)
    laid_out = NegativeProducts(items)
    blocks = torch.split(vectors, rows_at_a_time(len(items)))
    ids = [[t.person_id for t in side.tracklets] for side in (asked, found)]
    runs = {
        PRODUCTS[0]: lambda: [laid_out(block) is None for block in blocks],
        PRODUCTS[1]: lambda: [torch.mm(block, items.T) is None for block in blocks],
        PRODUCTS[2]: lambda: [np.matmul(block.numpy(), found.vectors.T) is None for block in blocks],
        "score_embeddings, camera rule": lambda: score_embeddings(asked, found),
        "score_embeddings, all kept": lambda: score_embeddings(asked, found, same_camera=True),
        "score_embeddings, identities, hidden cameras": lambda: score_embeddings(
            asked, found, same_camera=True, hidden_cameras=HIDDEN, count="identities"
        ),
        "product and score_distances": lambda: score_distances(-(vectors @ items.T), *ids),
    }
    cases = {name: Case(run) for name, run in runs.items()}
    if sizes.plain_loop:
        some = min(LOOPED, sizes.queries)
        loop = partial(plain_loop, asked.rows(range(some)), found)
        cases[PLAIN] = Case(loop, scale=sizes.queries / some, rounds=3)
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
    return np.asarray(np.mean(scores, axis=0), dtype=np.float64)


def random_embeddings(rng: np.random.Generator, rows: int, dimension: int, people: int) -> Embeddings:
    """Rows of random people and cameras, L2-normalised."""
    vectors = rng.standard_normal((rows, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids, cameras = rng.integers(0, people, rows).tolist(), rng.integers(0, CAMERAS, rows).tolist()
    tracklets = (
        Tracklet(str(n), (), Modality.VISIBLE, person_id=person, camera_id=camera)
        for n, (person, camera) in enumerate(zip(ids, cameras, strict=True))
    )
    return Embeddings(vectors, TrackletSet("random", tuple(tracklets)))
