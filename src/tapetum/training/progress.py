"""How a run tells its caller where it is; the training loop itself shows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class TrainingProgress(Protocol):
    """What the loop calls, some times a second at most."""

    def stage(self, name: str, steps: int, done: int) -> None:
        """A stage of `steps` steps begins, or goes on after `done` of them."""

    def advance(self, done: int, record: Mapping[str, Any]) -> None:
        """`done` steps of the stage are made; `record` is the line just written to the log."""

    def note(self, text: str) -> None:
        """Something worth a line: a resumed run, a shortened stage, a validation, a checkpoint."""


class Silent:
    """Shows nothing."""

    def stage(self, name: str, steps: int, done: int) -> None:
        """Do nothing."""

    def advance(self, done: int, record: Mapping[str, Any]) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class ProgressBar:
    """A bar per stage with loss, clips per second, share of time waiting for data, and time left."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
        )
        self._bars = Progress(*columns, console=console)
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, steps: int, done: int) -> None:
        """Begin a new bar."""
        self._task = self._bars.add_task(name, total=steps, completed=done, state="")

    def advance(self, done: int, record: Mapping[str, Any]) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done, state=describe(record))

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._bars.console.print(text, highlight=False, markup=False)


def describe(record: Mapping[str, Any]) -> str:
    """A few words on a record of the log: total loss, rate, waiting.

    >>> describe({"losses": {"total": 1.25}, "clips_per_s": 64.0, "data_share": 0.031})
    'loss 1.250  64 clips/s  data 3%'
    """
    loss, rate, share = record["losses"]["total"], record["clips_per_s"], record["data_share"]
    return f"loss {loss:.3f}  {rate:.0f} clips/s  data {share:.0%}"
