"""Means over the trials of a direction, with their standard deviations: the numbers that papers print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation.scores.metrics import MatchCurve, Scores

_FIGURES = ("mean_ap", "mean_inp", "queries", "skipped")


@dataclass(frozen=True, slots=True, eq=False)
class Deviations:
    """How far the trials of a direction are apart: sample standard deviations (divided by trials - 1).

    Attributes:
        cmc: float64 `[max_rank]`.
        mean_ap: Of the mean average precision.
        mean_inp: Of the mean inverse negative penalty.
        queries: Of the number of valid queries.
        skipped: Of the number of skipped queries.
    """

    cmc: NDArray[np.float64]
    mean_ap: float
    mean_inp: float
    queries: float
    skipped: float

    def to_json(self) -> dict[str, object]:
        """The numbers, ready for `json.dumps`."""
        return _to_json(self)


@dataclass(frozen=True, slots=True, eq=False)
class DirectionScores(MatchCurve):
    """Means over the trials of a direction, in float64; every trial counts the same.

    Attributes:
        trials: How many they are.
        cmc: float64 `[max_rank]`.
        mean_ap: Mean average precision.
        mean_inp: Mean inverse negative penalty.
        queries: Valid queries.
        skipped: Skipped queries.
        deviations: None for a single trial.
    """

    trials: int
    cmc: NDArray[np.float64]
    mean_ap: float
    mean_inp: float
    queries: float
    skipped: float
    deviations: Deviations | None

    def to_json(self) -> dict[str, object]:
        """The numbers, ready for `json.dumps`."""
        deviations = None if self.deviations is None else self.deviations.to_json()
        return {"trials": self.trials, **_to_json(self), "deviations": deviations}


def average(scores: Sequence[Scores]) -> DirectionScores:
    """Means and deviations of the scores of some trials.

    Raises:
        ValueError: There is none, or they differ in the length of their CMC.
    """
    lengths = {len(s.cmc) for s in scores}
    if len(lengths) != 1:
        raise ValueError(f"cannot average {len(scores)} trials with CMC lengths {sorted(lengths)}")
    cmc = np.stack([s.cmc for s in scores])
    figures = np.array([[getattr(s, name) for name in _FIGURES] for s in scores], dtype=np.float64)
    deviations = None
    if len(scores) > 1:
        deviations = Deviations(cmc.std(axis=0, ddof=1), *figures.std(axis=0, ddof=1).tolist())
    mean_ap, mean_inp, queries, skipped = figures.mean(axis=0).tolist()
    return DirectionScores(len(scores), cmc.mean(axis=0), mean_ap, mean_inp, queries, skipped, deviations)


def _to_json(scores: Deviations | DirectionScores) -> dict[str, object]:
    return {
        "mean_ap": scores.mean_ap,
        "mean_inp": scores.mean_inp,
        "cmc": scores.cmc.tolist(),
        "queries": scores.queries,
        "skipped": scores.skipped,
    }
