"""`tapetum compare`: rows of methods on data sets, several seeds, one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from tapetum.cli._console import OUT, check_place, say
from tapetum.files import replace_text

if TYPE_CHECKING:
    from tapetum.comparison import Cell, ComparisonFolder, Status


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(compare)


def compare(
    plan: Annotated[Path, typer.Argument(help="YAML file: data sets, rows, seeds, training.")],
    out: Annotated[Path, typer.Option(help="Folder for results; a comparison that is there goes on.")],
    only: Annotated[list[str] | None, typer.Option(help="A row to work on; may be repeated.")] = None,
    jobs: Annotated[int, typer.Option(help="Cells worked on at a time, each in its own process.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Folder for drawn data sets, shared by plans; default: in OUT.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    redo: Annotated[
        bool, typer.Option("--redo", help="Make cells of other settings, and failed ones, anew.")
    ] = False,
    keep_runs: Annotated[bool, typer.Option("--keep-runs", help="Keep the folder of each run.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the table to this file too.")
    ] = None,
) -> None:
    """Train and score the rows of a plan on its data sets; what is finished is not repeated."""
    from tapetum.cli._cell_progress import CellProgress
    from tapetum.comparison import ComparisonFolder, look, plan_cells, read_plan, run_comparison

    check_place(json_file)
    chosen, folder = read_plan(plan), ComparisonFolder(out, data or out / "data")
    if dry_run:
        cells = plan_cells(chosen, only or ())
        _describe(cells, look(cells, folder), folder)
        return
    with CellProgress() as progress:
        outcome = run_comparison(
            chosen, folder, progress, only=only or (), jobs=jobs, redo=redo, keep_runs=keep_runs
        )
    if json_file is not None:
        replace_text(json_file, outcome.files[0].read_text(encoding="utf-8"))
    for name, error in outcome.failed.items():
        say(f"failed: {name}: {error}")
    say("\n".join(map(str, outcome.files)))
    if outcome.failed:
        raise typer.Exit(1)


def _describe(cells: Sequence[Cell], status: Status, folder: ComparisonFolder) -> None:
    """What would be done, per data set and row."""
    kinds = {
        "finished": status.finished,
        "to do": status.open,
        "failed": status.failed,
        "changed": status.changed,
        "missing": status.missing,
    }
    counts = Counter(((cell.data, cell.row), kind) for kind, found in kinds.items() for cell in found)
    table = Table(*(Column(name, no_wrap=True) for name in ("data", "row", *kinds)), box=None)
    for data, row in dict.fromkeys((cell.data, cell.row) for cell in cells):
        table.add_row(data, row, *(str(counts[(data, row), kind] or "") for kind in kinds))
    OUT.print(table)
    recipes = [cell.settings["data"].get("walkers") for cell in status.to_do]
    for place in dict.fromkeys(folder.drawn(recipe) for recipe in recipes if recipe is not None):
        say(f"{place}: {'is there' if place.exists() else 'to be drawn'}")
    for reason in dict.fromkeys(f"{cell.row}: {cell.missing}" for cell in status.missing):
        say(reason)
    for name, differing in status.differences.items():
        listed = "; ".join(f"{key} was {was!r}, now {now!r}" for key, (was, now) in differing.items())
        say(f"{name}: {listed}")
