"""`tapetum compare`: rows of methods on data sets, several seeds, one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tapetum.cli._console import note, progress_bar, say
from tapetum.training import Silent, TrainingProgress


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(compare)


def compare(
    plan: Annotated[Path, typer.Argument(help="YAML file: data sets, rows, seeds, training.")],
    out: Annotated[Path, typer.Option(help="Folder for results; a comparison in it goes on.")],
    only: Annotated[list[str] | None, typer.Option(help="A row to work on; may be repeated.")] = None,
    data_folder: Annotated[
        Path | None, typer.Option("--data", help="Folder for drawn data sets; default: in OUT.")
    ] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Make cells of other settings anew.")] = False,
    keep_runs: Annotated[bool, typer.Option("--keep-runs", help="Keep the trained models.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
) -> None:
    """Train and score every row of a plan on its data sets; what is finished is not repeated."""
    from tapetum.comparison.cells import plan_cells
    from tapetum.comparison.folder import ComparisonFolder
    from tapetum.comparison.plan import read_plan
    from tapetum.comparison.run import draw, look, refuse_changed, work_alone

    chosen = read_plan(plan)
    cells = plan_cells(chosen, only or ())
    folder = ComparisonFolder(out, data_folder or out / "data")
    status = look(cells, folder)
    say(
        f"{len(cells)} cells: {len(status.finished)} finished, {len(status.open)} to do, "
        f"{len(status.missing)} missing"
    )
    if dry_run:
        return
    if not redo:
        refuse_changed(status, folder)
    show = _Lines(len(status.open))
    draw(status.open, folder, show, 2)
    work_alone(status.open, folder, show, keep_runs=keep_runs)
    if show.failed:
        raise typer.Exit(1)


class _Lines:
    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed = total, 0, 0

    bar = staticmethod(progress_bar)

    def begin(self, cell: Any) -> TrainingProgress:
        return Silent()

    def end(self, cell: Any, result: Mapping[str, Any]) -> None:
        self.done += 1
        if result["status"] == "failed":
            self.failed += 1
            note(f"{self.done}/{self.total} {cell.name}: failed: {result['error']}")
            return
        scores = ", ".join(f"{s['direction']} mAP {100 * s['map']:.1f}" for s in result["scores"])
        training = result["training"]
        note(
            f"{self.done}/{self.total} {cell.name}: {scores}; {training['steps']} steps, "
            f"{training['seconds'] or 0:.0f} s, CPU {training['cpu_seconds'] or 0:.0f} s"
        )

    def note(self, text: str) -> None:
        note(text)
