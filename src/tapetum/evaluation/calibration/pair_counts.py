"""Pairs of tracklets counted by distance, so that all of them are used and none is held.

A distance is counted at the next of 8,193 levels: 0, 1/4096, ..., 2. The levels are exact in float32, so at a
level every share below is the one that a loop over the pairs would give: `distance <= level` exactly where
the pair was counted at that level or before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import CalibrationError
from tapetum.evaluation._identities import IntArray
from tapetum.evaluation.protocols._base import Trial
from tapetum.types import Embeddings, Id, Modality

if TYPE_CHECKING:
    from tapetum.evaluation.distances.trial_pairs import PairBlock

LEVELS_PER_UNIT = 4096
LEVELS = 2 * LEVELS_PER_UNIT + 1
_ENTRIES = 1 << 18  # pairs counted at a time
_LENGTH_TOLERANCE = 1e-3


class Pairing(StrEnum):
    """Which modalities a pair is of; distances of different pairings do not compare."""

    CROSS = "visible-infrared"
    VISIBLE = "visible-visible"
    INFRARED = "infrared-infrared"

    @staticmethod
    def of(first: Modality, second: Modality) -> Pairing:
        """The pairing of two modalities, in either order."""
        if first is not second:
            return Pairing.CROSS
        return Pairing.VISIBLE if first is Modality.VISIBLE else Pairing.INFRARED

    @property
    def modalities(self) -> tuple[Modality, Modality]:
        """Its two modalities."""
        first, second = self.value.split("-")
        return Modality(first), Modality(second)


@dataclass(frozen=True, slots=True, eq=False)
class PairCounts:
    """How many pairs of one person and of two lie at each level of distance.

    Attributes:
        same: int64 `[LEVELS]`, or fewer levels from 0 to 2, as `merged` gives them.
        different: As many.
        people: Number of people with a pair of their own.
    """

    same: IntArray
    different: IntArray
    people: int = 0

    @property
    def distances(self) -> NDArray[np.float64]:
        """Distance of each level."""
        return np.arange(len(self.same)) / self._per_unit

    @property
    def middles(self) -> NDArray[np.float64]:
        """The middle of the distances that are counted at each level."""
        return np.asarray(np.maximum(self.distances - 0.5 / self._per_unit, 0.0))

    @property
    def _per_unit(self) -> int:
        return (len(self.same) - 1) // 2

    def false_match_rate(self, threshold: float) -> float:
        """Share of the pairs of two people with a distance of at most `threshold`; nan without one."""
        return self._share(self.different, threshold)

    def false_non_match_rate(self, threshold: float) -> float:
        """Share of the pairs of one person with a distance above `threshold`; nan without one."""
        return 1.0 - self._share(self.same, threshold)

    def threshold_for(self, false_match_rate: float) -> float:
        """The largest level of distance at which at most this share of pairs of two people is accepted.

        Raises:
            ValueError: The rate is not between 0 and 1.
            CalibrationError: Even at distance 0 more of them are accepted, or there is no such pair.
        """
        if not 0 <= false_match_rate <= 1:
            raise ValueError(f"false-match rate is {false_match_rate}; expected a share 0..1")
        accepted = np.cumsum(self.different)
        fitting = np.flatnonzero(accepted <= false_match_rate * accepted[-1])
        if not accepted[-1] or not len(fitting):
            raise CalibrationError(
                f"no distance gives a false-match rate of {false_match_rate:g}: {accepted[0]} of "
                f"{accepted[-1]} pairs of two people have distance 0"
            )
        return float(self.distances[fitting[-1]])

    def equal_error(self) -> tuple[float, float]:
        """The equal error rate and its threshold: the level at which the two error rates differ least.

        The rate is their mean there; of several such levels the first. nan where one kind is missing.
        """
        if not self.same.any() or not self.different.any():
            return float("nan"), float("nan")
        false_match = np.cumsum(self.different) / self.different.sum()
        false_non_match = 1.0 - np.cumsum(self.same) / self.same.sum()
        level = int(np.argmin(np.abs(false_match - false_non_match)))
        return float(false_match[level] + false_non_match[level]) / 2, float(self.distances[level])

    def separation(self) -> float:
        """Share of (pair of one person, pair of two) couples in which the one person's pair is nearer.

        The area under the ROC curve: 0.5 by chance, 1 where a threshold parts the two; pairs at one level
        count half. nan where one kind is missing.
        """
        same, different = self.same.astype(np.float64), self.different.astype(np.float64)
        couples = same.sum() * different.sum()
        farther = different.sum() - np.cumsum(different)
        return float(same @ (farther + different / 2) / couples) if couples else float("nan")

    def d_prime(self) -> float:
        """Difference of the mean distances in units of the pooled spread; nan where a kind is missing.

        (mean of two people - mean of one) / sqrt((variance of two + variance of one) / 2).
        """
        means, variances = [], []
        for counts in (self.same, self.different):
            total = counts.sum()
            mean = counts @ self.middles / total if total else np.nan
            means.append(mean)
            variances.append(counts @ (self.middles - mean) ** 2 / total if total else np.nan)
        spread = np.sqrt(sum(variances) / 2)
        return float((means[1] - means[0]) / spread) if spread > 0 else float("nan")

    def medians(self) -> tuple[float, float]:
        """Median distance of the pairs of one person and of two, to a level; nan where there is none."""
        return self._median(self.same), self._median(self.different)

    def _share(self, counts: IntArray, threshold: float) -> float:
        """Share of pairs at levels whose distance is at most `threshold`."""
        if threshold != threshold:
            raise ValueError("the threshold is not a number")
        levels = int(np.floor(min(threshold, 2.0) * self._per_unit)) + 1 if threshold >= 0 else 0
        total = counts.sum()
        return float(counts[:levels].sum() / total) if total else float("nan")

    def _median(self, counts: IntArray) -> float:
        """The least level at which half of the pairs are reached."""
        total = counts.sum()
        reached = np.searchsorted(np.cumsum(counts), total / 2)
        return float(self.distances[reached]) if total else float("nan")


def count_pairs(
    embeddings: Embeddings,
    pairing: Pairing,
    *,
    same_camera: bool = False,
    hidden_cameras: Sequence[tuple[Id, Id]] = (),
) -> PairCounts:
    """All pairs of a pairing between tracklets of known people, each pair once.

    Args:
        embeddings: Rows L2-normalised, see `refuse_bad_vectors`.
        pairing: Which modalities.
        same_camera: Whether pairs of one person in one camera are kept; they are nearer than those that a
            search between cameras is about.
        hidden_cameras: Pairs of cameras, in either order, whose pairs of tracklets are left out.
    """
    from tapetum.evaluation.distances.trial_pairs import pair_blocks  # torch: reading counts needs none

    first, second = (_known(embeddings, modality) for modality in pairing.modalities)
    hidden = tuple(pair for a, b in hidden_cameras for pair in {(a, b), (b, a)})
    trial = Trial(pairing.value, first, second, same_camera=same_camera, hidden_cameras=hidden)
    within = pairing is not Pairing.CROSS
    counts, people = np.zeros((2, LEVELS), dtype=np.int64), set()
    if len(first) and len(second):
        for block in pair_blocks(embeddings, trial):
            ignored = block.left_out
            if within:
                ignored = ignored | (np.arange(len(second)) <= block.positions[:, None])
            counts += count_block(block, ignored)
            paired = first[block.positions[(block.same & ~ignored).any(axis=1)]]
            people |= {embeddings.tracklets[int(row)].person_id for row in paired}
    return PairCounts(counts[0], counts[1], len(people))


def count_block(block: PairBlock, ignored: NDArray[np.bool_]) -> IntArray:
    """`[2, LEVELS]` counts of a block's pairs of one person and of two, without those that are ignored."""
    total = np.zeros(2 * LEVELS + 1, dtype=np.int64)
    step = max(1, _ENTRIES // block.distance.shape[1])
    for first in range(0, len(block.distance), step):
        part = slice(first, first + step)
        level = levels_of(block.distance[part])
        level += np.where(block.same[part], 0, LEVELS)
        np.copyto(level, 2 * LEVELS, where=ignored[part])
        total += np.bincount(level.ravel(), minlength=2 * LEVELS + 1)
    return total[:-1].reshape(2, LEVELS)


def merged(counts: IntArray, by: int) -> IntArray:
    """`[..., LEVELS]` counts at every `by`th level only: each pair at the next of these, 0 apart.

    Example:
        >>> merged(np.array([5, 1, 1, 1, 2]), 2).tolist()
        [5, 2, 3]
    """
    starts = np.append(0, np.arange(1, counts.shape[-1], by))
    found: IntArray = np.add.reduceat(counts, starts, axis=-1)
    return found


def levels_of(distance: NDArray[np.float32]) -> IntArray:
    """The level at which each negative dot product counts: of 1 plus it, rounded up."""
    scaled = np.ceil(distance * np.float32(LEVELS_PER_UNIT))  # a power of two: nothing is rounded before ceil
    found: IntArray = np.clip(scaled + np.float32(LEVELS_PER_UNIT), 0, LEVELS - 1).astype(np.int64)
    return found


def refuse_bad_vectors(embeddings: Embeddings) -> None:
    """Nothing, or an error where a row cannot be compared by cosine distance.

    Raises:
        ValueError: A row is not finite or not of length 1; its tracklet is named.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings.vectors, embeddings.vectors, dtype=np.float64))
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE))
    if len(bad):
        name, length = embeddings.tracklets[int(bad[0])].tracklet_id, lengths[bad[0]]
        raise ValueError(
            f"the embedding of tracklet {name!r} (row {bad[0]}) has length {length:g}; expected 1 "
            f"({len(bad)} of {len(embeddings)} rows are like this)"
        )


def _known(embeddings: Embeddings, modality: Modality) -> IntArray:
    rows = [
        row
        for row, t in enumerate(embeddings.tracklets)
        if t.modality is modality and t.person_id is not None
    ]
    return np.array(rows, dtype=np.int64)
