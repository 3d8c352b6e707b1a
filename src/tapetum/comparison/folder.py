"""A comparison's folder: what lies where, and results of cells as files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapetum.comparison.cells import Cell
from tapetum.errors import DataError
from tapetum.files import replace_text

FORMAT_VERSION = 1

SETTINGS_AT_WORK = "settings.json"
"""File that says by which settings a cell is worked on."""


@dataclass(frozen=True, slots=True)
class ComparisonFolder:
    """Paths of a comparison's files.

    Attributes:
        root: The folder.
        data: Folder of drawn data sets; may be shared between comparisons.
    """

    root: Path
    data: Path

    def result(self, cell: Cell) -> Path:
        """The result of a cell."""
        return self.root / "cells" / f"{cell.name}.json"

    def work(self, cell: Cell) -> Path:
        """Where a cell is worked on."""
        return self.root / "runs" / cell.name

    def settings_at_work(self, cell: Cell) -> Path:
        """Settings of the cell that is worked on."""
        return self.work(cell) / SETTINGS_AT_WORK

    def drawn(self, recipe: Mapping[str, Any]) -> Path:
        """Where the walkers of a recipe lie: equal recipes share a folder."""
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        return self.data / f"{recipe['format']}-{recipe['options']['cues']}-{digest[:8]}"

    def spec(self, settings: Mapping[str, Any]) -> str:
        """A cell's data set as FORMAT:ROOT, options included."""
        data = settings["data"]
        place = data.get("at") or f"{data['walkers']['format']}:{self.drawn(data['walkers'])}"
        options = "&".join(f"{name}={json.dumps(value)}" for name, value in data["read"].items())
        joint = "&" if "?" in place else "?"
        return f"{place}{joint}{options}" if options else place


def read_result(path: Path) -> dict[str, Any] | None:
    """The result of a cell; None where there is none.

    Raises:
        DataError: The file is no result of a cell.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the result of a cell: {error}") from None
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: format_version is {version}; expected {FORMAT_VERSION}")
    return dict(content)


def write_result(path: Path, content: Mapping[str, Any]) -> Path:
    """Keep the result of a cell, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return replace_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def remove_work(place: Path, root: Path) -> None:
    """Remove a folder below `root`, and those between that are empty then."""
    shutil.rmtree(place, ignore_errors=True)
    for parent in place.parents:
        if parent == root or not parent.is_dir() or any(parent.iterdir()):
            return
        parent.rmdir()
