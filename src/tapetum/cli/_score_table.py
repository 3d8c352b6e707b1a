"""Scores as a table for the terminal: a row per direction, chance below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

RANKS = (1, 5, 10, 20)
_MEASURES = (*(f"rank_{rank}" for rank in RANKS), "mean_ap", "mean_inp")
"""The same figures, as intervals name them."""


def score_table(found: Mapping[str, Any]) -> Table:
    """Rank-1/5/10/20, mAP and mINP of each direction in per cent, with the level of chance.

    Several trials are averaged, with the standard deviation between them below.

    Args:
        found: What `Evaluation.to_json` gives; a direction may have `intervals` beside its scores.
    """
    title = f"{found['protocol']}, {found['data']}"
    table = Table("", "R1", "R5", "R10", "R20", "mAP", "mINP", "queries", "skipped", box=None, title=title)
    for name, scores in found["directions"].items():
        counts = (_count(scores["queries"]), _count(scores["skipped"]))
        table.add_row(f"[bold]{name}[/]", *_per_cents(_figures(scores)), *counts)
        if scores["deviations"] is not None:
            label = f"[dim]± {scores['trials']} trials[/]"
            table.add_row(label, *_per_cents(_figures(scores["deviations"])), "", "")
        for row in _interval_rows(scores.get("intervals")):
            table.add_row(*row, "", "")
        if scores["chance"] is not None:
            table.add_row("[dim]chance[/]", *_per_cents(_figures(scores["chance"])), "", "")
    return table


def _figures(scores: Mapping[str, Any]) -> list[float]:
    cmc = scores["cmc"]
    return [*(cmc[min(rank, len(cmc)) - 1] for rank in RANKS), scores["mean_ap"], scores["mean_inp"]]


def _interval_rows(intervals: Mapping[str, Any] | None) -> list[list[str]]:
    """The lower, then the upper end of each figure's interval; nothing without intervals."""
    if intervals is None:
        return []
    ends = zip(*(intervals[name] for name in _MEASURES), strict=True)
    level = f"{100 * intervals['level']:g} %"
    labels = (f"[dim]{level} from[/]", f"[dim]{level} to[/]")
    return [[label, *_per_cents(values)] for label, values in zip(labels, ends, strict=True)]


def _count(mean: float) -> str:
    return f"{mean:.1f}".removesuffix(".0")


def _per_cents(shares: Iterable[float]) -> list[str]:
    return [f"{100 * share:.1f}" for share in shares]
