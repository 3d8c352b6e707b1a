"""`tapetum doctor`: look a data set over before hours of work depend on it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from tapetum.cli._console import OUT, note, print_json, progress_bar, say
from tapetum.data.checking import check_files
from tapetum.data.datasets import read_dataset


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(doctor)


def doctor(
    data: Annotated[str, typer.Argument(help="FORMAT:ROOT")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look a data set over: counts expected and found, oddities, missing and unreadable frames.

    Exits with 1 where frames are missing or cannot be read.
    """
    found = read_dataset(data)
    with progress_bar("frames") as progress:
        problems = [str(problem) for problem in check_files(found, progress=progress)]
    parts = {part: len(found.split(part)) for part in ("train", "query", "gallery")}
    counts = [{"what": c.what, "expected": c.expected, "found": c.found} for c in found.counts]
    if as_json:
        print_json({"tracklets": parts, "counts": counts, "notes": found.notes, "problems": problems})
    else:
        _print_findings(parts, counts, found.notes)
        for problem in problems:
            note(problem)
        say(f"{len(problems)} problem(s) with frames" if problems else "all frames can be read")
    if problems:
        raise typer.Exit(1)


def _print_findings(parts: dict[str, int], counts: list[dict[str, object]], notes: tuple[str, ...]) -> None:
    say(", ".join(f"{part}: {number} tracklets" for part, number in parts.items()))
    if counts:
        table = Table("count", "expected", "found", box=None)
        for count in counts:
            table.add_row(*(str(count[key]) for key in ("what", "expected", "found")))
        OUT.print(table)
    for oddity in notes:
        say(f"- {oddity}")
