"""Which cameras fail: every pair of cameras searched alone, and what stands out, said in words.

Rank-1 and mAP of a pair come from searching that camera's part of the gallery only. They depend on how many
people it holds, so the separation stands beside them: the share of (true item, other item) couples that are
ranked in this order, 0.5 by chance in a gallery of any size. Distances are 1 - cosine similarity.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tapetum.errors import ModelMismatchError
from tapetum.evaluation.calibration.pair_counts import PairCounts, refuse_bad_vectors
from tapetum.evaluation.diagnosis._camera_measures import (
    CHANCE,
    COARSE_LEVELS,
    EVERYTHING,
    HIT,
    PRECISION,
    SEPARATION,
    Side,
    TrialMeasures,
    measure_trial,
)
from tapetum.evaluation.diagnosis._comparisons import Group
from tapetum.evaluation.diagnosis._findings import Finding, find, group, is_enough, sides, wrong_answers
from tapetum.evaluation.evaluate import Evaluation
from tapetum.evaluation.scores.confidence import Interval, check_level, clustered, draws
from tapetum.types import Embeddings, Id

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class SideScores:
    """What queries of one camera (or modality) find in the gallery of another.

    Attributes:
        direction: Direction of search.
        query: Camera or modality of the queries; None: all.
        gallery: Camera or modality of the gallery items that are searched; None: all.
        queries: Queries with a true match there (in a trial, on average).
        people: People who are searched for in them.
        rank_1: With its interval over people; so are the next two. nan ends where there are under two people.
            Where all queries hit, or none does, the interval is the exact one for as many trials as people.
        mean_ap: Mean average precision.
        separation: Share of (true, other) couples ranked in this order; nan without other people.
        chance_rank_1: Rank-1 of a random order.
        same_distance: Median distance of pairs of one person, to 1/256; nan without a pair.
        different_distance: Median distance of pairs of two people, to 1/256; nan without a pair.
        d_prime: Difference of the mean distances in units of the pooled spread.
        is_enough: Whether there are 20 queries of 10 people; if not, read nothing into the numbers.
    """

    direction: str
    query: Id | None
    gallery: Id | None
    queries: float
    people: int
    rank_1: Interval
    mean_ap: Interval
    separation: Interval
    chance_rank_1: float
    same_distance: float
    different_distance: float
    d_prime: float
    is_enough: bool

    def to_json(self) -> dict[str, object]:
        """The row as plain values, ready for `json.dumps`; None for what is not known."""
        found: dict[str, object] = _without_nan(asdict(self))
        return found


@dataclass(frozen=True, slots=True)
class WrongAnswers:
    """Where wrong first answers come from.

    Attributes:
        direction: Direction of search.
        query: Camera of the queries.
        answer: Camera of the wrong answers.
        errors: How many (in a trial, on average).
        share: Of the wrong first answers to these queries.
        expected: Share of that camera among the items of other people that these queries rank.
        is_enough: Whether there are 20 wrong answers to queries of 10 people.
    """

    direction: str
    query: Id | None
    answer: Id | None
    errors: float
    share: float
    expected: float
    is_enough: bool

    def to_json(self) -> dict[str, object]:
        """The row as plain values, ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An evaluation taken apart by cameras.

    Attributes:
        protocol: Name of the protocol.
        data: Name of the tracklets.
        model: Fingerprint of the model.
        level: Of all intervals.
        cameras: Of each direction all queries and each camera's, in the whole gallery and in each camera's
            part of it.
        modalities: The same by modality.
        wrong_answers: Cameras of wrong first answers, by direction and camera of the query.
        findings: What stands out, of each direction the weightiest first.
    """

    protocol: str
    data: str
    model: str
    level: float
    cameras: tuple[SideScores, ...]
    modalities: tuple[SideScores, ...]
    wrong_answers: tuple[WrongAnswers, ...]
    findings: tuple[Finding, ...]

    @property
    def directions(self) -> tuple[str, ...]:
        """Names of the directions, in the protocol's order."""
        return tuple(dict.fromkeys(row.direction for row in self.cameras))

    @property
    def has_several_cameras(self) -> bool:
        """Whether cameras can be compared: some direction has two of them among queries or gallery."""
        return any(
            len({getattr(row, side) for row in self.of(direction)} - {None}) > 1
            for direction in self.directions
            for side in ("query", "gallery")
        )

    @property
    def can_compare(self) -> bool:
        """Whether some single camera has enough queries or answers for a comparison."""
        return any(row.is_enough and (row.query, row.gallery) != (None, None) for row in self.cameras)

    def of(self, direction: str) -> tuple[SideScores, ...]:
        """The camera rows of a direction."""
        return tuple(row for row in self.cameras if row.direction == direction)

    def to_json(self) -> dict[str, object]:
        """Everything as plain values, ready for `json.dumps`; docs/diagnosis.md names the fields."""
        return {
            "format_version": FORMAT_VERSION,
            "protocol": self.protocol,
            "data": self.data,
            "model": self.model,
            "level": self.level,
            "findings": [row.to_json() for row in self.findings],
            "cameras": [row.to_json() for row in self.cameras],
            "modalities": [row.to_json() for row in self.modalities],
            "wrong_answers": [row.to_json() for row in self.wrong_answers],
        }


