"""A run as one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from tapetum.config import to_yaml
from tapetum.files import replace_text
from tapetum.report.data import ReportData
from tapetum.report.extra import load_extra
from tapetum.report.learning import describe_learning
from tapetum.report.palette import css_variables
from tapetum.report.rankings import ranked_strips
from tapetum.report.samples import sample_tracklets
from tapetum.report.score_tables import score_table
from tapetum.report.sections import (
    describe_counts,
    describe_distances,
    describe_maps,
    describe_timings,
    heading,
    match_curves,
    row_legend,
    summary,
    tiles,
)


def build_report(out: Path, *, title: str, data: ReportData) -> Path:
    """Write the report of a run to `out`, whole or not at all, and return `out`.

    The page holds its pictures, plots and style; it asks nothing of a network. Equal data give an equal page.

    Args:
        out: The HTML file; its folder is made where there is none.
        title: Heading of the page.
        data: What to report.

    Raises:
        MissingExtraError: matplotlib, scikit-learn or jinja2 is not installed.
        DataError: A frame or the training log cannot be read.
        ValueError: The ranked lists are not those of the scores.
    """
    text = _render({"title": title, **_overview(data), **_evidence(data), **_run(data)})
    out.parent.mkdir(parents=True, exist_ok=True)
    return replace_text(out, text)


def _overview(data: ReportData) -> dict[str, Any]:
    return {
        "summary": summary(data),
        "is_synthetic": data.is_synthetic,
        "method": data.method,
        "tiles": tiles(data),
        "tables": [
            score_table(heading(data, result), data.scores(result), data.method) for result in data.trials
        ],
    }


def _evidence(data: ReportData) -> dict[str, Any]:
    return {
        "samples": sample_tracklets((data.train, data.test.tracklets)),
        "learning": describe_learning(data.log),
        "row_legend": row_legend(data),
        "cmc": match_curves(data),
        "distances": describe_distances(data.test),
        "rankings": [
            {
                "title": f"Ranked answers, {heading(data, result)}",
                "strips": ranked_strips(data.test, result.trial, result.scores),
            }
            for result in data.trials
        ],
        "maps": describe_maps(data.test),
    }


def _run(data: ReportData) -> dict[str, Any]:
    return {
        "counts": describe_counts(data),
        "timings": describe_timings(data.timings_s),
        "environment": list(data.environment.items()),
        "config": to_yaml(data.config) if data.config else "",
    }


def _render(page: Mapping[str, Any]) -> str:
    """The page's HTML; all text is escaped, but for the style sheet and the plots drawn here."""
    jinja2, folder = load_extra("jinja2"), files("tapetum.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(folder.joinpath("page.html").read_text(encoding="utf-8"))
    style = css_variables() + folder.joinpath("page.css").read_text(encoding="utf-8")
    text: str = template.render(page=page, style=style)
    return text
