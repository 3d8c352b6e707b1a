"""What a comparison finds in its folder: finished cells, cells to work on, results of other settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tapetum.comparison.cells import Cell, changed_settings
from tapetum.comparison.folder import ComparisonFolder, read_result, remove_work
from tapetum.errors import ConfigError

Differences = Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Status:
    """How far the cells of a comparison are; each is in one of these.

    Attributes:
        finished: With a result by the same settings.
        changed: With a result, or a run not finished, by other settings.
        failed: Which failed when they were last worked on.
        open: Not finished yet.
        missing: Whose method does not exist.
        differences: Name of a changed cell -> its settings that differ, each with what it was and is.
    """

    finished: tuple[Cell, ...]
    changed: tuple[Cell, ...]
    failed: tuple[Cell, ...]
    open: tuple[Cell, ...]
    missing: tuple[Cell, ...]
    differences: Mapping[str, Differences]

    @property
    def to_do(self) -> tuple[Cell, ...]:
        """Cells to work on: new ones and those that were interrupted, then those that failed."""
        return (*self.changed, *self.open, *self.failed)


def look(cells: Sequence[Cell], folder: ComparisonFolder) -> Status:
    """How far the cells are.

    Raises:
        DataError: A result file cannot be read.
    """
    sorted_in: dict[str, list[Cell]] = {
        kind: [] for kind in ("finished", "changed", "failed", "open", "missing")
    }
    differences = {}
    for cell in cells:
        kind, differing = _kind(cell, folder)
        sorted_in[kind].append(cell)
        if differing:
            differences[cell.name] = differing
    return Status(**{kind: tuple(found) for kind, found in sorted_in.items()}, differences=differences)


def refuse_changed(status: Status, folder: ComparisonFolder) -> None:
    """Refuse results that were made by other settings.

    Raises:
        ConfigError: There are some; the first and its settings are named.
    """
    if not status.changed:
        return
    name = status.changed[0].name
    listed = "; ".join(
        f"{key} was {was!r}, now {now!r}" for key, (was, now) in status.differences[name].items()
    )
    raise ConfigError(
        f"{folder.root}: {len(status.changed)} cells there are of other settings, first {name}: {listed}. "
        "Make them anew (--redo), or give another folder"
    )


def forget(cells: Sequence[Cell], folder: ComparisonFolder) -> None:
    """Remove results and runs of cells."""
    for cell in cells:
        folder.result(cell).unlink(missing_ok=True)
        remove_work(folder.work(cell), folder.root)


def _kind(cell: Cell, folder: ComparisonFolder) -> tuple[str, Differences]:
    if cell.missing:
        return "missing", {}
    found = read_result(folder.result(cell))
    settings = found["settings"] if found is not None else _settings_at_work(cell, folder)
    if settings is None:
        return "open", {}
    if differing := changed_settings(settings, cell.settings):
        return "changed", differing
    if found is None:
        return "open", {}
    return ("failed" if found["status"] == "failed" else "finished"), {}


def _settings_at_work(cell: Cell, folder: ComparisonFolder) -> dict[str, Any] | None:
    """Settings of a run that was not finished; None where there is none."""
    file = folder.settings_at_work(cell)
    if not file.is_file():
        return None
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return settings
