"""Ranked strips: the best, median and worst queries beside their nearest gallery tracklets.

The strips show the ranking that the scores were computed from: a list whose average precision is not the
scores' own is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation.protocols import Trial
from tapetum.evaluation.ranking.lists import RankedList, ranked_lists
from tapetum.evaluation.scores.metrics import Scores
from tapetum.report.score_tables import with_unit
from tapetum.report.strips import data_uri, middle_frame
from tapetum.types import Embeddings, Id, Tracklet

_HEIGHT = 144
_SHOWN = 10
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class ChosenList:
    """A query's whole ranked list, and why it was chosen.

    Attributes:
        kind: "best", "median" or "worst".
        ranked: The list, down to the last gallery item that counts.
        average_precision: As scored, a fraction.
        first_match: Place of the first true match in the list, counted from 1.
    """

    kind: str
    ranked: RankedList
    average_precision: float
    first_match: int


@dataclass(frozen=True, slots=True)
class Card:
    """A tracklet as one small picture with its identifiers."""

    picture: str
    description: str
    modality: str
    person: str
    camera: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A place in a ranked list; `is_later` where places between it and the one before are not shown."""

    card: Card
    rank: int
    distance: str
    is_match: bool
    is_later: bool


@dataclass(frozen=True, slots=True)
class RankedStrip:
    """A query and the nearest tracklets.

    Attributes:
        kind: "best", "median" or "worst".
        query: What was searched for.
        hits: The first ten, and the first true match where it comes later.
        average_precision: In per cent.
        first_match: Rank of the first true match.
        matches: True matches in the list.
        length: Of the whole list.
    """

    kind: str
    query: Card
    hits: tuple[Hit, ...]
    average_precision: str
    first_match: int
    matches: int
    length: int


def ranked_strips(
    embeddings: Embeddings, trial: Trial, scores: Scores, *, each: int = 3
) -> list[RankedStrip]:
    """Strips of the `each` best, median and worst queries of a trial; none of a query that was skipped.

    Raises:
        ValueError: The scores are not those of the ranking; the message names the query.
        DataError: A frame cannot be read.
    """
    return [_strip(embeddings, chosen) for chosen in choose_lists(embeddings, trial, scores, each=each)]


def choose_lists(embeddings: Embeddings, trial: Trial, scores: Scores, *, each: int) -> list[ChosenList]:
    """Whole ranked lists of the `each` best, median and worst queries of a trial, in that order.

    Args:
        embeddings: What the trial's rows are rows of.
        trial: Queries, gallery and camera rule.
        scores: Of that trial.
        each: How many queries of each kind at most.

    Raises:
        ValueError: The scores have another number of queries, or another average precision of a query, than
            the ranking.
    """
    if len(scores.average_precision) != len(trial.query):
        raise ValueError(
            f"trial {trial.name} has {len(trial.query)} queries, its scores {len(scores.average_precision)}"
        )
    people = [embeddings.tracklets[int(row)].person_id for row in trial.query]
    chosen = choose_queries(scores.average_precision, people, each=each)
    rows = [int(trial.query[place]) for _, place in chosen]
    lists = ranked_lists(embeddings, trial, rows, top=None)
    return [
        _checked(kind, ranked, float(scores.average_precision[place]), embeddings)
        for (kind, place), ranked in zip(chosen, lists, strict=True)
    ]


def choose_queries(
    average_precision: NDArray[np.float64], people: Sequence[Id | None], *, each: int
) -> list[tuple[str, int]]:
    """(kind, place) of the best, the median and the worst queries by average precision, best first.

    No query comes twice; of equal ones the first counts, and each kind takes another person as long as there
    are some.

    Args:
        average_precision: `[Q]`, nan where skipped.
        people: Q persons.
        each: How many of each kind at most.
    """
    valid = np.flatnonzero(~np.isnan(average_precision))
    ranked = [int(row) for row in valid[np.argsort(-average_precision[valid], kind="stable")]]
    middle = len(ranked) // 2
    by_closeness = sorted(range(len(ranked)), key=lambda place: abs(place - middle))
    kinds = {"best": ranked, "worst": ranked[::-1], "median": [ranked[place] for place in by_closeness]}
    taken: dict[int, str] = {}
    for _ in range(each):
        for kind, candidates in kinds.items():
            shown = {people[row] for row, of in taken.items() if of == kind}
            free = [row for row in candidates if row not in taken]
            free.sort(key=lambda row: people[row] in shown)
            taken.update(dict.fromkeys(free[:1], kind))
    return [(kind, row) for kind in ("best", "median", "worst") for row in ranked if taken.get(row) == kind]


def list_average_precision(is_match: NDArray[np.bool_]) -> float:
    """AP of a whole ranked list: the mean over its true matches of the precision at each; nan without one.

    >>> round(list_average_precision(np.array([False, True, True, False])), 4)
    0.5833
    """
    positions = np.flatnonzero(is_match) + 1
    return float(np.mean(np.arange(1, len(positions) + 1) / positions)) if len(positions) else float("nan")


def _checked(kind: str, ranked: RankedList, stated: float, embeddings: Embeddings) -> ChosenList:
    found = list_average_precision(ranked.is_match)
    if not abs(found - stated) <= _TOLERANCE:
        raise ValueError(
            f"query {embeddings.tracklets[ranked.query].tracklet_id}: its ranked list has average precision "
            f"{found}, its scores say {stated}; they are not of one ranking (evaluate these embeddings "
            "without a device: lists are made on the processor)"
        )
    return ChosenList(kind, ranked, stated, int(np.flatnonzero(ranked.is_match)[0]) + 1)


def _strip(embeddings: Embeddings, chosen: ChosenList) -> RankedStrip:
    return RankedStrip(
        kind=chosen.kind,
        query=card(embeddings.tracklets[chosen.ranked.query]),
        hits=tuple(_hits(embeddings, chosen)),
        average_precision=with_unit(chosen.average_precision),
        first_match=chosen.first_match,
        matches=int(chosen.ranked.is_match.sum()),
        length=len(chosen.ranked.is_match),
    )


def _hits(embeddings: Embeddings, chosen: ChosenList) -> Iterator[Hit]:
    ranked = chosen.ranked
    shown = list(range(min(_SHOWN, len(ranked.is_match))))
    if chosen.first_match > len(shown):
        shown.append(chosen.first_match - 1)
    for number, place in enumerate(shown):
        yield Hit(
            card=card(embeddings.tracklets[int(ranked.gallery[place])]),
            rank=place + 1,
            distance=f"{1.0 + float(ranked.distances[place]):.3f}",  # minus a dot product -> cosine distance
            is_match=bool(ranked.is_match[place]),
            is_later=place > number,
        )


def card(tracklet: Tracklet) -> Card:
    """The middle frame of a tracklet with its identifiers.

    Raises:
        DataError: The frame cannot be read.
    """
    person = "person unknown" if tracklet.person_id is None else f"person {tracklet.person_id}"
    camera = "camera unknown" if tracklet.camera_id is None else f"camera {tracklet.camera_id}"
    modality = tracklet.modality.value
    return Card(
        picture=data_uri(middle_frame(tracklet, height=_HEIGHT)),
        description=f"{modality} tracklet {tracklet.tracklet_id}, {person}, {camera}",
        modality=modality,
        person=person,
        camera=camera,
    )
