"""Scores as a table for the terminal: a row per direction, chance below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

RANKS = (1, 5, 10, 20)


def score_table(found: Mapping[str, Any]) -> Table:
    """Rank-1/5/10/20, mAP and mINP of each direction in per cent, with the level of chance.

    Several trials are averaged; behind ± stands the standard deviation between them.

    Args:
        found: What `Evaluation.to_json` gives.
    """
    title = f"{found['protocol']}, {found['data']}"
    table = Table("", "R1", "R5", "R10", "R20", "mAP", "mINP", "queries", "skipped", box=None, title=title)
    for name, scores in found["directions"].items():
        trials = f" ({scores['trials']} trials)" if scores["trials"] > 1 else ""
        counts = (_mean(scores, "queries"), _mean(scores, "skipped"))
        table.add_row(f"[bold]{name}[/]{trials}", *_shares(scores), *counts)
        if "intervals" in scores:
            table.add_row(*_interval_row(scores["intervals"]))
        if scores["chance"] is not None:
            table.add_row("[dim]chance[/]", *_shares({**scores["chance"], "deviations": None}), "", "")
    return table


def _shares(scores: Mapping[str, Any]) -> list[str]:
    means, spread = _figures(scores), scores["deviations"]
    if spread is None:
        return [_per_cent(value) for value in means]
    pairs = zip(means, _figures(spread), strict=True)
    return [f"{_per_cent(value)} ± {_per_cent(deviation)}" for value, deviation in pairs]


def _figures(scores: Mapping[str, Any]) -> list[float]:
    cmc = scores["cmc"]
    return [*(cmc[min(rank, len(cmc)) - 1] for rank in RANKS), scores["mean_ap"], scores["mean_inp"]]


def _interval_row(intervals: Mapping[str, Any]) -> list[str]:
    """An interval below each figure."""
    names = (*(f"rank_{rank}" for rank in RANKS), "mean_ap", "mean_inp")
    pairs = (intervals[name] for name in names)
    shown = [f"{_per_cent(low)}-{_per_cent(high)}" for low, high in pairs]
    return [f"[dim]{100 * intervals['level']:g} % interval[/]", *shown, "", ""]


def _mean(scores: Mapping[str, Any], name: str) -> str:
    return f"{scores[name]:.1f}".removesuffix(".0")


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f}"
