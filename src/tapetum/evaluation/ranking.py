"""Ranked lists of single queries, to look at: the same order, distances and rules as the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.evaluation._positives import stable_order
from tapetum.evaluation._products import NegativeProducts
from tapetum.evaluation.protocols._base import Trial
from tapetum.types import Embeddings, Tracklet


@dataclass(frozen=True, slots=True, eq=False)
class RankedList:
    """What a query finds; rows are rows of the embeddings that were ranked.

    Attributes:
        query: Row of the query.
        gallery: int64 `[top]`, rows of the nearest gallery items, nearest first.
        distances: float32 `[top]`, their distances: minus the dot product.
        is_match: bool `[top]`, whether each is of the query's person.
        left_out: int64, rows of gallery items that the camera rule removed from the ranking.
    """

    query: int
    gallery: NDArray[np.int64]
    distances: NDArray[np.float32]
    is_match: NDArray[np.bool_]
    left_out: NDArray[np.int64]


def ranked_lists(
    embeddings: Embeddings, trial: Trial, queries: Sequence[int], top: int | None = 10
) -> list[RankedList]:
    """The `top` nearest gallery items of some queries of a trial; ties by gallery order, as scored.

    Args:
        embeddings: What the trial's rows are rows of.
        trial: The gallery and the camera rule.
        queries: Rows of `embeddings` (not positions in `trial.query`), one list each.
        top: Longest list; a shorter gallery gives a shorter one. None: the whole gallery.

    Raises:
        ValueError: `top` is below 1, or a row is not a query of the trial.
    """
    if top is not None and top < 1:
        raise ValueError(f"top is {top}; expected at least 1")
    strangers = sorted(set(queries) - set(trial.query.tolist()))
    if strangers:
        raise ValueError(f"row {strangers[0]} is not a query of the trial {trial.name}")
    if not len(queries):
        return []
    vectors = torch.from_numpy(embeddings.vectors[np.asarray(queries, dtype=np.int64)])
    distance = NegativeProducts(torch.from_numpy(embeddings.vectors[trial.gallery]))(vectors).numpy()
    gallery = [embeddings.tracklets[int(row)] for row in trial.gallery]
    return [
        _ranked_list(query, embeddings.tracklets[query], gallery, trial, row, top)
        for query, row in zip(queries, distance, strict=True)
    ]


def _ranked_list(
    query: int,
    person: Tracklet,
    gallery: Sequence[Tracklet],
    trial: Trial,
    distance: NDArray[np.float32],
    top: int | None,
) -> RankedList:
    own = _equal(person.person_id, [t.person_id for t in gallery])
    here = _equal(person.camera_id, [t.camera_id for t in gallery])
    left_out = np.zeros_like(own) if trial.same_camera else own & here
    order = stable_order(distance[None])[0]
    order = order[~left_out[order]][:top]
    return RankedList(query, trial.gallery[order], distance[order], own[order], trial.gallery[left_out])


def _equal(wanted: object, found: Sequence[object]) -> NDArray[np.bool_]:
    """Where `found` equals `wanted`; an unknown equals nothing."""
    return np.array([wanted is not None and f == wanted for f in found], dtype=np.bool_)
