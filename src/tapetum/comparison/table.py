"""From results of cells to a table: mean and spread over the seeds, per data set, row and direction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tapetum.comparison.cells import Cell, plan_cells
from tapetum.comparison.folder import FORMAT_VERSION, ComparisonFolder, read_result
from tapetum.comparison.plan import ComparisonPlan
from tapetum.comparison.status import Status, look
from tapetum.data.datasets._base import DataSpec, is_synthetic

MEASURES = ("rank1", "rank5", "rank10", "map", "minp")
"""What is scored, as results name it; fractions."""

_COSTS = ("embedding", "parameters", "trained", "flops_per_clip", "clips_per_tracklet", "flops_per_tracklet")

Result = Mapping[str, Any]


def build_table(plan: ComparisonPlan, folder: ComparisonFolder) -> dict[str, Any]:
    """The table of all rows of a plan, from the results that are there, ready for JSON.

    Results of other settings are left out, and named.

    Raises:
        DataError: A result file cannot be read.
    """
    status = look(plan_cells(plan), folder)
    results = [read_result(folder.result(cell)) or {} for cell in status.finished]
    return {
        "format_version": FORMAT_VERSION,
        "title": plan.title,
        "about": plan.about,
        "plan": {
            "preset": plan.preset,
            "seeds": list(plan.seeds),
            "threads": plan.threads,
            "training": plan.training,
        },
        "data": [_data_block(plan, name, _all(status), results) for name in plan.data],
        "failed": [_failure(cell, folder) for cell in status.failed],
        "missing": sorted({f"{cell.row}: {cell.missing}" for cell in status.missing}),
        "other_settings": [cell.name for cell in status.changed],
        "open": [cell.name for cell in status.open],
        "made_with": _distinct(result["made_with"] for result in results),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and sample standard deviation; a single value has no deviation.

    >>> spread([1.0, 2.0, 6.0])
    {'mean': 3.0, 'sd': 2.6457513110645907, 'values': [1.0, 2.0, 6.0]}
    >>> spread([0.5])
    {'mean': 0.5, 'sd': None, 'values': [0.5]}
    """
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    deviation = math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else None
    return {"mean": mean, "sd": deviation, "values": list(values)}


def _all(status: Status) -> list[Cell]:
    return [*status.finished, *status.changed, *status.failed, *status.open, *status.missing]


def _failure(cell: Cell, folder: ComparisonFolder) -> dict[str, str]:
    result = read_result(folder.result(cell)) or {}
    return {"cell": cell.name, "error": str(result.get("error", ""))}


def _data_block(
    plan: ComparisonPlan, name: str, cells: Sequence[Cell], results: Sequence[Result]
) -> dict[str, Any]:
    """All rows on one data set."""
    config, here = plan.data[name], [result for result in results if result["data"] == name]
    at = config.at
    return {
        "name": name,
        "title": config.title or name,
        "format": config.format,
        "synthetic": at is None or is_synthetic(DataSpec.parse(at).root),
        "people": _distinct(result["people"] for result in here),
        "chance": _chance(here),
        "rows": [
            _row_block(plan, row, name, cells, here) for row in plan.rows if plan.rows[row].runs_on(name)
        ],
    }


def _row_block(
    plan: ComparisonPlan, row: str, data: str, cells: Sequence[Cell], results: Sequence[Result]
) -> dict[str, Any]:
    """One row on one data set."""
    wanted = [cell.seed for cell in cells if (cell.row, cell.data) == (row, data)]
    here = sorted((r for r in results if r["row"] == row), key=lambda r: int(r["seed"]))
    config = plan.rows[row]
    head = {
        "name": row,
        "title": config.title or row,
        "method": config.method,
        "untrained": config.untrained,
        "seeds": [result["seed"] for result in here],
        "seeds_wanted": sorted(wanted),
    }
    if not here:
        return head
    costs = [result["costs"] for result in here]
    return {
        **head,
        "scores": _scores(here),
        "training": {
            "steps": spread([result["training"]["steps"] for result in here]),
            "seconds": _known(result["training"]["seconds"] for result in here),
            "cpu_seconds": _known(result["training"]["cpu_seconds"] for result in here),
        },
        "embedding_cpu_seconds": spread([result["embedding"]["cpu_seconds"] for result in here]),
        "costs": {key: spread([cost[key] for cost in costs])["mean"] for key in _COSTS},
    }


def _scores(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Per protocol and direction, mean and spread over seeds."""
    found = []
    for protocol, direction in _directions(results):
        one = [_score_of(result, protocol, direction) for result in results]
        measures = {measure: spread([float(score[measure]) for score in one]) for measure in MEASURES}
        found.append({"protocol": protocol, "direction": direction, **measures})
    return found


def _chance(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Level of chance per protocol and direction, mean over all cells (they share their data, mostly)."""
    found = []
    for protocol, direction in _directions(results):
        levels = [_score_of(result, protocol, direction)["chance"] for result in results]
        if None in levels:
            continue
        means = {measure: spread([level[measure] for level in levels])["mean"] for measure in MEASURES}
        found.append({"protocol": protocol, "direction": direction, **means})
    return found


def _directions(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Protocols with their directions, in the order of the first result; equal for all of one data set."""
    first = results[0]["scores"] if results else []
    return [(score["protocol"], score["direction"]) for score in first]


def _score_of(result: Result, protocol: str, direction: str) -> Mapping[str, Any]:
    key = (protocol, direction)
    return next(score for score in result["scores"] if (score["protocol"], score["direction"]) == key)


def _known(values: Iterable[float | None]) -> dict[str, Any] | None:
    """The spread, or None where a value is not known."""
    found = list(values)
    return None if None in found else spread([value for value in found if value is not None])


def _distinct(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
