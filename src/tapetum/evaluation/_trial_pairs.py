"""The pairs of a trial, some queries at a time: how far apart, one person or two, and which do not count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.evaluation._identities import IntArray, shared_codes
from tapetum.evaluation._products import NegativeProducts, rows_at_a_time
from tapetum.evaluation.protocols._base import Trial
from tapetum.types import Embeddings, Id, Tracklet


@dataclass(frozen=True, slots=True, eq=False)
class PairBlock:
    """Some queries of a trial against its whole gallery, in gallery order.

    Attributes:
        positions: int64 `[b]`, places in `trial.query`.
        distance: float32 `[b, G]`, minus the dot product.
        same: bool `[b, G]`, whether both show one person; an unknown person is nobody's match.
        left_out: bool `[b, G]`, whether the trial's rules remove the pair.
    """

    positions: IntArray
    distance: NDArray[np.float32]
    same: NDArray[np.bool_]
    left_out: NDArray[np.bool_]


def pair_blocks(
    embeddings: Embeddings, trial: Trial, positions: IntArray | None = None
) -> Iterator[PairBlock]:
    """The pairs of a trial in blocks; its whole matrix is never held.

    Args:
        embeddings: What the trial's rows are rows of.
        trial: Queries, gallery and rules.
        positions: Places in `trial.query`; None: all of them.
    """
    wanted = np.arange(len(trial.query)) if positions is None else positions
    rules = _Rules.of(embeddings, trial)
    products = NegativeProducts(torch.from_numpy(embeddings.vectors[trial.gallery]))
    rows = rows_at_a_time(len(trial.gallery))
    for first in range(0, len(wanted), rows):
        chosen = wanted[first : first + rows]
        vectors = torch.from_numpy(embeddings.vectors[trial.query[chosen]])
        same, left_out = rules.of_queries(chosen)
        yield PairBlock(chosen, products(vectors).numpy(), same, left_out)


@dataclass(frozen=True, slots=True)
class _Rules:
    """Who the queries and the gallery items are and where they were seen, as codes."""

    people: tuple[IntArray, IntArray]
    cameras: tuple[IntArray, IntArray]
    keeps_same_camera: bool
    hidden: tuple[tuple[NDArray[np.bool_], NDArray[np.bool_]], ...]
    """Queries of a camera, and the gallery items that are hidden from it."""

    @classmethod
    def of(cls, embeddings: Embeddings, trial: Trial) -> _Rules:
        query = [embeddings.tracklets[int(row)] for row in trial.query]
        gallery = [embeddings.tracklets[int(row)] for row in trial.gallery]
        people = shared_codes([t.person_id for t in query], [t.person_id for t in gallery])
        cameras = shared_codes([t.camera_id for t in query], [t.camera_id for t in gallery])
        hidden = tuple(
            (_seen_by(query, asking), _seen_by(gallery, removed)) for asking, removed in trial.hidden_cameras
        )
        return cls(people, cameras, trial.same_camera, hidden)

    def of_queries(self, positions: IntArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """`same` and `left_out` of some queries with the whole gallery."""
        same = self.people[0][positions, None] == self.people[1]
        if self.keeps_same_camera:
            left_out = np.zeros_like(same)
        else:
            left_out = same & (self.cameras[0][positions, None] == self.cameras[1])
        for asking, removed in self.hidden:
            left_out |= asking[positions, None] & removed
        return same, left_out


def _seen_by(tracklets: Sequence[Tracklet], camera: Id) -> NDArray[np.bool_]:
    return np.array([t.camera_id == camera for t in tracklets], dtype=np.bool_)
