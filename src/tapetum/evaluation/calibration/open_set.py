"""Open-set identification: some of those who are searched for are not in the gallery.

A seeded share of the gallery's people is taken out of it. A query with a true match in what is left is a
*probe with a mate*, any other query of a known person a *probe without one*. At a threshold, a probe is
answered with its nearest gallery item if that is near enough, else with "unknown". Then

- false-alarm rate (FAR): share of probes without a mate that are answered at all;
- detection and identification rate (DIR): share of probes with a mate that are answered, and rightly: the
  nearest item (rank 1) is of their person.

DIR@FAR is the DIR at the largest threshold whose FAR is at most the wished one (Phillips, Grother & Micheals,
"Evaluation Methods in Face Recognition", in Handbook of Face Recognition, 2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import CalibrationError
from tapetum.evaluation.calibration.calibration import split_people
from tapetum.evaluation.calibration.pair_counts import refuse_bad_vectors
from tapetum.evaluation.distances.trial_pairs import PairBlock, pair_blocks
from tapetum.evaluation.protocols._base import Trial
from tapetum.types import Embeddings

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

FALSE_ALARM_RATES = (0.001, 0.01, 0.1)


@dataclass(frozen=True, slots=True, eq=False)
class OpenSetScores:
    """DIR at some FAR, over several draws of the people who are taken out.

    Attributes:
        trial: Name of the trial.
        share: Wished share of the gallery's people who were taken out.
        false_alarm_rates: The wished ones.
        rates: float64 `[draws, rates]`, DIR at each.
        thresholds: float64 `[draws, rates]`; a probe is answered where its nearest item has a distance (1 -
            cosine similarity) *below* it. inf: all are answered.
        closed: float64 `[draws]`, DIR without a threshold: rank-1 of the probes with a mate.
        with_mate: int64 `[draws]`, number of such probes.
        without_mate: int64 `[draws]`.
    """

    trial: str
    share: float
    false_alarm_rates: tuple[float, ...]
    rates: FloatArray
    thresholds: FloatArray
    closed: FloatArray
    with_mate: NDArray[np.int64]
    without_mate: NDArray[np.int64]

    def rate(self, false_alarm_rate: float) -> float:
        """DIR at one of the false-alarm rates, mean over draws.

        Raises:
            ValueError: It was not asked for.
        """
        if false_alarm_rate not in self.false_alarm_rates:
            raise ValueError(f"DIR at FAR {false_alarm_rate} was not computed; {self.false_alarm_rates} were")
        return float(self.rates[:, self.false_alarm_rates.index(false_alarm_rate)].mean())

    def is_resolved(self, false_alarm_rate: float) -> bool:
        """Whether a single false alarm is within this rate in every draw; if not, none was allowed."""
        return float(false_alarm_rate * self.without_mate.min()) >= 1

    def to_json(self) -> dict[str, object]:
        """Means over draws and their spread, ready for `json.dumps`."""
        spread = self.rates.std(axis=0, ddof=1) if len(self.rates) > 1 else np.zeros(self.rates.shape[1])
        return {
            "trial": self.trial,
            "share": self.share,
            "draws": len(self.rates),
            "with_mate": float(self.with_mate.mean()),
            "without_mate": float(self.without_mate.mean()),
            "rank_1": float(self.closed.mean()),
            "rates": [
                {
                    "false_alarm_rate": wished,
                    "detection_and_identification_rate": float(self.rates[:, column].mean()),
                    "standard_deviation": float(spread[column]),
                    "is_resolved": self.is_resolved(wished),
                }
                for column, wished in enumerate(self.false_alarm_rates)
            ],
        }


def open_set_scores(
    embeddings: Embeddings,
    trial: Trial,
    *,
    share: float = 0.5,
    false_alarm_rates: Sequence[float] = FALSE_ALARM_RATES,
    draws: int = 10,
    seed: int = 0,
) -> OpenSetScores:
    """DIR at false-alarm rates in a trial from whose gallery some people are taken out.

    Args:
        embeddings: What the trial's rows are rows of; rows L2-normalised.
        trial: Queries, gallery and rules. Queries of unknown people are no probes; one whose person the
            rules leave out of the gallery has no mate.
        share: Of the gallery's known people, how many are taken out.
        false_alarm_rates: Wished rates, 0..1.
        draws: How often people are drawn; draw i has seed `seed` + i.
        seed: Of the first draw.

    Raises:
        CalibrationError: A draw leaves no probe with a mate, or none without one.
        ValueError: An argument is out of range, or a row is not finite or not of length 1.
    """
    wished = tuple(float(rate) for rate in false_alarm_rates)
    if not wished or any(not 0 <= rate <= 1 for rate in wished):
        raise ValueError(f"false-alarm rates are {wished}; expected shares 0..1")
    if draws < 1:
        raise ValueError(f"draws is {draws}; expected at least 1")
    refuse_bad_vectors(embeddings)
    gone = _taken_out(embeddings, trial, share, range(seed, seed + draws))
    known = [embeddings.tracklets[int(row)].person_id is not None for row in trial.query]
    parts = [_nearest(block, gone) for block in pair_blocks(embeddings, trial, np.flatnonzero(known))]
    if not parts:
        raise CalibrationError(f"{trial.name}: no query is of a known person")
    distance, is_right, has_mate = (np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
    found = [_rates(*rows, wished, trial.name) for rows in zip(distance, is_right, has_mate, strict=True)]
    rates, thresholds = (np.stack(column) for column in zip(*found, strict=True))
    return OpenSetScores(
        trial=trial.name,
        share=share,
        false_alarm_rates=wished,
        rates=rates,
        thresholds=thresholds,
        closed=(is_right & has_mate).sum(axis=1) / has_mate.sum(axis=1),
        with_mate=has_mate.sum(axis=1),
        without_mate=(~has_mate).sum(axis=1),
    )


def _taken_out(embeddings: Embeddings, trial: Trial, share: float, seeds: Sequence[int]) -> Mask:
    """`[draws, G]` which gallery items are of people taken out."""
    gallery = embeddings.rows(trial.gallery).tracklets
    drawn = [split_people(gallery, share=share, seed=seed)[0] for seed in seeds]
    return np.array([[t.person_id in people for t in gallery] for people in drawn], dtype=np.bool_)


def _nearest(block: PairBlock, gone: Mask) -> tuple[FloatArray, Mask, Mask]:
    """`[draws, b]` distance of each query's nearest item, whether it is right, and whether there is a mate.

    Without any item the distance is inf.
    """
    shape = len(gone), len(block.positions)
    distance, is_right, has_mate = np.empty(shape), np.empty(shape, np.bool_), np.empty(shape, np.bool_)
    row = np.arange(shape[1])
    for draw, items in enumerate(gone):
        left_out = block.left_out | items
        masked = np.where(left_out, np.float32(np.inf), block.distance)
        nearest = masked.argmin(axis=1)  # of equal ones the first, as everywhere
        distance[draw] = 1.0 + masked[row, nearest].astype(np.float64)
        is_right[draw] = block.same[row, nearest] & ~left_out[row, nearest]
        has_mate[draw] = (block.same & ~left_out).any(axis=1)
    return distance, is_right, has_mate


def _rates(
    distance: FloatArray, is_right: Mask, has_mate: Mask, wished: Sequence[float], trial: str
) -> tuple[FloatArray, FloatArray]:
    """DIR and threshold at each wished rate, for one draw.

    With n probes without a mate, floor(n x rate) of them may be answered: the threshold is the distance of
    the next one, and what lies below it is answered.
    """
    strangers = np.sort(distance[~has_mate])
    if not len(strangers) or not has_mate.any():
        missing = "with" if len(strangers) else "without"
        raise CalibrationError(
            f"{trial}: no query is {missing} a mate in the gallery; take out another share"
        )
    allowed = np.floor(np.array(wished) * len(strangers) + 1e-9).astype(np.int64)
    thresholds = np.append(strangers, np.inf)[allowed]
    answered = (distance < thresholds[:, None]) & is_right & has_mate
    return answered.sum(axis=1) / has_mate.sum(), thresholds
