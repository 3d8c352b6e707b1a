"""Ranked lists of single queries, to look at: the same order, distances and rules as the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.evaluation._camera_rules import CameraRules
from tapetum.evaluation._identities import shared_codes
from tapetum.evaluation._positives import stable_order
from tapetum.evaluation._products import NegativeProducts
from tapetum.evaluation.protocols._base import Trial
from tapetum.types import Embeddings


@dataclass(frozen=True, slots=True, eq=False)
class RankedList:
    """What a query finds; rows are rows of the embeddings that were ranked.

    Attributes:
        query: Row of the query.
        gallery: int64 `[top]`, rows of the nearest gallery items, nearest first.
        distances: float32 `[top]`, their distances: minus the dot product.
        is_match: bool `[top]`, whether each is of the query's person.
        left_out: int64, rows of gallery items that the camera rules removed from the ranking.
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
        trial: The gallery and the camera rules.
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
    asked = [embeddings.tracklets[row] for row in queries]
    gallery = [embeddings.tracklets[int(row)] for row in trial.gallery]
    people = shared_codes([t.person_id for t in asked], [t.person_id for t in gallery])
    rules = CameraRules.of(people, asked, gallery, trial.same_camera, trial.hidden_cameras)
    return [
        _ranked_list(queries[row], row, rules, trial.gallery, distance[row], top)
        for row in range(len(queries))
    ]


def _ranked_list(
    query: int,
    row: int,
    rules: CameraRules,
    gallery: NDArray[np.int64],
    distance: NDArray[np.float32],
    top: int | None,
) -> RankedList:
    left_out = rules(np.array([row]))[0]
    order = stable_order(distance[None])[0]
    order = order[~left_out[order]][:top]
    is_match = rules.people[1][order] == rules.people[0][row]
    return RankedList(query, gallery[order], distance[order], is_match, gallery[left_out])
