"""Whether one group of queries does worse than another, people being the units: no sampling, one formula.

A group's value is a mean over queries (and over trials). A person adds (sum of its values - mean x number of
its queries) / number of all queries to the mean's error; the variance of a difference of two means is the sum
of squares over people of the difference of these, times I / (I - 1) for I people (the linearised variance of
a ratio in cluster sampling). Both groups may hold the same people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tapetum.types import Id

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Values of queries, trial by trial.

    Attributes:
        values: Of each trial `[n]`; nan where a query has none.
        people: Of each trial, who each query is, `[n]`.
    """

    values: Sequence[FloatArray]
    people: Sequence[Sequence[Id | None]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two means and their difference.

    Attributes:
        value: Mean of the first group.
        reference: Mean of the second one.
        low: Lower end of the interval of value - reference.
        high: Upper end.
        queries: Queries of the first group in a trial, on average.
        people: People of the first group.
        share: The first group's share of the queries of both.
    """

    value: float
    reference: float
    low: float
    high: float
    queries: float
    people: int
    share: float

    @property
    def difference(self) -> float:
        """Value - reference."""
        return self.value - self.reference


def compare(first: Group, second: Group, *, level: float) -> Comparison | None:
    """The difference of two groups' means with its interval; None where it cannot be known.

    Args:
        first: What is asked about; its people set the degrees of freedom.
        second: What it is compared with.
        level: Of the interval.
    """
    codes: dict[Id | None, int] = {}
    one, other = _influence(first, codes), _influence(second, codes)
    if one is None or other is None or one.people < 2:
        return None
    errors = np.zeros(len(codes))
    errors[: len(one.errors)] += one.errors
    errors[: len(other.errors)] -= other.errors
    units = len(codes)
    spread = math.sqrt(units / (units - 1) * float(errors @ errors))
    half = float(stdtrit(one.people - 1, (1 + level) / 2)) * spread
    difference = one.mean - other.mean
    share = one.queries / (one.queries + other.queries)
    return Comparison(
        one.mean, other.mean, difference - half, difference + half, one.queries, one.people, share
    )


@dataclass(frozen=True, slots=True)
class _Influence:
    mean: float
    errors: FloatArray
    """`[people so far]`, what each adds to the mean's error."""
    queries: float
    people: int


def _influence(group: Group, codes: dict[Id | None, int]) -> _Influence | None:
    """A group's mean over trials with each person's part in its error; people get numbers from `codes`."""
    means, parts, queries = [], [], 0
    seen: set[int] = set()
    for values, people in zip(group.values, group.people, strict=True):
        valid = np.flatnonzero(~np.isnan(values))
        if not len(valid):
            continue
        numbers = np.array([codes.setdefault(people[int(row)], len(codes)) for row in valid])
        mean = values[valid].mean()
        means.append(mean)
        parts.append(np.bincount(numbers, weights=values[valid] - mean) / len(valid))
        queries += len(valid)
        seen.update(numbers.tolist())
    if not means:
        return None
    errors = np.zeros(len(codes))
    for part in parts:
        errors[: len(part)] += part / len(means)
    return _Influence(float(np.mean(means)), errors, queries / len(means), len(seen))
