"""Diagnoses and calibrations as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from tapetum.evaluation import Diagnosis, Interval, OpenSetScores
    from tapetum.evaluation.calibration.pair_curves import PairCurve
    from tapetum.evaluation.diagnosis.diagnosis import SideScores, WrongAnswers

_MOST_COLUMNS = 16  # cameras that a terminal shows side by side


def camera_table(found: Diagnosis, direction: str) -> Table:
    """Queries of each camera in the whole gallery of a direction."""
    rows = [row for row in found.of(direction) if row.gallery is None]
    named = [("all cameras" if row.query is None else escape(f"camera {row.query}"), row) for row in rows]
    return _side_table(f"{escape(direction)}: queries by camera", named)


def modality_table(found: Diagnosis) -> Table | None:
    """Each pair of modalities; None where each direction has one pair only."""
    rows = [row for row in found.modalities if row.query is not None and row.gallery is not None]
    if len(rows) <= len(found.directions):
        return None
    named = [(escape(f"{row.direction}: {row.query} in {row.gallery}"), row) for row in rows]
    return _side_table("queries of one modality in the gallery of another", named)


def pair_table(found: Diagnosis, direction: str) -> Table | None:
    """Separation of each pair of cameras; None where there is one pair, or more than fit."""
    pairs = {
        (row.query, row.gallery): row
        for row in found.of(direction)
        if row.query is not None and row.gallery is not None
    }
    items = list(dict.fromkeys(item for _, item in pairs))
    if len(pairs) < 2 or len(items) > _MOST_COLUMNS:
        return None
    title = f"{escape(direction)}: separation by camera of query (down) and of gallery (across), %"
    table = Table("", *(escape(str(item)) for item in items), box=None, title=title)
    for query in dict.fromkeys(asking for asking, _ in pairs):
        cells = [_dimmed(_cent(pairs[query, item].separation.value), pairs[query, item]) for item in items]
        table.add_row(escape(f"camera {query}"), *cells)
    return table


def error_table(found: Diagnosis, direction: str) -> Table | None:
    """Cameras of wrong first answers; None where there are none, or only one camera, or more than fit."""
    wrong = {(row.query, row.answer): row for row in found.wrong_answers if row.direction == direction}
    items = list(dict.fromkeys(item for _, item in wrong))
    if not 1 < len(items) <= _MOST_COLUMNS:
        return None
    title = (
        f"{escape(direction)}: cameras of wrong first answers, % (in brackets: share of what they could be)"
    )
    table = Table("", "wrong", *(escape(str(item)) for item in items), box=None, title=title)
    for query in dict.fromkeys(asking for asking, _ in wrong):
        rows = [wrong[query, item] for item in items]
        cells = [_dimmed(f"{_cent(row.share)} ({_cent(row.expected)})", row) for row in rows]
        table.add_row(escape(f"camera {query}"), f"{sum(row.errors for row in rows):.0f}", *cells)
    return table


def pairing_table(curve: PairCurve) -> Table:
    """Thresholds of a pairing, below what it was learnt from and judged on."""
    rate, at = curve.judged.equal_error()
    title = (
        f"{curve.pairing} pairs: learnt from {curve.learnt.people} people, judged on {curve.judged.people} "
        f"others; equal error rate {_cent(rate)} % at {at:.4f}, calibration error "
        f"{_cent(curve.reliability().expected_error)} %"
    )
    columns = ("false matches wished", "distance at most", "false matches", "missed", "probability there")
    table = Table(*columns, box=None, title=title)
    for point in curve.operating_points():
        shares = (point.false_match_rate, point.false_non_match_rate, point.probability)
        cells = (f"{point.threshold:.4f}", *(f"{100 * share:.4g} %" for share in shares))
        mark = "" if point.is_resolved else " [dim](too few pairs)[/]"
        table.add_row(f"{100 * point.wished:g} %{mark}", *cells)
    return table


def open_set_table(found: Sequence[OpenSetScores]) -> Table:
    """DIR at each false-alarm rate, one row per direction."""
    rates = found[0].false_alarm_rates
    title = "open set: right first answers at a false-alarm rate, %"
    columns = (*(f"FAR {100 * rate:g} %" for rate in rates), "no threshold", "with mate", "without")
    table = Table("", *columns, box=None, title=title)
    for scores in found:
        cells = [
            _cent(scores.rate(rate)) + ("" if scores.is_resolved(rate) else " [dim](none allowed)[/]")
            for rate in rates
        ]
        counts = (f"{scores.with_mate.mean():.0f}", f"{scores.without_mate.mean():.0f}")
        table.add_row(escape(scores.trial), *cells, _cent(float(scores.closed.mean())), *counts)
    return table


def _side_table(title: str, named: Sequence[tuple[str, SideScores]]) -> Table:
    columns = ("queries", "people", "R1 (%)", "mAP (%)", "separation (%)", "same", "different", "d'")
    table = Table("", *columns, box=None, title=title)
    for name, row in named:
        cells = (
            f"{row.queries:.0f}",
            f"{row.people}",
            *(_interval(i) for i in (row.rank_1, row.mean_ap, row.separation)),
            *(_number(distance, 3) for distance in (row.same_distance, row.different_distance)),
            _number(row.d_prime, 2),
        )
        table.add_row(name, *(_dimmed(cell, row) for cell in cells))
    return table


def _dimmed(text: str, row: SideScores | WrongAnswers) -> str:
    return text if row.is_enough else f"[dim]{text}[/]"


def _interval(interval: Interval) -> str:
    if interval.low != interval.low:
        return _cent(interval.value)
    return f"{_cent(interval.value)} ({_cent(interval.low)}–{_cent(interval.high)})"


def _cent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.1f}"


def _number(value: float, digits: int) -> str:
    return "–" if value != value else f"{value:.{digits}f}"
