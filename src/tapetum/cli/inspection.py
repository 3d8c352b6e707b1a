"""`tapetum doctor`: look a data set over before hours of work depend on it."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from tapetum.cli._console import OUT, note, print_json, progress_bar, say
from tapetum.data import DataSet, ManifestError, examine, read_dataset
from tapetum.data.examination import Examination, Severity
from tapetum.errors import DataError

_SHOWN = 10
"""Items of a warning or remark that are printed; JSON has all."""


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(doctor)


def doctor(
    data: Annotated[str, typer.Argument(help="FORMAT:ROOT")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all items included.")] = False,
    no_decode: Annotated[bool, typer.Option("--no-decode", help="Decode no pictures: faster.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings, too.")] = False,
    threads: Annotated[int | None, typer.Option(help="Files at a time; default: one per core.")] = None,
) -> None:
    """Look a data set over: counts, oddities, people, cameras, and every picture.

    Exits with 1 where frames are missing or cannot be read, or where the data set cannot be read at all.
    """
    try:
        found = read_dataset(data)
    except (DataError, FileNotFoundError) as error:
        _refuse(error, as_json)
        raise typer.Exit(1) from None
    with progress_bar("tracklets") as progress:
        seen = examine(found, decode=not no_decode, threads=threads or os.cpu_count() or 1, progress=progress)
    well = seen.is_well(strict=strict)
    if as_json:
        print_json({"ok": well, "strict": strict, **seen.to_json()})
    else:
        _print(found, seen)
    if not well:
        raise typer.Exit(1)


def _refuse(error: DataError | FileNotFoundError, as_json: bool) -> None:
    """Say why the data set cannot be read: all bad rows, where it was rows.

    Raises:
        DataError: To be told as any error.
        FileNotFoundError: The same.
    """
    problems = error.problems if isinstance(error, ManifestError) else (str(error),)
    if as_json:
        print_json({"ok": False, "errors": list(problems)})
    elif isinstance(error, ManifestError):
        for problem in problems:
            note(problem)
        say(f"{len(problems)} problem(s) with rows; nothing else was looked at")
    else:
        raise error


def _print(data: DataSet, seen: Examination) -> None:
    _print_sizes(data, seen)
    told = {problem.path for problem in seen.problems}
    for finding in seen.findings:
        items = [item for item in finding.items if item not in told]
        shown = len(items) if finding.severity is Severity.ERROR else _SHOWN
        say(f"- {'' if finding.severity is Severity.REMARK else f'{finding.severity}: '}{finding.text}")
        for item in items[:shown]:
            say(f"    {item}")
        if len(items) > shown:
            say(f"    and {len(items) - shown} more (--json lists all)")
    for problem in seen.problems:
        note(str(problem))
    if seen.problems:
        say(f"{len(seen.problems)} problem(s) with frames")
    else:
        say("all frames can be read" if seen.decoded else "all frames are there; they were not decoded")


def _print_sizes(data: DataSet, seen: Examination) -> None:
    """Parts, published counts and cameras."""
    sizes = seen.to_json()
    for part in ("train", "query", "gallery"):
        numbers = (f"{sizes[what][part]} {what}" for what in ("tracklets", "frames", "people"))
        say(f"{part}: {', '.join(numbers)}")
    if data.counts:
        table = Table("count", "expected", "found", box=None)
        for count in data.counts:
            table.add_row(Text(count.what), str(count.expected), str(count.found))
        OUT.print(table)
    table = Table("camera", "modality", "people", "train", "query", "gallery", "frames", box=None)
    for row in seen.cameras:
        camera = Text("unknown" if row.camera is None else str(row.camera))
        columns = (row.people, row.train, row.query, row.gallery, row.frames)
        table.add_row(camera, row.modality, *map(str, columns))
    OUT.print(table)
