"""A comparison's table as one HTML page with pictures, which asks nothing of a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapetum.comparison.figure import directions, spread_plot
from tapetum.comparison.table import MEASURES
from tapetum.comparison.text import (
    COSTS,
    TITLES,
    cost_lines,
    describe_data,
    describe_plan,
    direction_title,
    notes,
    score_lines,
)
from tapetum.files import replace_text
from tapetum.report.extra import load_extra
from tapetum.report.rendering import render


def check_extras() -> None:
    """Refuse where a page could not be written.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    for package in ("matplotlib", "jinja2"):
        load_extra(package)


def write_page(path: Path, table: Mapping[str, Any]) -> Path:
    """Write the page of a table, whole or not at all, and return `path`.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    blocks = [block for block in table["data"] if any("scores" in row for row in block["rows"])]
    content = {
        "title": table["title"],
        "summary": table["about"],
        "plan": describe_plan(table),
        "is_synthetic": any(block["synthetic"] for block in blocks),
        "blocks": [_block(block, f"plot-{i}") for i, block in enumerate(blocks)],
        "notes": notes(table),
    }
    return replace_text(path, render("comparison.html", content))


def _block(block: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the page says of one data set."""
    scores = next(row["scores"] for row in block["rows"] if "scores" in row)
    tables = [
        {
            "head": [direction_title(score, scores), *(TITLES[measure] for measure in MEASURES)],
            "lines": score_lines(block, place),
        }
        for place, score in enumerate(scores)
    ]
    return {
        "title": block["title"],
        "kind": describe_data(block),
        "svg": spread_plot(block, name=name),
        "legend": directions(block),
        "tables": [*tables, {"head": ["costs", *COSTS], "lines": cost_lines(block)}],
    }
