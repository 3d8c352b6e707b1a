"""Which cameras fail: every comparison that is worth it, those that stand out said in words.

Each kind of comparison is made for several cameras or pairs of a direction, so its intervals are widened for
that many comparisons (Bonferroni): with nothing to be found, all of a kind together say something in at most
1 in 20 cases at level 0.95. Groups of few people or queries are not compared at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tapetum.evaluation.diagnosis._camera_measures import (
    EVERYTHING,
    PRECISION,
    SEPARATION,
    Side,
    TrialMeasures,
)
from tapetum.evaluation.diagnosis._comparisons import Comparison, Group, compare
from tapetum.types import Id

MIN_PEOPLE = 10
MIN_QUERIES = 20
MIN_DIFFERENCE = 0.01
"""Smaller differences are not worth a sentence, however sure they are."""

Kind = Literal[
    "query camera", "gallery camera", "camera pair", "modality pair", "wrong answers", "own camera"
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands out.

    Attributes:
        kind: What was compared.
        direction: In which direction of search.
        query: Camera (or modality) of the queries; None: all.
        gallery: Camera (or modality) of the gallery items; None: all.
        comparison: The numbers, with the interval of their difference.
        comparisons: How many of this kind were made in this direction.
        weight: Difference x share of the queries concerned: what findings are ordered by.
        text: All that in a sentence.
    """

    kind: Kind
    direction: str
    query: Id | None
    gallery: Id | None
    comparison: Comparison
    comparisons: int
    weight: float
    text: str

    def to_json(self) -> dict[str, object]:
        """The finding as plain values, ready for `json.dumps`."""
        found = self.comparison
        return {
            "kind": self.kind,
            "direction": self.direction,
            "query": self.query,
            "gallery": self.gallery,
            "value": found.value,
            "reference": found.reference,
            "difference": [found.low, found.high],
            "queries": found.queries,
            "people": found.people,
            "comparisons": self.comparisons,
            "weight": self.weight,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class _Question:
    """A comparison to be made, and how its answer is said."""

    query: Id | None
    gallery: Id | None
    first: Group
    seconds: tuple[Group, ...]
    """It must differ from each; the nearest one is told of."""
    say: Callable[[Comparison], str]
    whole: float = 0.0
    """Queries that the weight is a share of; 0: those of both groups."""


def find(direction: str, trials: Sequence[TrialMeasures], level: float) -> list[Finding]:
    """What stands out in a direction, the weightiest first.

    Args:
        direction: Its name.
        trials: Its trials, taken apart.
        level: Wished share of directions without any difference in which a kind of comparison finds nothing.
    """
    kinds: list[tuple[Kind, Iterator[_Question], int]] = [
        ("query camera", _query_cameras(trials), -1),
        ("gallery camera", _gallery_cameras(trials), -1),
        ("camera pair", _camera_pairs(trials), -1),
        ("modality pair", _modality_pairs(trials), -1),
        ("wrong answers", _wrong_answers(trials), 1),
        ("own camera", _own_camera(trials), 1),
    ]
    found = [f for kind, questions, sign in kinds for f in _answer(kind, direction, questions, sign, level)]
    return sorted(found, key=lambda finding: -finding.weight)


def _answer(
    kind: Kind, direction: str, questions: Iterator[_Question], sign: int, level: float
) -> Iterator[Finding]:
    """Those of some questions whose difference lies beyond chance on the side of `sign`."""
    asked = [question for question in questions if is_enough(question.first)]
    for question in asked:
        corrected = 1 - (1 - level) / len(asked)
        compared = [compare(question.first, second, level=corrected) for second in question.seconds]
        beyond = [c for c in compared if c is not None and _is_beyond(c, sign)]
        if len(beyond) < len(compared):
            continue
        found = min(beyond, key=lambda c: abs(c.difference))
        share = found.queries / question.whole if question.whole else found.share
        weight = abs(found.difference) * share
        text = f"{direction}: {question.say(found)} ({_evidence(found)})"
        yield Finding(kind, direction, question.query, question.gallery, found, len(asked), weight, text)


def _is_beyond(found: Comparison, sign: int) -> bool:
    """Whether a difference is on the side of `sign` beyond chance, and worth a sentence."""
    return min(sign * found.low, sign * found.high) > 0 and abs(found.difference) >= MIN_DIFFERENCE


def is_enough(group: Group) -> bool:
    """Whether a group has 20 queries (in a trial, on average) of 10 people."""
    valid = [~np.isnan(values) for values in group.values]
    people = {
        person
        for names, kept in zip(group.people, valid, strict=True)
        for person, is_kept in zip(names, kept, strict=True)
        if is_kept
    }
    queries = sum(int(kept.sum()) for kept in valid) / max(1, len(valid))
    return len(people) >= MIN_PEOPLE and queries >= MIN_QUERIES


def sides(trials: Sequence[TrialMeasures], kind: str, *, of_queries: bool) -> list[Side]:
    """The cameras or modalities of the queries or the gallery in any of some trials, in order."""
    found = {
        side: None
        for trial in trials
        for side in (trial.queries if of_queries else trial.found)
        if side[0] == kind
    }
    return sorted(found, key=lambda side: (isinstance(side[1], str), side[1]))


def group(trials: Sequence[TrialMeasures], query: Side, items: Sequence[Side], column: int) -> Group:
    """What the queries of a side find on some sides of the gallery, each searched alone."""
    values, people = [], []
    for trial in trials:
        rows = trial.queries.get(query, np.zeros(0, dtype=np.int64))
        parts = [trial.found[side][rows, column] for side in items if side in trial.found]
        values.append(np.concatenate(parts) if parts else np.zeros(0))
        people.append([trial.people[int(row)] for row in rows] * len(parts))
    return Group(values, people)


def _joined(groups: Sequence[Group]) -> Group:
    """Several groups of the same trials as one."""
    values = [np.concatenate(parts) for parts in zip(*(g.values for g in groups), strict=True)]
    people = [[p for part in parts for p in part] for parts in zip(*(g.people for g in groups), strict=True)]
    return Group(values, people)


def _query_cameras(trials: Sequence[TrialMeasures]) -> Iterator[_Question]:
    cameras = sides(trials, "camera", of_queries=True)
    groups = {camera: group(trials, camera, [EVERYTHING], PRECISION) for camera in cameras}
    for camera in cameras if len(cameras) > 1 else []:
        rest = _joined([groups[other] for other in cameras if other != camera])

        def say(found: Comparison, name: Id | None = camera[1]) -> str:
            return (
                f"queries of camera {name} find less: mAP {_cent(found.value)} against "
                f"{_cent(found.reference)} of the other cameras' queries"
            )

        yield _Question(camera[1], None, groups[camera], (rest,), say)


def _gallery_cameras(trials: Sequence[TrialMeasures]) -> Iterator[_Question]:
    cameras = sides(trials, "camera", of_queries=False)
    for camera in cameras if len(cameras) > 1 else []:
        rest = [other for other in cameras if other != camera]

        def say(found: Comparison, name: Id | None = camera[1]) -> str:
            return (
                f"people are found less well in camera {name}: separation {_cent(found.value)} against "
                f"{_cent(found.reference)} in the other cameras"
            )

        own = group(trials, EVERYTHING, [camera], SEPARATION)
        yield _Question(None, camera[1], own, (group(trials, EVERYTHING, rest, SEPARATION),), say)


def _camera_pairs(trials: Sequence[TrialMeasures]) -> Iterator[_Question]:
    """A pair of cameras, against its queries elsewhere and against the other cameras' queries there.

    A camera that fails with all others is none of its pairs' fault.
    """
    asking, items = (sides(trials, "camera", of_queries=of_queries) for of_queries in (True, False))
    for query in asking if min(len(asking), len(items)) > 1 else []:
        for item in items:

            def say(found: Comparison, names: tuple[Id | None, Id | None] = (query[1], item[1])) -> str:
                return (
                    f"queries of camera {names[0]} find less in camera {names[1]} than elsewhere, and than "
                    f"other queries find there: separation {_cent(found.value)} against "
                    f"{_cent(found.reference)}"
                )

            elsewhere = group(trials, query, [other for other in items if other != item], SEPARATION)
            others = [group(trials, other, [item], SEPARATION) for other in asking if other != query]
            own = group(trials, query, [item], SEPARATION)
            yield _Question(query[1], item[1], own, (elsewhere, _joined(others)), say)


def _modality_pairs(trials: Sequence[TrialMeasures]) -> Iterator[_Question]:
    """Queries of a modality in one modality of the gallery, against the same queries in the other."""
    items = sides(trials, "modality", of_queries=False)
    for query in sides(trials, "modality", of_queries=True) if len(items) > 1 else []:
        for item in items:

            def say(found: Comparison, names: tuple[Id | None, Id | None] = (query[1], item[1])) -> str:
                return (
                    f"{names[0]} queries find less among {names[1]} tracklets than among the others: "
                    f"separation {_cent(found.value)} against {_cent(found.reference)}"
                )

            rest = group(trials, query, [other for other in items if other != item], SEPARATION)
            own = group(trials, query, [item], SEPARATION)
            yield _Question(query[1], item[1], own, (rest,), say)


def _wrong_answers(trials: Sequence[TrialMeasures]) -> Iterator[_Question]:
    """First answers that are wrong: of which camera, and of which by the gallery's shares they would be."""
    cameras = sides(trials, "camera", of_queries=False)
    for query in sides(trials, "camera", of_queries=True):
        for item in cameras if len(cameras) > 1 else []:

            def say(found: Comparison, names: tuple[Id | None, Id | None] = (query[1], item[1])) -> str:
                return (
                    f"wrong first answers to queries of camera {names[0]} come from camera {names[1]} in "
                    f"{_cent(found.value)} of cases, which holds {_cent(found.reference)} of what they "
                    f"could be"
                )

            yield _wrong_question(trials, query, item[1], say)


def _own_camera(trials: Sequence[TrialMeasures]) -> Iterator[_Question]:
    """Wrong first answers of the query's own camera, over all cameras."""
    asking = sides(trials, "camera", of_queries=True)
    cameras = sides(trials, "camera", of_queries=False)
    own = [side for side in asking if side in cameras]
    if len(cameras) < 2 or not own:
        return
    questions = [_wrong_question(trials, side, side[1], _say_own) for side in own]
    yield _Question(
        None,
        None,
        _joined([q.first for q in questions]),
        (_joined([q.seconds[0] for q in questions]),),
        _say_own,
        questions[0].whole,
    )


def _say_own(found: Comparison) -> str:
    return (
        f"wrong first answers come from the query's own camera in {_cent(found.value)} of cases, which holds "
        f"{_cent(found.reference)} of what they could be: the embedding knows the camera"
    )


def _wrong_question(
    trials: Sequence[TrialMeasures], query: Side, camera: Id | None, say: Callable[[Comparison], str]
) -> _Question:
    came, could = wrong_answers(trials, query, camera)
    valid = sum(int((~np.isnan(trial.found[EVERYTHING][:, PRECISION])).sum()) for trial in trials)
    return _Question(query[1], camera, came, (could,), say, valid / len(trials))


def wrong_answers(trials: Sequence[TrialMeasures], query: Side, camera: Id | None) -> tuple[Group, Group]:
    """For each wrong first answer to queries of a side: whether it is of a camera, and that camera's share.

    The share is the camera's among the items of other people that the query ranks.
    """
    came, could, people = [], [], []
    for trial in trials:
        of_query = np.isin(trial.wrong, trial.queries.get(query, np.zeros(0, dtype=np.int64)))
        place = trial.cameras.index(camera) if camera in trial.cameras else -2
        came.append((trial.wrong_camera[of_query] == place).astype(np.float64))
        could.append(trial.share[of_query, place] if place >= 0 else np.zeros(int(of_query.sum())))
        people.append([trial.people[int(row)] for row in trial.wrong[of_query]])
    return Group(came, people), Group(could, people)


def _cent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _evidence(found: Comparison) -> str:
    return (
        f"difference {100 * found.difference:+.1f}, interval {100 * found.low:+.1f} to "
        f"{100 * found.high:+.1f}; {found.queries:.0f} queries of {found.people} people"
    )
