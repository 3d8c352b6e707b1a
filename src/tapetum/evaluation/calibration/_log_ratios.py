"""From counted pairs to the evidence in a distance: the logarithm of how much likelier it is for one person.

log ratio(d) = log p(d | one person) - log p(d | two people). With a prior probability P of one person, the
probability at a distance is 1 / (1 + exp(-(log ratio + log(P / (1 - P))))).

Both fits weigh the two kinds of pairs as the prior says and take Platt's targets, (N+ + 1) / (N+ + 2) and
1 / (N- + 2), instead of 1 and 0 (Platt, "Probabilistic Outputs for Support Vector Machines", 1999): so pairs
that a threshold parts completely give a finite answer, and no probability is ever 0 or 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.errors import CalibrationError
from tapetum.evaluation.calibration.pair_counts import PairCounts

FloatArray = NDArray[np.float64]
Kind = Literal["logistic", "isotonic"]

_STEPS = 100
_CONVERGED = 1e-12


class LogRatio(Protocol):
    """Evidence as a function of distance."""

    def __call__(self, distance: ArrayLike) -> FloatArray:
        """The log ratio at each distance, of the same shape."""

    def to_json(self) -> dict[str, Any]:
        """Kind and numbers, ready for `json.dumps`."""


@dataclass(frozen=True, slots=True)
class LogisticRatio:
    """A straight line: offset + slope * distance; the slope is negative."""

    offset: float
    slope: float

    def __call__(self, distance: ArrayLike) -> FloatArray:
        found: FloatArray = self.offset + self.slope * np.asarray(distance, dtype=np.float64)
        return found

    def to_json(self) -> dict[str, Any]:
        """Kind and numbers, ready for `json.dumps`."""
        return {"kind": "logistic", "offset": self.offset, "slope": self.slope}


@dataclass(frozen=True, slots=True)
class IsotonicRatio:
    """Steps that only go down; `ratios[i]` holds to `distances[i]`, the last one beyond it too."""

    distances: tuple[float, ...]
    ratios: tuple[float, ...]

    def __call__(self, distance: ArrayLike) -> FloatArray:
        place = np.searchsorted(np.array(self.distances[:-1]), np.asarray(distance, dtype=np.float64))
        found: FloatArray = np.array(self.ratios)[place]
        return found

    def to_json(self) -> dict[str, Any]:
        """Kind and numbers, ready for `json.dumps`."""
        return {"kind": "isotonic", "distances": list(self.distances), "ratios": list(self.ratios)}


def fit_log_ratio(counts: PairCounts, kind: Kind, prior: float) -> LogRatio:
    """The log ratio that explains counted pairs best, weighed so that one person has probability `prior`.

    Args:
        counts: Pairs of the people to learn from.
        kind: "logistic": a line, for few pairs; "isotonic": any falling steps, for many.
        prior: Share of pairs of one person that the fit is for, strictly between 0 and 1.

    Raises:
        ValueError: Unknown kind, or `prior` out of range.
        CalibrationError: One kind of pairs is missing, all distances are equal, or pairs of one person are
            not nearer than those of two.
    """
    check_prior(prior)
    if kind not in get_args(Kind):
        raise ValueError(f"unknown kind of calibration {kind!r}; known: {', '.join(get_args(Kind))}")
    positive, negative = _targets(counts, prior)
    shift = math.log(prior) - math.log1p(-prior)
    if kind == "logistic":
        offset, slope = _fit_line(positive, negative, counts.middles)
        return LogisticRatio(offset - shift, slope)
    ends, shares = _fit_steps(positive, negative)
    ratios = np.log(shares) - np.log1p(-shares) - shift
    return IsotonicRatio(tuple(counts.distances[ends].tolist()), tuple(ratios.tolist()))


def log_ratio_from_json(content: dict[str, Any]) -> LogRatio:
    """The log ratio that `to_json` wrote.

    Raises:
        KeyError: A number is missing.
        TypeError: Something is no number.
        ValueError: The kind is unknown, or the numbers do not fit together.
    """
    if content["kind"] == "logistic":
        return LogisticRatio(float(content["offset"]), float(content["slope"]))
    if content["kind"] != "isotonic":
        raise ValueError(f"unknown kind of calibration {content['kind']!r}")
    distances, ratios = (tuple(map(float, content[name])) for name in ("distances", "ratios"))
    if not distances or len(distances) != len(ratios):
        raise ValueError(f"{len(distances)} distances and {len(ratios)} ratios; expected as many")
    return IsotonicRatio(distances, ratios)


def check_prior(prior: float) -> None:
    """Nothing, or an error where `prior` is no probability strictly between 0 and 1.

    Raises:
        ValueError: It is not.
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior is {prior}; expected a probability strictly between 0 and 1")


