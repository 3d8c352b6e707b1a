"""A diagnosis as one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tapetum.evaluation.calibration.calibration import Calibration
from tapetum.evaluation.calibration.open_set import OpenSetScores
from tapetum.evaluation.diagnosis.diagnosis import Diagnosis
from tapetum.files import replace_text
from tapetum.report.cameras import describe_cameras, describe_modalities
from tapetum.report.rendering import render
from tapetum.report.thresholds import describe_thresholds


def build_diagnosis(
    out: Path,
    diagnosis: Diagnosis,
    *,
    calibration: Calibration | None = None,
    open_set: Sequence[OpenSetScores] = (),
) -> Path:
    """Write the page of a diagnosis to `out`, whole or not at all, and return `out`.

    Args:
        out: The HTML file; its folder is made where there is none.
        diagnosis: Cameras and what stands out.
        calibration: What distances mean; None: not shown.
        open_set: Open-set scores, one per direction.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    page = {
        "title": f"Diagnosis: {diagnosis.data}",
        "summary": (
            f"Embeddings of {diagnosis.data} by model {diagnosis.model or '(unknown)'}, searched by the "
            f"protocol {diagnosis.protocol} and taken apart."
        ),
        "cameras": describe_cameras(diagnosis),
        "modalities": describe_modalities(diagnosis),
        "thresholds": describe_thresholds(calibration, open_set),
    }
    text = render("diagnosis.html", page)
    out.parent.mkdir(parents=True, exist_ok=True)
    return replace_text(out, text)
