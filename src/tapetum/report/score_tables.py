"""Result tables: one per direction of search, one line per method or baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tapetum.evaluation.scores.metrics import Scores

CHANCE = "chance"

RANKS = (1, 5, 10, 20)
MEASURES = (*(f"R-{r}" for r in RANKS), "mAP", "mINP")
KNOWN_ROWS = (CHANCE, "raw-pixels", "colour-histogram", "untrained", "small-cnn", "clip-baseline", "lsmrl")
"""From what needs no learning to what was trained; other rows follow, in the order given."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A share in per cent: as text, and as a number for the length of its bar."""

    text: str
    share: float


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One method's line; the highlighted one is what the report is about."""

    name: str
    cells: tuple[Cell, ...]
    is_highlighted: bool


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """The table of one direction, with the numbers of queries in its note."""

    title: str
    rows: tuple[ScoreRow, ...]
    note: str
    measures: tuple[str, ...] = MEASURES


def score_table(title: str, scores: Mapping[str, Scores], highlighted: str) -> ScoreTable:
    """The table of one direction.

    Args:
        title: Of the table.
        scores: Row name -> its scores in this direction.
        highlighted: Name of the row to stand out.
    """
    rows = tuple(
        ScoreRow(name, tuple(_cell(value) for value in measures(scores[name])), name == highlighted)
        for name in row_order(scores)
    )
    return ScoreTable(title, rows, _query_note(scores))


def row_order(names: Iterable[str]) -> list[str]:
    """Row names in reading order: what needs no learning first, what was trained last.

    >>> row_order(["lsmrl", "x-reid", "chance"])
    ['chance', 'lsmrl', 'x-reid']
    """
    given = list(names)
    place = {name: i for i, name in enumerate(KNOWN_ROWS)}
    return sorted(given, key=lambda name: place.get(name, len(place)))


def measures(scores: Scores) -> tuple[float, ...]:
    """Rank-1, 5, 10, 20, mAP, mINP as fractions; a CMC shorter than 20 repeats its last value."""
    ranks = (float(scores.cmc[min(r, len(scores.cmc)) - 1]) for r in RANKS)
    return (*ranks, scores.mean_ap, scores.mean_inp)


def per_cent(share: float) -> str:
    """A fraction in per cent with one decimal, "–" for NaN.

    >>> per_cent(0.4567), per_cent(float("nan"))
    ('45.7', '–')
    """
    return "–" if share != share else f"{100 * share:.1f}"


def with_unit(share: float) -> str:
    """A fraction in per cent with its unit, "–" for NaN.

    >>> with_unit(0.4567), with_unit(float("nan"))
    ('45.7 %', '–')
    """
    return per_cent(share) if share != share else f"{per_cent(share)} %"


def _cell(value: float) -> Cell:
    return Cell(per_cent(value), 0.0 if value != value else round(100 * value, 2))


def _query_note(scores: Mapping[str, Scores]) -> str:
    """How many queries count; rows that differ in that are named, as their figures do not compare."""
    counts = {(s.queries, s.skipped) for s in scores.values()}
    if len(counts) != 1:
        named = ", ".join(f"{name} {s.queries} (skipped {s.skipped})" for name, s in scores.items())
        return f"The rows do not stand on the same queries: {named}."
    ((queries, skipped),) = counts
    text = f"{queries} {'query' if queries == 1 else 'queries'}"
    if skipped:
        text += f"; {skipped} more had no true match in the gallery and count in no mean"
    return text + "."
