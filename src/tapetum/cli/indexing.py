"""`tapetum index`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tapetum.cli._console import ERR, check_place, note, say
from tapetum.cli._devices import Device
from tapetum.cli._encoding import BatchSize
from tapetum.cli._sources import RunArgument, SplitOption
from tapetum.errors import DataError

if TYPE_CHECKING:
    from tapetum.ingest import IngestReport, Problem

_SHOWN = 20
"""Problems that are listed; all are in the table."""


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(index)


def index(
    run: RunArgument,
    data: Annotated[
        str, typer.Option(help="FORMAT:ROOT, manifest:FILE, crops:FOLDER or video:FILE?tracks=FILE.")
    ],
    gallery: Annotated[str, typer.Option(help="A folder, or another address of a gallery.")],
    split: SplitOption = "test",
    batch_size: BatchSize = 32,
    workers: Annotated[
        int, typer.Option(help="Threads that read pictures; 0: one for each core, at most 4.")
    ] = 0,
    device: Device = "cpu",
    chunk: Annotated[int, typer.Option(help="Tracklets that are stored at a time.")] = 512,
    failures: Annotated[
        Path | None, typer.Option(help="Table of failures; default: in the gallery's folder.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything cannot be read.")] = False,
) -> None:
    """Put tracklets into a gallery; those that are there already, unchanged, are passed over."""
    from tapetum.ingest import MethodEncoder, failures_file, ingest, open_source
    from tapetum.model import load
    from tapetum.search import Gallery
    from tapetum.search.storing import refuse_other_model

    if gallery == "memory:":
        raise ValueError("gallery 'memory:' would end with this command; give a folder")
    check_place(failures)
    place = Gallery.open(gallery)
    model = load(run, device=device)
    refuse_other_model(model.fingerprint, place.info().model)
    source = open_source(data, split=split)
    table = failures or failures_file(place)
    with _live() as progress:
        report = ingest(
            source,
            place,
            MethodEncoder(model),
            failures=table,
            batch_size=batch_size,
            threads=workers,
            chunk=chunk,
            progress=progress,
        )
    _tell(report, table)
    if report.is_in_vain:
        first = f": {report.problems[0].item}: {report.problems[0].reason}" if report.problems else ""
        raise DataError(f"{data}: nothing could be indexed{first}")
    found = report.stored + report.unchanged
    say(f"{gallery}: {report.new} new of {found} tracklets, {place.info().count} in all")
    if strict and report.failed:
        raise DataError(f"{data}: {report.failed} could not be read (--strict)")


def _tell(report: IngestReport, table: Path | None) -> None:
    """List what went wrong, and say how much was there already."""
    if report.unchanged:
        note(f"{report.unchanged} unchanged")
    if not report.problems:
        return
    _list(report.problems)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(report.counts().items()))
    note(f"{counts}; " + (f"all are in {table}" if table else "give --failures FILE to keep the list"))


def _list(problems: Sequence[Problem]) -> None:
    for problem in problems[:_SHOWN]:
        note(f"{problem.kind}: {problem.item}: {problem.reason}")
    if len(problems) > _SHOWN:
        note(f"and {len(problems) - _SHOWN} more")


@contextmanager
def _live() -> Iterator[Callable[[IngestReport], None]]:
    """A line on stderr, where that is a terminal, with what is done, how fast, and what failed."""
    if not ERR.is_terminal:
        yield lambda report: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=ERR) as bar:
        task = bar.add_task("tracklets", total=None, rate="")

        def show(report: IngestReport) -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            rate = f"{report.done / elapsed:.1f}/s" if elapsed > 0 else ""
            failed = f", {report.failed} failed" if report.failed else ""
            total = None if report.total is None else max(report.total, report.done)
            bar.update(task, completed=report.done, total=total, rate=rate + failed)

        yield show
