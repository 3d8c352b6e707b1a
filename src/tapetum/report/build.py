"""A run as one HTML page that needs nothing beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tapetum.config import to_yaml
from tapetum.evaluation.diagnosis.diagnosis import diagnose
from tapetum.files import replace_text
from tapetum.report.cameras import describe_cameras, describe_modalities
from tapetum.report.data import ReportData
from tapetum.report.learning import describe_learning
from tapetum.report.rankings import ranked_strips
from tapetum.report.rendering import render
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

_SAMPLES = 500
"""Draws of people for the intervals beside each camera's figures."""


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
    content = {"title": title, **_overview(data), **_evidence(data), **_cameras(data), **_run(data)}
    text = render("page.html", content)
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


def _cameras(data: ReportData) -> dict[str, Any]:
    """The method's results by cameras, where there are several of them."""
    diagnosis = diagnose(data.test, data.results[data.method], samples=_SAMPLES)
    cameras = describe_cameras(diagnosis)
    return {"cameras": cameras, "modalities": describe_modalities(diagnosis) if cameras else None}


def _run(data: ReportData) -> dict[str, Any]:
    return {
        "counts": describe_counts(data),
        "timings": describe_timings(data.timings_s),
        "environment": list(data.environment.items()),
        "config": to_yaml(data.config) if data.config else "",
    }
