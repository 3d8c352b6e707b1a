"""`tapetum bench`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from tapetum.cli._console import ERR, OUT, check_place, note, say
from tapetum.cli._devices import Device
from tapetum.files import replace_text

if TYPE_CHECKING:
    from tapetum.benchmarking import Result


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(bench)


def bench(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            help="machine, training, pretraining, extraction, reading, metrics, reranking, search, text, "
            "rates; default: all.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller work, fewer rounds.")] = False,
    threads: Annotated[
        int, typer.Option(min=0, help="Of the processor; 0: one for each that may be used.")
    ] = 0,
    device: Device = "cpu",
    out: Annotated[Path, typer.Option(help="Folder for results; what is there is kept.")] = Path("bench-out"),
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="A size, a.b=VALUE; may be repeated.")
    ] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Measure again what is there.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table to this file.")] = None,
    html: Annotated[bool, typer.Option("--html", help="Write a page, OUT/bench.html.")] = False,
) -> None:
    """Measure the machine, then each stage against it; what is finished is not measured again."""
    from tapetum.benchmarking import choose_config, run_bench, table_json, write_page, write_table
    from tapetum.config import parse_overrides

    check_place(json_file)
    config = choose_config(parse_overrides(changes or []), quick=quick, device=device, threads=threads)
    with _Progress() as progress:
        results = run_bench(config, stages or [], out, progress, redo=redo)
    _show(results)
    say(str(write_table(out / "table.md", results)))
    if html:
        say(str(write_page(out / "bench.html", results)))
    if json_file is not None:
        say(str(replace_text(json_file, json.dumps(table_json(results), indent=1) + "\n")))


def _show(results: Sequence[Result]) -> None:
    """The table on stdout; further figures stand in the files."""
    from tapetum.benchmarking.table import COLUMNS, by_stage, cells, machine_lines

    for line in machine_lines(results):
        say(line)
    for stage, found in by_stage(results).items():
        _, *titles = COLUMNS
        columns = [Column(stage, overflow="fold"), *(Column(name, justify="right") for name in titles)]
        table = Table(*columns, box=None)
        for result, row in found:
            what, *others = cells(row)
            table.add_row(f"{result.part}: {what}", *others)
        OUT.print(table)


class _Progress:
    """A line for each part, with those at work shown on a terminal."""

    def __init__(self) -> None:
        self._parts = self._done = 0
        self._status = ERR.status("") if ERR.is_terminal else None

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def plan(self, parts: int, kept: int) -> None:
        """Keep how many there are."""
        self._parts, self._done = parts, kept
        if kept:
            note(f"{kept} of {parts} parts are measured already (--redo measures them again)")

    def begin(self, stage: str, part: str) -> None:
        """Show what is measured."""
        if self._status is not None:
            self._status.update(f"{self._done + 1}/{self._parts} {stage}, {part}")

    def end(self, result: Result) -> None:
        """Say that it is measured."""
        self._done += 1
        note(f"{self._done}/{self._parts} {result.stage}, {result.part}: {result.seconds:.1f} s")

    def skip(self, stage: str, part: str, reason: str) -> None:
        """Say that it cannot be measured, and why."""
        self._done += 1
        note(f"{self._done}/{self._parts} {stage}, {part}: not measured: {reason}")