def diagnose(
    embeddings: Embeddings,
    evaluation: Evaluation,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Diagnosis:
    """An evaluation taken apart by cameras and modalities.

    Args:
        embeddings: What was evaluated; rows L2-normalised.
        evaluation: What it gave, not re-ranked: its trials are what is looked into.
        samples: Draws of people for the intervals.
        level: Of the intervals, between 0 and 1.
        seed: Of the draws.

    Raises:
        ModelMismatchError: The evaluation is of another model's embeddings.
        ValueError: The evaluation is of other tracklets or was re-ranked, a row is not finite or not of
            length 1, or a number is out of range.
    """
    check_level(level)
    if samples < 1:
        raise ValueError(f"samples is {samples}; expected at least 1")
    _refuse_others(embeddings, evaluation)
    refuse_bad_vectors(embeddings)
    cameras: list[SideScores] = []
    modalities: list[SideScores] = []
    wrong: list[WrongAnswers] = []
    findings: list[Finding] = []
    for direction, results in evaluation.by_direction().items():
        trials = [measure_trial(embeddings, result.trial) for result in results]
        make = _RowMaker(direction, trials, samples, level, seed)
        cameras += make.rows("camera")
        modalities += make.rows("modality")
        wrong += _wrong_answers(direction, trials)
        findings += find(direction, trials, level)
    return Diagnosis(
        protocol=evaluation.protocol,
        data=embeddings.tracklets.name,
        model=embeddings.model,
        level=level,
        cameras=tuple(cameras),
        modalities=tuple(modalities),
        wrong_answers=tuple(wrong),
        findings=tuple(findings),
    )


def _refuse_others(embeddings: Embeddings, evaluation: Evaluation) -> None:
    if evaluation.model != embeddings.model:
        raise ModelMismatchError(
            f"the evaluation is of model {evaluation.model or '(unknown)'}, the embeddings are of model "
            f"{embeddings.model or '(unknown)'}"
        )
    if evaluation.data != embeddings.tracklets.name:
        raise ValueError(
            f"the evaluation is of {evaluation.data}, the embeddings are of {embeddings.tracklets.name}"
        )
    if evaluation.reranking is not None:
        raise ValueError("a diagnosis is of distances as they are; give an evaluation without re-ranking")


@dataclass(frozen=True, slots=True)
class _RowMaker:
    direction: str
    trials: Sequence[TrialMeasures]
    samples: int
    level: float
    seed: int

    def rows(self, kind: str) -> Iterator[SideScores]:
        """All pairs of sides of a kind, "everything" first."""
        asking, items = (
            [EVERYTHING, *sides(self.trials, kind, of_queries=of_queries)] for of_queries in (True, False)
        )
        return (self._row(query, item) for query in asking for item in items)

    def _row(self, query: Side, item: Side) -> SideScores:
        hit, precision, separation, chance = (
            group(self.trials, query, [item], column) for column in (HIT, PRECISION, SEPARATION, CHANCE)
        )
        mean_ap, separated = map(self._interval, (precision, separation))
        pairs = self._pairs(query, item)
        near, far = pairs.medians()
        return SideScores(
            direction=self.direction,
            query=query[1],
            gallery=item[1],
            queries=sum(int((~np.isnan(v)).sum()) for v in hit.values) / len(self.trials),
            people=_people(hit),
            rank_1=self._interval(hit, is_share=True),
            mean_ap=mean_ap,
            separation=separated,
            chance_rank_1=self._interval(chance).value,
            same_distance=near,
            different_distance=far,
            d_prime=pairs.d_prime(),
            is_enough=is_enough(hit),
        )

    def _pairs(self, query: Side, item: Side) -> PairCounts:
        counts = np.zeros((2, COARSE_LEVELS), dtype=np.int64)
        for trial in self.trials:
            counts += trial.counts.get((query, item), 0)
        return PairCounts(counts[0], counts[1])

    def _interval(self, found: Group, *, is_share: bool = False) -> Interval:
        """Mean over queries and trials with its bootstrap interval over people.

        A share of 0 or 1 is the same in each sample: its interval is the exact one, people being trials.
        """
        trials = [
            (values[:, None], people) for values, people in zip(found.values, found.people, strict=True)
        ]
        if _people(found) < 2:
            means = [np.nanmean(v) for v, _ in trials if not np.isnan(v).all()]
            return Interval(float(np.mean(means)) if means else math.nan, math.nan, math.nan)
        sums = clustered(trials)
        sampled = np.concatenate([sums.means(w)[:, 0] for w in draws(sums.people, self.samples, self.seed)])
        low, high = np.quantile(sampled, [(1 - self.level) / 2, (1 + self.level) / 2])
        value = float(sums.means(np.ones((1, sums.people)))[0, 0])
        if is_share and value in (0.0, 1.0):
            room = 1 - ((1 - self.level) / 2) ** (
                1 / sums.people
            )  # Clopper and Pearson, Biometrika 26 (1934)
            low, high = (0.0, room) if value == 0 else (1 - room, 1.0)
        return Interval(value, float(low), float(high))


def _people(found: Group) -> int:
    """Number of people with a value."""
    return len(
        {
            person
            for values, people in zip(found.values, found.people, strict=True)
            for value, person in zip(values.tolist(), people, strict=True)
            if not math.isnan(value)
        }
    )


def _wrong_answers(direction: str, trials: Sequence[TrialMeasures]) -> Iterator[WrongAnswers]:
    cameras = list(dict.fromkeys(camera for trial in trials for camera in trial.cameras))
    for side in sides(trials, "camera", of_queries=True):
        for camera in cameras:
            came, could = wrong_answers(trials, side, camera)
            errors = sum(map(len, came.values))
            if errors:
                yield WrongAnswers(
                    direction=direction,
                    query=side[1],
                    answer=camera,
                    errors=float(sum(values.sum() for values in came.values)) / len(trials),
                    share=float(sum(values.sum() for values in came.values)) / errors,
                    expected=float(sum(values.sum() for values in could.values)) / errors,
                    is_enough=is_enough(came),
                )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