def _targets(counts: PairCounts, prior: float) -> tuple[FloatArray, FloatArray]:
    """`[LEVELS]` weights of "one person" and of "two people" at each level, 1 in all."""
    same, different = counts.same.sum(), counts.different.sum()
    if not same or not different:
        missing = "one person" if not same else "two people"
        raise CalibrationError(f"there is no pair of {missing} to learn from")
    levels = np.flatnonzero(counts.same + counts.different)
    if len(levels) == 1:
        raise CalibrationError(
            f"all distances are equal ({counts.distances[levels[0]]:.4f}); they tell nothing"
        )
    own = counts.same * (prior / same)
    other = counts.different * ((1 - prior) / different)
    high, low = (same + 1) / (same + 2), 1 / (different + 2)
    return own * high + other * low, own * (1 - high) + other * (1 - low)


def _fit_line(positive: FloatArray, negative: FloatArray, distance: FloatArray) -> tuple[float, float]:
    """Offset and slope of the logit of maximum likelihood, by Newton's method with step halving."""
    used = np.flatnonzero(positive + negative)
    positive, negative, distance = positive[used], negative[used], distance[used]
    weight = positive + negative
    centre = float(weight @ distance)
    spread = math.sqrt(float(weight @ (distance - centre) ** 2))
    design = np.stack([np.ones(len(distance)), (distance - centre) / spread])
    line = np.array([math.log(positive.sum() / negative.sum()), 0.0])
    for _ in range(_STEPS):
        share = _sigmoid(line @ design)
        gradient = design @ (weight * share - positive)
        if np.abs(gradient).max() < _CONVERGED:
            break
        hessian = (design * (weight * share * (1 - share))) @ design.T
        before = line
        step = np.linalg.solve(hessian, gradient).astype(np.float64)
        line = _descend(line, step, design, positive, negative)
        if np.array_equal(line, before):  # rounding is all that is left
            break
    slope = float(line[1]) / spread
    if slope >= 0:
        raise CalibrationError("pairs of one person are not nearer than pairs of two: nothing can be learnt")
    return float(line[0]) - slope * centre, slope


def _descend(
    line: FloatArray, step: FloatArray, design: FloatArray, positive: FloatArray, negative: FloatArray
) -> FloatArray:
    """`line` after a Newton step, halved until the loss does not grow."""
    before = _loss(line, design, positive, negative)
    for _ in range(_STEPS):
        after = line - step
        if _loss(after, design, positive, negative) <= before:
            return after
        step = step / 2
    return line


def _loss(line: FloatArray, design: FloatArray, positive: FloatArray, negative: FloatArray) -> float:
    logit = line @ design
    return float(positive @ np.logaddexp(0, -logit) + negative @ np.logaddexp(0, logit))


def _sigmoid(logit: FloatArray) -> FloatArray:
    found: FloatArray = 0.5 * (1 + np.tanh(0.5 * logit))
    return found


def _fit_steps(positive: FloatArray, negative: FloatArray) -> tuple[list[int], FloatArray]:
    """Last level and share of "one person" of each step of the falling function of least squares.

    Pool adjacent violators: a level whose share is not below the one before is pooled with it.
    """
    pooled: list[tuple[float, float, int]] = []
    for level in np.flatnonzero(positive + negative).tolist():
        own, weight = float(positive[level]), float(positive[level] + negative[level])
        while pooled and own * pooled[-1][1] >= pooled[-1][0] * weight:
            before = pooled.pop()
            own, weight = own + before[0], weight + before[1]
        pooled.append((own, weight, level))
    if len(pooled) < 2:
        raise CalibrationError("pairs of one person are not nearer than pairs of two: nothing can be learnt")
    return [level for *_, level in pooled], np.array([own / weight for own, weight, _ in pooled])


def probability_of(log_ratio: FloatArray, prior: float) -> FloatArray:
    """Probability of one person from the evidence and the prior probability.

    >>> probability_of(np.array([0.0, np.log(9)]), 0.5).round(6).tolist()
    [0.5, 0.9]
    """
    return _sigmoid(log_ratio + (math.log(prior) - math.log1p(-prior)))
