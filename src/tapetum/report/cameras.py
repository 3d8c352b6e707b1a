"""Which cameras fail, as tables for the page: findings, queries by camera, and every pair of cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tapetum.evaluation.diagnosis.diagnosis import Diagnosis, SideScores, WrongAnswers
from tapetum.evaluation.scores.confidence import Interval
from tapetum.report.score_tables import per_cent
from tapetum.report.sections import direction
from tapetum.types import Id

_Pair = tuple[Id | None, Id | None]
"""Camera of queries, camera of gallery items."""

_MOST_CAMERAS = 40
_DEEPEST = 55  # per cent: figures stay readable
_WORSE = "The deeper the colour, the worse: from the best pair to the worst."
_BEYOND = (
    "Share of the wrong first answers to each camera's queries. The deeper the colour, the more it is beyond "
    "that camera's share of the gallery."
)


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A figure in a grid.

    Attributes:
        text: The figure; empty where there is none.
        depth: How much of the deep colour is mixed in, per cent.
        note: What it stands on, shown when pointed at.
        is_few: Whether it stands on too little.
    """

    text: str
    depth: float = 0.0
    note: str = ""
    is_few: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A grid of figures, such as cameras of queries down and cameras of the gallery across."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]
    note: str
    corner: str = "queries"


@dataclass(frozen=True, slots=True)
class CameraTable:
    """Figures of each camera's queries, in words; `is_few` rows stand on too little."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...], bool], ...]


@dataclass(frozen=True, slots=True)
class CameraDirection:
    """One direction of search, taken apart."""

    title: str
    table: CameraTable
    heat_maps: tuple[HeatMap, ...]


@dataclass(frozen=True, slots=True)
class CameraSection:
    """All of it, with what stands out.

    Attributes:
        findings: In words, the weightiest first.
        directions: One per direction of search.
        can_compare: Whether any camera has enough to be compared.
        has_few: Whether some figure is marked as standing on too little.
        level: Of the intervals, in words.
    """

    findings: tuple[str, ...]
    directions: tuple[CameraDirection, ...]
    can_compare: bool
    has_few: bool
    level: str


def describe_cameras(diagnosis: Diagnosis) -> CameraSection | None:
    """The section of a diagnosis; None where there are no two cameras to compare."""
    if not diagnosis.has_several_cameras:
        return None
    return CameraSection(
        findings=tuple(finding.text for finding in diagnosis.findings),
        directions=tuple(_direction(diagnosis, name) for name in diagnosis.directions),
        can_compare=diagnosis.can_compare,
        has_few=any(not row.is_enough for row in diagnosis.cameras if row.queries),
        level=f"{100 * diagnosis.level:g} %",
    )


def describe_modalities(diagnosis: Diagnosis) -> CameraTable | None:
    """Figures of each pair of modalities; None where there is one pair only in each direction."""
    rows = [row for row in diagnosis.modalities if row.query is not None and row.gallery is not None]
    if len({(row.query, row.gallery) for row in rows}) <= len(diagnosis.directions):
        return None
    named = [(f"{direction(row.direction)}: {row.query} in {row.gallery}", row) for row in rows]
    return _table("Queries of one modality in the gallery of another", named)


def _direction(diagnosis: Diagnosis, name: str) -> CameraDirection:
    rows = diagnosis.of(name)
    named = [
        ("all cameras" if row.query is None else f"camera {row.query}", row)
        for row in rows
        if row.gallery is None
    ]
    return CameraDirection(
        title=direction(name),
        table=_table(f"Queries by camera, {direction(name)}", named),
        heat_maps=tuple(_heat_maps(diagnosis, name)),
    )


def _table(title: str, named: Sequence[tuple[str, SideScores]]) -> CameraTable:
    columns = ("queries", "people", "rank-1", "mAP", "separation", "distances", "d'")
    return CameraTable(title, columns, tuple((name, _figures(row), not row.is_enough) for name, row in named))


def _figures(row: SideScores) -> tuple[str, ...]:
    """The cells of a row."""
    return (
        f"{row.queries:,.0f}",
        f"{row.people:,}",
        with_interval(row.rank_1),
        with_interval(row.mean_ap),
        with_interval(row.separation),
        f"{_number(row.same_distance)} / {_number(row.different_distance)}",
        _number(row.d_prime, 2),
    )


def with_interval(interval: Interval) -> str:
    """A share in per cent with its interval.

    >>> with_interval(Interval(0.5, 0.4321, 0.6)), with_interval(Interval(0.5, float("nan"), float("nan")))
    ('50.0 (43.2–60.0)', '50.0')
    """
    if interval.low != interval.low:
        return per_cent(interval.value)
    return f"{per_cent(interval.value)} ({per_cent(interval.low)}–{per_cent(interval.high)})"


def _heat_maps(diagnosis: Diagnosis, name: str) -> list[HeatMap]:
    """Grids of a direction; none where there are too many cameras to be read, or only one pair."""
    pairs: dict[_Pair, SideScores] = {
        (row.query, row.gallery): row
        for row in diagnosis.of(name)
        if row.query is not None and row.gallery is not None
    }
    asking, items = (list(dict.fromkeys(side)) for side in zip(*pairs, strict=True)) if pairs else ([], [])
    if len(pairs) < 2 or max(len(asking), len(items)) > _MOST_CAMERAS:
        return []
    found = [
        _heat_map(title, asking, items, {key: _pair_cell(row, measure) for key, row in pairs.items()}, _WORSE)
        for title, measure in (("Separation", "separation"), ("mAP, each camera searched alone", "mean_ap"))
    ]
    wrong: dict[_Pair, WrongAnswers] = {
        (row.query, row.answer): row for row in diagnosis.wrong_answers if row.direction == name
    }
    if wrong and len(items) > 1:
        cells = {key: _wrong_cell(wrong.get(key)) for key in pairs}
        found.append(_heat_map("Wrong first answers come from", asking, items, cells, _BEYOND))
    return found


_Cell = tuple[HeatCell, float | None]
"""A cell and the number that its colour stands for, more being deeper; None: no colour."""


def _heat_map(
    title: str,
    asking: Sequence[Id | None],
    items: Sequence[Id | None],
    cells: Mapping[_Pair, _Cell],
    note: str,
) -> HeatMap:
    """A grid whose colours run from the least to the largest of its numbers."""
    numbers = [number for _, number in cells.values() if number is not None]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)

    def coloured(one: _Cell) -> HeatCell:
        found, number = one
        if number is None or high <= low:
            return found
        return replace(found, depth=round(_DEEPEST * (number - low) / (high - low), 1))

    rows = tuple((f"camera {a}", tuple(coloured(cells[a, b]) for b in items)) for a in asking)
    return HeatMap(title, tuple(f"camera {b}" for b in items), rows, note)


def _pair_cell(row: SideScores, measure: str) -> _Cell:
    interval: Interval = getattr(row, measure)
    if interval.value != interval.value:
        return HeatCell("", note="no query with a true match"), None
    note = f"{with_interval(interval)}; {row.queries:.0f} queries of {row.people} people"
    cell = HeatCell(per_cent(interval.value), note=note, is_few=not row.is_enough)
    return cell, -interval.value if row.is_enough else None


def _wrong_cell(row: WrongAnswers | None) -> _Cell:
    if row is None:
        return HeatCell("", note="no wrong first answer"), None
    note = f"{row.errors:.0f} wrong answers; {per_cent(row.expected)} of what they could be"
    cell = HeatCell(per_cent(row.share), note=note, is_few=not row.is_enough)
    return cell, max(0.0, row.share - row.expected) if row.is_enough else None


def _number(value: float, digits: int = 3) -> str:
    return "–" if value != value else f"{value:.{digits}f}"
