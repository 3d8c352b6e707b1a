"""Distances between visible and infrared tracklets, counted in bins: of one person, and of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.types import Embeddings, Modality

_BLOCK = 1024
_BINS = 400


@dataclass(frozen=True, slots=True)
class DistanceHistogram:
    """Counts of cross-modal pairs by cosine distance.

    Attributes:
        edges: float64 `[bins + 1]`, from 0 to 2.
        same: int64 `[bins]`, pairs of one person.
        different: int64 `[bins]`, pairs of two persons.
    """

    edges: NDArray[np.float64]
    same: NDArray[np.int64]
    different: NDArray[np.int64]

    @property
    def separation(self) -> float:
        """Share of (same-person pair, different-person pair) couples in which the same person is nearer.

        That is the area under the ROC curve of the distance: 0.5 by chance, 1 when a threshold parts the two;
        pairs that fall into one bin count half. NaN where one of the two kinds is missing.
        """
        same, different = self.same.astype(np.float64), self.different.astype(np.float64)
        farther = different.sum() - np.cumsum(different)
        couples = same.sum() * different.sum()
        return float(same @ (farther + different / 2) / couples) if couples else float("nan")

    def mean(self, counts: NDArray[np.int64]) -> float:
        """Mean distance of the pairs in `counts` (`same` or `different`), to half a bin; nan without one."""
        middles = (self.edges[:-1] + self.edges[1:]) / 2
        return float(counts @ middles / counts.sum()) if counts.sum() else float("nan")

    def merged(self, bins: int) -> DistanceHistogram:
        """The same counts in `bins` bins over the range where there are any.

        Raises:
            ValueError: There is no pair at all.
        """
        filled = np.flatnonzero(self.same + self.different)
        if not len(filled):
            raise ValueError("a histogram without pairs has no range")
        size = -(-(filled[-1] + 1 - filled[0]) // bins)
        starts = np.arange(filled[0], filled[-1] + 1, size)
        ends = np.minimum(starts[-1] + size, len(self.same))
        edges = self.edges[np.append(starts, ends)]
        same, different = (np.add.reduceat(counts[:ends], starts) for counts in (self.same, self.different))
        return DistanceHistogram(edges, same, different)


def cross_modal_distances(embeddings: Embeddings) -> DistanceHistogram:
    """All pairs of a visible and an infrared tracklet with known persons, by their cosine distance."""
    visible, visible_persons = _known(embeddings, Modality.VISIBLE)
    infrared, infrared_persons = _known(embeddings, Modality.INFRARED)
    counts = np.zeros((2, _BINS), dtype=np.int64)
    for start in range(0, len(visible), _BLOCK):
        rows = slice(start, start + _BLOCK)
        distance = np.clip(1.0 - visible[rows] @ infrared.T, 0.0, 2.0)
        bins = np.minimum((distance * (_BINS / 2)).astype(np.int64), _BINS - 1)
        is_same = visible_persons[rows, None] == infrared_persons[None, :]
        counts[0] += np.bincount(bins[is_same], minlength=_BINS)
        counts[1] += np.bincount(bins[~is_same], minlength=_BINS)
    return DistanceHistogram(np.linspace(0.0, 2.0, _BINS + 1), counts[0], counts[1])


def _known(embeddings: Embeddings, modality: Modality) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of the tracklets of one modality whose person is known, and a number for each one's person."""
    number = {person: i for i, person in enumerate(embeddings.tracklets.person_ids)}
    chosen = [
        (row, number[t.person_id])
        for row, t in enumerate(embeddings.tracklets)
        if t.modality is modality and t.person_id is not None
    ]
    rows, persons = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    return embeddings.vectors[rows], persons
