"""The application: commands register themselves from the modules of this package."""

from __future__ import annotations

from typing import Annotated

import typer

from tapetum.cli import (
    _console,
    auditing,
    benchmarks,
    comparing,
    converting,
    corrupting,
    diagnosing,
    encoding,
    exporting,
    extraction,
    gallery_summary,
    indexing,
    inspection,
    listing,
    manifests,
    planning,
    purging,
    reindexing,
    scoring,
    searching,
    serving,
    synthesis,
    tokens,
    training,
)
from tapetum.cli import demonstration as demonstration_commands

app = typer.Typer(
    name="tapetum",
    help="Visible-infrared person re-identification: train, score, and search across day and night.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is being done.")] = False,
) -> None:
    _console.start_logging(verbose)


for _commands in (
    listing,
    synthesis,
    inspection,
    manifests,
    training,
    converting,
    exporting,
    scoring,
    encoding,
    extraction,
    planning,
    corrupting,
    diagnosing,
    indexing,
    reindexing,
    searching,
    serving,
    tokens,
    auditing,
    gallery_summary,
    purging,
    demonstration_commands,
    comparing,
    benchmarks,
):
    _commands.register(app)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns its exit code: 0, 1 (error), 2 (wrong usage), 130 (interrupted)."""
    return _console.run_app(app, arguments)
