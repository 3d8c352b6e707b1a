"""How far the scores would move with other people, or with another draw of the gallery.

Queries of one person stand and fall together, so it is people who are drawn anew (a cluster bootstrap), not
queries: drawing queries as if they were independent gives intervals that are far too narrow. The gallery
stays as it is: the interval is about other people searched for among these.

Percentile intervals are meant for some dozens of people: with fewer they are somewhat too narrow, and where
every query gives the same value they have no width at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tapetum.evaluation._identities import Ids, IntArray, as_ids
from tapetum.evaluation.scores.metrics import Scores
from tapetum.types import Id

FloatArray = NDArray[np.float64]

RANKS = (1, 5, 10, 20)
MEASURES = (*(f"rank_{r}" for r in RANKS), "mean_ap", "mean_inp")
"""What intervals are given for, by name and in this order."""

_ENTRIES = 1 << 20  # weights held at a time: 8 MiB


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with the interval around it; fractions 0..1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Intervals(Mapping[str, Interval]):
    """An interval for each of MEASURES, by its name: `found["mean_ap"].low`.

    Attributes:
        intervals: By measure.
        level: Wished share of such intervals that hold the true value, 0..1.
        over: What was varied: "identities" or "trials".
        count: Number of identities with a valid query, or of trials.
        samples: Draws of the bootstrap; 0 over trials.
    """

    intervals: Mapping[str, Interval]
    level: float
    over: Literal["identities", "trials"]
    count: int
    samples: int = 0

    def __getitem__(self, measure: str) -> Interval:
        return self.intervals[measure]

    def __iter__(self) -> Iterator[str]:
        return iter(self.intervals)

    def __len__(self) -> int:
        return len(self.intervals)

    def to_json(self) -> dict[str, object]:
        """Level, what was varied, and [low, high] of each measure, ready for `json.dumps`."""
        return {
            "level": self.level,
            "over": self.over,
            "count": self.count,
            "samples": self.samples,
            **{name: [found.low, found.high] for name, found in self.intervals.items()},
        }


def bootstrap(
    scores: Scores, query_ids: Ids, *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> Intervals:
    """Percentile intervals of a trial's scores over the people who are searched for.

    In every sample as many identities are drawn, with replacement, as have a valid query, each with all of
    its queries. Skipped queries are in no sample.

    Args:
        scores: Of one trial.
        query_ids: `[Q]` who each query is, in the order of the scores.
        samples: How often people are drawn.
        level: Of the interval, between 0 and 1.
        seed: Of the draws; equal seeds give equal intervals.

    Raises:
        ValueError: Another number of queries, a valid query without identity, fewer than two identities, or
            `samples` or `level` out of range.

    Example:
        Two people, one always found and one never: a sample holds either of them, or both.

        >>> from tapetum.evaluation import score_distances
        >>> found = score_distances([[0, 1], [0, 1]], [7, 8], [7, 8])
        >>> bootstrap(found, [7, 8])["rank_1"]
        Interval(value=0.5, low=0.0, high=1.0)
    """
    return bootstrap_trials([scores], [query_ids], samples=samples, level=level, seed=seed)


def bootstrap_trials(
    scores: Sequence[Scores],
    query_ids: Sequence[Ids],
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Intervals:
    """Percentile intervals, over the people searched for, of the mean over several trials.

    A sample draws people once for all trials: they are the same people in each. A trial without a valid query
    of the people drawn does not count in that sample.

    Args:
        scores: One per trial.
        query_ids: Of each trial, who its queries are.
        samples: As `bootstrap`.
        level: As `bootstrap`.
        seed: As `bootstrap`.

    Raises:
        ValueError: As `bootstrap`, or no trial, or not as many lists of identities as scores.
    """
    check_level(level)
    if samples < 1:
        raise ValueError(f"samples is {samples}; expected at least 1")
    if not scores or len(scores) != len(query_ids):
        raise ValueError(f"{len(scores)} scores and {len(query_ids)} lists of identities; expected as many")
    sums = clustered([(measured(s), ids) for s, ids in zip(scores, query_ids, strict=True)])
    means = np.concatenate([sums.means(weights) for weights in draws(sums.people, samples, seed)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    value = sums.means(np.ones((1, sums.people)))[0]
    return Intervals(_by_name(value, low, high), level, "identities", sums.people, samples)


def over_trials(scores: Sequence[Scores], *, level: float = 0.95) -> Intervals:
    """Student's t intervals of the mean over trials: how much the draw of the gallery, or split, matters.

    Trials that draw other galleries for the same queries share their people, so this interval says nothing
    about other people; `bootstrap_trials` does.

    Args:
        scores: One per trial, of one direction.
        level: Of the interval, between 0 and 1.

    Raises:
        ValueError: Fewer than two trials, or `level` out of range.
    """
    check_level(level)
    if len(scores) < 2:
        raise ValueError(f"an interval over trials needs at least 2 of them; there is {len(scores)}")
    means = np.stack([np.nanmean(measured(s), axis=0) for s in scores])
    value = means.mean(axis=0)
    error = means.std(axis=0, ddof=1) / math.sqrt(len(means))
    half = float(stdtrit(len(means) - 1, (1 + level) / 2)) * error
    return Intervals(_by_name(value, value - half, value + half), level, "trials", len(means))


def measured(scores: Scores) -> FloatArray:
    """`[Q, 6]` the MEASURES of each query; nan where it was skipped."""
    ranks = scores.first_rank[:, None] <= np.array(RANKS)
    columns = [*ranks.T.astype(np.float64), scores.average_precision, scores.inp]
    return np.where(scores.first_rank[:, None] > 0, np.stack(columns, axis=1), np.nan)


@dataclass(frozen=True, slots=True)
class PersonSums:
    """What a mean over queries is made of, person by person: all that a sample of people needs.

    Attributes:
        sums: `[trials, people, measures]`, sums over a person's valid queries.
        counts: `[trials, people]`, how many those are.
    """

    sums: FloatArray
    counts: FloatArray

    @property
    def people(self) -> int:
        """Number of people with a valid query in some trial."""
        return int(self.counts.shape[1])

    def means(self, weights: FloatArray) -> FloatArray:
        """`[samples, measures]` means over queries, then over trials.

        Args:
            weights: `[samples, people]`, how often each person is in a sample. A mean is nan where none of
                its people has a valid query.
        """
        totals = weights @ self.sums
        queries = weights @ self.counts.T
        shown = queries.T[:, :, None] > 0
        means = np.divide(totals, queries.T[:, :, None], out=np.zeros_like(totals), where=shown)
        trials = shown.sum(axis=0)
        found: FloatArray = np.where(trials > 0, means.sum(axis=0) / np.maximum(trials, 1), np.nan)
        return found


def clustered(trials: Sequence[tuple[FloatArray, Ids]]) -> PersonSums:
    """Sums by person of what was measured of queries.

    Args:
        trials: Of each trial `[Q, measures]`, rows of nan where a query was skipped, and who its queries are.

    Raises:
        ValueError: Another number of queries, a valid query without identity, or fewer than two identities.
    """
    people: dict[Id, int] = {}
    parts: list[tuple[FloatArray, IntArray]] = []
    for values, query_ids in trials:
        ids = as_ids(query_ids, "query_ids")
        if len(ids) != len(values):
            raise ValueError(f"{len(values)} queries were scored, {len(ids)} identities are given")
        valid = np.flatnonzero(~np.isnan(values).any(axis=1))
        found = [_code(people, ids[int(row)], int(row)) for row in valid]
        parts.append((values[valid], np.array(found, dtype=np.int64)))
    if len(people) < 2:
        raise ValueError(f"an interval over identities needs at least 2 of them; there is {len(people)}")
    width = parts[0][0].shape[1]
    sums, counts = np.zeros((len(parts), len(people), width)), np.zeros((len(parts), len(people)))
    for trial, (values, codes) in enumerate(parts):
        np.add.at(sums[trial], codes, values)
        np.add.at(counts[trial], codes, 1.0)
    return PersonSums(sums, counts)


def draws(people: int, samples: int, seed: int) -> Iterator[FloatArray]:
    """`[some samples, people]` how often each person is drawn, block by block; each row's sum is `people`."""
    generator = np.random.default_rng(seed)
    rows = max(1, _ENTRIES // people)
    for first in range(0, samples, rows):
        size = min(rows, samples - first)
        drawn = generator.integers(0, people, (size, people)) + people * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * people).reshape(size, people).astype(np.float64)


def check_level(level: float) -> None:
    """Nothing, or an error where `level` is no share strictly between 0 and 1.

    Raises:
        ValueError: It is not.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a share between 0 and 1, such as 0.95")


def _code(people: dict[Id, int], person: Id | None, row: int) -> int:
    if person is None:
        raise ValueError(f"query {row} was scored but its identity is None")
    return people.setdefault(person, len(people))


def _by_name(value: FloatArray, low: FloatArray, high: FloatArray) -> dict[str, Interval]:
    numbers = np.stack([value, low, high], axis=1).tolist()
    return {name: Interval(*of_one) for name, of_one in zip(MEASURES, numbers, strict=True)}
