"""One attempt at a cell: its task, and a result whatever happens."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapetum.comparison.cells import Cell
from tapetum.comparison.folder import SETTINGS_AT_WORK
from tapetum.comparison.work import failure, work_on
from tapetum.files import replace_text
from tapetum.training import TrainingProgress


@dataclass(frozen=True, slots=True)
class Task:
    """A cell to work on.

    Attributes:
        cell: Its settings are written out.
        data: FORMAT:ROOT of its data set.
        place: Folder to work in.
    """

    cell: Cell
    data: str
    place: Path

    def to_json(self) -> dict[str, Any]:
        """The task, ready for `json.dumps`."""
        cell = self.cell
        named = {"data": cell.data, "row": cell.row, "seed": cell.seed, "settings": dict(cell.settings)}
        return {"cell": named, "data": self.data, "place": str(self.place)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Task:
        """The task that `to_json` wrote."""
        return cls(Cell(**content["cell"]), content["data"], Path(content["place"]))


def attempt(task: Task, progress: TrainingProgress) -> dict[str, Any]:
    """The result of working on a cell: done, or failed with the reason; a run that is there goes on.

    Raises:
        KeyboardInterrupt: Somebody asked to stop.
    """
    try:
        task.place.mkdir(parents=True, exist_ok=True)
        replace_text(task.place / SETTINGS_AT_WORK, json.dumps(dict(task.cell.settings)) + "\n")
        return work_on(task.cell, task.data, task.place, progress)
    except Exception as error:
        return failure(task.cell, f"{type(error).__name__}: {error}", traceback.format_exc())
