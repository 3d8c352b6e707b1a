"""Carry out a comparison: draw data, work on each cell that is not finished, keep its result."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tapetum.comparison.cells import Cell, changed_settings
from tapetum.comparison.folder import ComparisonFolder, read_result, write_result
from tapetum.comparison.work import failure, work_on
from tapetum.data.synthetic import write_walkers
from tapetum.errors import ConfigError
from tapetum.training import TrainingProgress

_log = logging.getLogger(__name__)

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar with a title; gives a function of (done, total)."""


class Show(Protocol):
    """Who is told how far a comparison is; may be called from several threads."""

    bar: Bar

    def begin(self, cell: Cell) -> TrainingProgress:
        """Work on a cell begins; its training is told to the answer."""

    def end(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """A cell is finished, or failed."""

    def note(self, text: str) -> None:
        """Something worth a line."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a comparison finds in its folder before it begins.

    Attributes:
        finished: Cells with a result by the same settings.
        changed: Cells with a result by other settings, and the settings that differ.
        failed: Cells that failed before.
        missing: Cells whose method does not exist.
        open: Cells to work on, in order; those that failed before are among them.
    """

    finished: tuple[Cell, ...]
    changed: Mapping[str, Mapping[str, tuple[Any, Any]]]
    failed: tuple[Cell, ...]
    missing: tuple[Cell, ...]
    open: tuple[Cell, ...]


def look(cells: Sequence[Cell], folder: ComparisonFolder) -> Status:
    """What is done, what is not, and what was done otherwise.

    Raises:
        DataError: A result file cannot be read.
    """
    finished, changed, failed, missing, to_do = [], {}, [], [], []
    for cell in cells:
        found = read_result(folder.result(cell))
        if cell.missing:
            missing.append(cell)
        elif found is None:
            to_do.append(cell)
        elif found["status"] == "failed":
            failed.append(cell)
            to_do.append(cell)
        elif differing := changed_settings(found["settings"], cell.settings):
            changed[cell.name] = differing
            to_do.append(cell)
        else:
            finished.append(cell)
    return Status(tuple(finished), changed, tuple(failed), tuple(missing), tuple(to_do))


def refuse_changed(status: Status, folder: ComparisonFolder) -> None:
    """Refuse results that were made by other settings.

    Raises:
        ConfigError: There are some; the first and its settings are named.
    """
    if not status.changed:
        return
    name, differing = next(iter(status.changed.items()))
    listed = "; ".join(f"{key} was {was!r}, now {now!r}" for key, (was, now) in differing.items())
    raise ConfigError(
        f"{folder.root}: {len(status.changed)} finished cells were made by other settings, first {name}: "
        f"{listed}. Ask for them to be made anew, or for another folder"
    )


def draw(cells: Iterable[Cell], folder: ComparisonFolder, show: Show, workers: int) -> None:
    """Write the walkers that the cells need and that are not there yet."""
    for cell in cells:
        recipe = cell.settings["data"].get("walkers")
        if recipe is None or folder.drawn(recipe).exists():
            continue
        show.note(f"drawing {recipe['identities']} people for {cell.data}")
        with show.bar(cell.data) as progress:
            write_walkers(
                folder.drawn(recipe),
                recipe["format"],
                identities=recipe["identities"],
                test_identities=recipe["test_identities"],
                seed=recipe["seed"],
                options=walker_options(recipe["options"]),
                workers=workers,
                progress=progress,
            )


def work_alone(cells: Iterable[Cell], folder: ComparisonFolder, show: Show, *, keep_runs: bool) -> None:
    """Work on cells one after the other in this process; one that fails is kept as failed.

    Raises:
        KeyboardInterrupt: Somebody asked to stop; the cell at work goes on another time.
    """
    for cell in cells:
        finish(cell, folder, show, attempt(cell, folder, show.begin(cell)), keep_runs=keep_runs)


def attempt(cell: Cell, folder: ComparisonFolder, progress: TrainingProgress) -> dict[str, Any]:
    """The result of working on a cell, failed or not."""
    try:
        return work_on(cell, folder.spec(cell.settings), folder.work(cell), progress)
    except Exception as error:
        _log.info("%s failed", cell.name, exc_info=True)
        return failure(cell, f"{type(error).__name__}: {error}", traceback.format_exc())


def finish(
    cell: Cell, folder: ComparisonFolder, show: Show, result: Mapping[str, Any], *, keep_runs: bool
) -> None:
    """Keep a result, remove the run of a cell that is done, and say so."""
    write_result(folder.result(cell), result)
    if result["status"] == "done" and not keep_runs:
        remove_work(folder.work(cell), folder.root / "runs")
    show.end(cell, result)


def remove_work(place: Path, root: Path) -> None:
    """Remove a folder, and those above it up to `root` that are empty then."""
    shutil.rmtree(place, ignore_errors=True)
    for parent in place.parents:
        if any(parent.iterdir()):
            return
        parent.rmdir()
        if parent == root:
            return


def walker_options(options: Mapping[str, Any]) -> Any:
    """`WalkerOptions` from what settings hold."""
    from tapetum.data.synthetic import WalkerOptions

    return WalkerOptions(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
