"""`tapetum info`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapetum.cli._console import print_json, say
from tapetum.cli._instants import time_text
from tapetum.cli._sources import GalleryArgument
from tapetum.search import Gallery, GalleryInfo

if TYPE_CHECKING:
    from tapetum.evaluation import Calibration

_SHOWN = 20
"""Cameras that are listed; JSON has all."""


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(info)


def info(
    gallery: GalleryArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a gallery holds, of which model, and how it is searched."""
    with closing(Gallery.open(gallery, create=False)) as place:
        found, calibration = place.info(), place.calibration()
    if as_json:
        print_json({**asdict(found), "calibration": _calibration(calibration)})
        return
    for name, text in _lines(found, calibration).items():
        say(f"{name:12}{text}")


def _lines(found: GalleryInfo, calibration: Calibration | None) -> dict[str, str]:
    modalities = ", ".join(f"{count} {modality}" for modality, count in found.modalities.items())
    cameras = ", ".join(map(str, found.cameras[:_SHOWN]))
    more = f", and {len(found.cameras) - _SHOWN} more" if len(found.cameras) > _SHOWN else ""
    recall = "" if found.recall is None else f", recall {found.recall:.2f}"
    return {
        "gallery": f"{found.uri} ({found.storage})",
        "model": "none yet" if found.model is None else f"{found.model}, {found.dimension} dimensions",
        "tracklets": f"{found.count}: {modalities}",
        "cameras": f"{len(found.cameras)}: {cameras}{more}" if found.cameras else "none known",
        "times": _span(found),
        "search": "exact" if found.exact else f"approximate{recall}",
        "calibration": "none" if calibration is None else _curves(calibration),
    }


def _span(found: GalleryInfo) -> str:
    if found.first_time is None or found.last_time is None:
        return "none known"
    return f"{time_text(found.first_time)} to {time_text(found.last_time)}"


def _curves(calibration: Calibration) -> str:
    pairings = ", ".join(pairing.value for pairing in calibration.curves)
    return f"{pairings}; judged on {calibration.data}"


def _calibration(found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "data": found.data,
        "priors": {pairing.value: curve.prior for pairing, curve in found.curves.items()},
        "missing": {pairing.value: reason for pairing, reason in found.missing.items()},
    }
