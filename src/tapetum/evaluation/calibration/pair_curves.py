"""What distances of one kind of pairs mean: probabilities, error rates, and whether they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.errors import CalibrationError
from tapetum.evaluation.calibration._log_ratios import LogRatio, check_prior, probability_of
from tapetum.evaluation.calibration.pair_counts import PairCounts, Pairing

FloatArray = NDArray[np.float64]

FEW_PEOPLE = 20
"""With fewer people on either side, figures of a calibration are hardly more than examples."""
FALSE_MATCH_RATES = (0.0001, 0.001, 0.01, 0.1)
"""Rates for which thresholds are usually stated."""
RULE_OF = 30
"""Errors that must be seen before a rate is worth stating (Doddington's rule of 30)."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Whether probabilities hold: of pairs said to be one person with 0.8, 80 % should be.

    Attributes:
        prior: Share of pairs of one person, to which the pairs are weighed.
        edges: float64 `[bins + 1]`, of probability.
        predicted: float64 `[bins]`, mean probability in each bin; nan where it is empty.
        observed: float64 `[bins]`, share of one person in each bin; nan where it is empty.
        weight: float64 `[bins]`, share of all pairs in each bin, 1 in all.
        pairs: int64 `[bins]`, pairs in each bin, not weighed.
    """

    prior: float
    edges: FloatArray
    predicted: FloatArray
    observed: FloatArray
    weight: FloatArray
    pairs: NDArray[np.int64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean over pairs of |observed - predicted| of their bin."""
        filled = self.weight > 0
        return float(self.weight[filled] @ np.abs(self.observed - self.predicted)[filled])


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold of distance and what it gives on the judged pairs.

    Attributes:
        wished: The false-match rate that was wished.
        threshold: The largest distance that keeps to it.
        false_match_rate: Share of pairs of two people that are accepted.
        false_non_match_rate: Share of pairs of one person that are not.
        probability: Of one person at the threshold, with the curve's own prior.
        is_resolved: Whether 30 false matches or more are expected at the wished rate.
    """

    wished: float
    threshold: float
    false_match_rate: float
    false_non_match_rate: float
    probability: float
    is_resolved: bool


@dataclass(frozen=True, slots=True, eq=False)
class PairCurve:
    """What distances of one pairing mean.

    Attributes:
        pairing: Which modalities.
        log_ratio: Evidence of a distance for one person.
        prior: Probability of one person before the distance is seen, where none is given: the share of pairs
            of one person among those learnt from, unless another was wished.
        learnt: Pairs that were learnt from.
        judged: Pairs of other people, by which error rates and reliability are stated.
    """

    pairing: Pairing
    log_ratio: LogRatio
    prior: float
    learnt: PairCounts
    judged: PairCounts

    def probability(self, distance: ArrayLike, *, prior: float | None = None) -> FloatArray:
        """Probability that a pair at each distance shows one person.

        Args:
            distance: 1 - cosine similarity, any shape.
            prior: Probability of one person before the distance is seen; None: the curve's own.

        Raises:
            ValueError: A distance is NaN, or the prior is not strictly between 0 and 1.
        """
        chosen = self.prior if prior is None else prior
        check_prior(chosen)
        wanted = np.asarray(distance, dtype=np.float64)
        if np.isnan(wanted).any():
            raise ValueError("a distance is not a number")
        return probability_of(self.log_ratio(wanted), chosen)

    def is_resolved(self, false_match_rate: float) -> bool:
        """Whether the judged pairs are enough to state such a rate: 30 false matches or more are expected."""
        return float(false_match_rate * self.judged.different.sum()) >= RULE_OF

    def operating_points(self, rates: Sequence[float] = FALSE_MATCH_RATES) -> tuple[OperatingPoint, ...]:
        """A threshold for each wished false-match rate; rates that no distance keeps to are left out.

        Raises:
            ValueError: A rate is not between 0 and 1.
        """
        found = []
        for rate in rates:
            try:
                threshold = self.judged.threshold_for(rate)
            except CalibrationError:
                continue
            found.append(
                OperatingPoint(
                    wished=rate,
                    threshold=threshold,
                    false_match_rate=self.judged.false_match_rate(threshold),
                    false_non_match_rate=self.judged.false_non_match_rate(threshold),
                    probability=float(self.probability(threshold)),
                    is_resolved=self.is_resolved(rate),
                )
            )
        return tuple(found)

    def to_json(self) -> dict[str, object]:
        """What the curve is worth, as plain numbers ready for `json.dumps`."""
        rate, at = self.judged.equal_error()
        return {
            "pairing": self.pairing.value,
            "prior": self.prior,
            "learnt_people": self.learnt.people,
            "judged_people": self.judged.people,
            "same_pairs": int(self.judged.same.sum()),
            "different_pairs": int(self.judged.different.sum()),
            "separation": self.judged.separation(),
            "equal_error_rate": rate,
            "equal_error_distance": at,
            "expected_calibration_error": self.reliability().expected_error,
            "operating_points": [asdict(point) for point in self.operating_points()],
        }

    @property
    def has_few_people(self) -> bool:
        """Whether fewer than 20 people were learnt from or judged on."""
        return min(self.learnt.people, self.judged.people) < FEW_PEOPLE

    def reliability(self, *, prior: float = 0.5, bins: int = 10) -> Reliability:
        """How well probabilities of the judged pairs hold, in bins of equal width.

        Args:
            prior: To which share of one person the pairs are weighed; at the usual share nearly all pairs are
                at probability 0, and say little.
            bins: Number of bins.

        Raises:
            ValueError: `prior` or `bins` out of range.
        """
        if bins < 1:
            raise ValueError(f"bins is {bins}; expected at least 1")
        probability = self.probability(self.judged.middles, prior=prior)
        same = self.judged.same * (prior / self.judged.same.sum())
        both = same + self.judged.different * ((1 - prior) / self.judged.different.sum())
        number = np.minimum((probability * bins).astype(np.int64), bins - 1)

        def per_bin(values: NDArray[np.generic]) -> FloatArray:
            return np.bincount(number, weights=values, minlength=bins).astype(np.float64)

        weight = per_bin(both)
        filled = np.where(weight > 0, weight, np.nan)
        return Reliability(
            prior=prior,
            edges=np.linspace(0, 1, bins + 1),
            predicted=per_bin(both * probability) / filled,
            observed=per_bin(same) / filled,
            weight=weight,
            pairs=per_bin(self.judged.same + self.judged.different).astype(np.int64),
        )
