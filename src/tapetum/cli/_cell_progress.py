"""Progress of a comparison: a bar over all cells and one for each at work; plain lines off a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tapetum.cli._console import ERR, note, progress_bar
from tapetum.comparison import Cell
from tapetum.comparison.run import Counter
from tapetum.comparison.text import direction_title


class CellProgress:
    """Says on stderr which cells are worked on and what they gave."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
        )
        self._bars = Progress(*columns, console=ERR) if ERR.is_terminal else None
        self._cells: TaskID | None = None
        self._total, self._done = 0, 0
        self._at_work: dict[str, _TrainingBar] = {}

    def __enter__(self) -> CellProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def plan(self, cells: Sequence[Cell]) -> None:
        """Keep how many cells there are."""
        self._total = len(cells)

    def drawing(self, title: str) -> AbstractContextManager[Counter]:
        """A bar of its own."""
        note(f"drawing walkers: {title}")
        return progress_bar(title)

    def begin(self, cell: Cell) -> _TrainingBar:
        """A bar for the training of a cell."""
        if self._bars is not None and self._cells is None:
            self._bars.start()
            self._cells = self._bars.add_task("cells", total=self._total, state="")
        self._at_work[cell.name] = bar = _TrainingBar(self._bars, cell.name)
        return bar

    def end(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """Take the bar away and print a line."""
        self._done += 1
        self._at_work.pop(cell.name).close()
        if self._bars is not None and self._cells is not None:
            self._bars.update(self._cells, completed=self._done)
        note(f"{self._done}/{self._total} {cell.name}: {describe(result)}")


class _TrainingBar:
    """The bar of one cell; shows nothing off a terminal."""

    def __init__(self, bars: Progress | None, title: str) -> None:
        self._bars, self._title = bars, title
        self._task = None if bars is None else bars.add_task(title, total=None, state="")

    def stage(self, name: str, steps: int, done: int) -> None:
        """Begin a stage."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, total=steps, completed=done, state=name)

    def advance(self, done: int, record: Mapping[str, Any]) -> None:
        """Move the bar."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done)

    def note(self, text: str) -> None:
        """Print a line that says of which cell it is."""
        note(f"{self._title}: {text}")

    def close(self) -> None:
        """Take the bar away."""
        if self._bars is not None and self._task is not None:
            self._bars.remove_task(self._task)


def describe(result: Mapping[str, Any]) -> str:
    """What a cell gave, in a line.

    >>> describe({"status": "failed", "error": "ValueError: no"})
    'failed: ValueError: no'
    """
    if result["status"] == "failed":
        return f"failed: {result['error']}"
    found = result["scores"]
    scores = ", ".join(f"{direction_title(score, found)} mAP {100 * score['map']:.1f}" for score in found)
    training = result["training"]
    spent = [f"{training['steps']} steps"]
    if training["cpu_seconds"] is not None:
        spent += [f"{training['seconds']:.0f} s", f"{training['cpu_seconds']:.0f} s of CPU"]
    return f"{scores}; {', '.join(spent)}"
