"""`tapetum demo`: everything once, in minutes, on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from tapetum.cli._console import ERR, OUT, check_place, note, progress_bar, say
from tapetum.cli.synthesis import CueKind
from tapetum.files import replace_text

if TYPE_CHECKING:
    from tapetum.evaluation.scores.metrics import Scores


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything; must not exist or be empty.")] = Path(
        "demo-out"
    ),
    minutes: Annotated[float, typer.Option(help="Training time of each learnt row.")] = 2.5,
    compare: Annotated[bool, typer.Option("--compare", help="Train the rivals for the same time.")] = False,
    cues: Annotated[CueKind, typer.Option(help="What tells the walkers apart.")] = CueKind.APPEARANCE,
    difficulty: Annotated[str, typer.Option(help="easy, medium, hard, or a number 0..1.")] = "medium",
    identities: Annotated[int, typer.Option(help="Training people.")] = 300,
    test_identities: Annotated[int, typer.Option(help="Test people.")] = 60,
    seed: Annotated[int, typer.Option(help="Of data and training.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the table to this file too.")
    ] = None,
) -> None:
    """Draw walkers, train LSMRL, score it both ways, search, and write a report with pictures."""
    from tapetum.cli.synthesis import parse_level
    from tapetum.demo import DemoPlan, run_demo
    from tapetum.demo.plan import METHOD
    from tapetum.training import ProgressBar

    check_place(json_file)
    plan = DemoPlan(
        out=free_folder(out),
        minutes=minutes,
        compare=compare,
        cues=cues.value,
        difficulty=parse_level(difficulty),
        train_identities=identities,
        test_identities=test_identities,
        seed=seed,
        workers=os.cpu_count() or 1,
    )
    result = run_demo(plan, bar=progress_bar, training=lambda: ProgressBar(ERR), note=note)
    if json_file is not None:
        replace_text(json_file, result.table.read_text(encoding="utf-8"))
    OUT.print(_table(result.rows))
    say(f"chance is a random order; {', '.join(f'{k} {v:.0f} s' for k, v in result.timings_s.items())}")
    say(f"table:   {result.table}\nreport:  {result.report}\ngallery: {result.gallery}")
    say(f"look at it: tapetum serve --gallery {result.gallery} --model {plan.out / 'runs' / METHOD}")


def free_folder(wanted: Path) -> Path:
    """`wanted`, or where that holds something, the first of wanted-2, wanted-3, ... that does not."""
    number, place = 1, wanted
    while place.exists() and any(place.iterdir()):
        number += 1
        place = wanted.with_name(f"{wanted.name}-{number}")
    return place


def _table(rows: Mapping[str, Mapping[str, Scores]]) -> Table:
    trials = [trial for trial in ("I2V", "V2I") if trial in next(iter(rows.values()))]
    name_column = Column("per cent", no_wrap=True)
    table = Table(name_column, *(f"{t} {c}" for t in trials for c in ("R1", "R5", "mAP", "mINP")), box=None)
    for name, found in rows.items():
        cells = []
        for trial in trials:
            scores = found[trial]
            cells += [scores.rank(1), scores.rank(5), scores.mean_ap, scores.mean_inp]
        table.add_row(name, *(f"{100 * cell:.1f}" for cell in cells))
    return table
