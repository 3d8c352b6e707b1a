"""Carry out a comparison: draw data, work on each cell that is not finished, keep results, make tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tapetum.comparison.attempt import Task, attempt
from tapetum.comparison.cells import Cell, plan_cells
from tapetum.comparison.folder import ComparisonFolder, remove_work, write_result
from tapetum.comparison.page import check_extras, write_page
from tapetum.comparison.plan import ComparisonPlan, walker_options
from tapetum.comparison.status import forget, look, refuse_changed
from tapetum.comparison.table import build_table
from tapetum.comparison.text import markdown
from tapetum.comparison.workers import WorkerPool
from tapetum.data.synthetic import write_walkers
from tapetum.files import replace_text
from tapetum.training import TrainingProgress

Counter = Callable[[int, int], None]
"""Told how far something is: (done, total)."""


class Show(Protocol):
    """Who is told how far a comparison is; called from several threads where several cells are worked on."""

    def plan(self, cells: Sequence[Cell]) -> None:
        """These cells will be worked on."""

    def drawing(self, title: str) -> AbstractContextManager[Counter]:
        """A data set is drawn inside."""

    def begin(self, cell: Cell) -> TrainingProgress:
        """Work on a cell begins; its training is told to the answer."""

    def end(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """A cell is finished, or failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison leaves.

    Attributes:
        table: Content of `table.json`.
        failed: Cells that failed, and cells whose method does not exist, each with the reason.
        files: The tables: JSON, Markdown, HTML.
    """

    table: Mapping[str, Any]
    failed: Mapping[str, str]
    files: tuple[Path, ...]


def run_comparison(
    plan: ComparisonPlan,
    folder: ComparisonFolder,
    show: Show,
    *,
    only: Iterable[str] = (),
    jobs: int = 1,
    redo: bool = False,
    keep_runs: bool = False,
) -> Outcome:
    """Work on all cells of a plan that are not finished, and write its tables.

    A cell that fails is kept as failed, and the others go on. Whatever happens, the tables hold what is
    finished, and nothing is half-written.

    Args:
        plan: What is compared.
        folder: Where everything goes.
        show: Who is told how far it is.
        only: Rows to work on; none: all. The tables hold all rows in any case.
        jobs: Cells worked on at a time, each in a process of its own; 1: one after the other, in this one.
        redo: Make cells of other settings, and those that failed, anew from their beginning.
        keep_runs: Keep the folder of each run.

    Raises:
        ConfigError: There are results by other settings, and they are not to be made anew; or a row's
            settings are not those of its method.
        ValueError: `jobs` is below 1, or a name in `only` is no row's.
        KeyboardInterrupt: Somebody asked to stop; cells at work go on another time.
        OSError: A result could not be written.
        MissingExtraError: matplotlib or jinja2 is not installed, which the page needs.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; expected at least 1")
    cells = plan_cells(plan, only)
    status = look(cells, folder)
    if redo:
        forget([*status.changed, *status.failed], folder)
    else:
        refuse_changed(status, folder)
    check_extras()  # better known now than after hours
    show.plan(status.to_do)
    try:
        _draw(status.to_do, folder, show, jobs)
        _work(status.to_do, folder, show, plan.threads, jobs, keep_runs)
    finally:
        table, files = write_tables(plan, folder)
    asked = {cell.name for cell in cells}
    failed = {one["cell"]: one["error"] for one in table["failed"] if one["cell"] in asked}
    return Outcome(table, failed | {cell.name: cell.missing for cell in status.missing}, files)


def write_tables(plan: ComparisonPlan, folder: ComparisonFolder) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Write what is finished as JSON, Markdown and HTML; content of the first, and the files.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed; the JSON and Markdown files are written.
    """
    table = build_table(plan, folder)
    folder.root.mkdir(parents=True, exist_ok=True)
    files = (
        replace_text(folder.root / "table.json", json.dumps(table, indent=2, allow_nan=False) + "\n"),
        replace_text(folder.root / "table.md", f"# {table['title']}\n\n{markdown(table)}"),
    )
    return table, (*files, write_page(folder.root / "table.html", table))


def _draw(cells: Iterable[Cell], folder: ComparisonFolder, show: Show, workers: int) -> None:
    """Write the walkers that the cells need and that are not there yet."""
    for cell in cells:
        recipe = cell.settings["data"].get("walkers")
        if recipe is None or folder.drawn(recipe).exists():
            continue
        with show.drawing(cell.data) as progress:
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


def _work(
    cells: Sequence[Cell], folder: ComparisonFolder, show: Show, threads: int, jobs: int, keep_runs: bool
) -> None:
    def finish(cell: Cell, result: Mapping[str, Any]) -> None:
        write_result(folder.result(cell), result)
        if result["status"] == "done" and not keep_runs:
            remove_work(folder.work(cell), folder.root)
        show.end(cell, result)

    tasks = [Task(cell, folder.spec(cell.settings), folder.work(cell)) for cell in cells]
    if jobs > 1:
        WorkerPool(min(jobs, len(tasks)), threads, show.begin, finish).work(tasks)
        return
    for task in tasks:
        finish(task.cell, attempt(task, show.begin(task.cell)))
