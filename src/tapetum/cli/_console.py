"""Where the command line meets the terminal: consoles, progress bars, and errors turned into exit codes."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tapetum.errors import TapetumError

OUT = Console()
ERR = Console(stderr=True)

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_EXPECTED = (TapetumError, ValueError, OSError, ImportError, FloatingPointError)
"""Errors whose message is written for the user; anything else is a defect and keeps its traceback."""


def start_logging(verbose: bool) -> None:
    """Send the package's log records to stderr: warnings, or everything when `verbose`."""
    handler = RichHandler(console=ERR, show_time=False, show_path=False, markup=False)
    root = logging.getLogger("tapetum")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if verbose else logging.WARNING)


def run_app(app: typer.Typer, arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; expected errors become one line on stderr."""
    command = typer.main.get_command(app)
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        # not command.main, which swallows the message of a KeyboardInterrupt
        with command.make_context("tapetum", given) as context:
            command.invoke(context)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted", EXIT_INTERRUPTED)
    except _EXPECTED as error:
        return _fail(_message(error), EXIT_ERROR)
    except Exception as error:
        return _library_error(error)
    return 0


def _library_error(error: Exception) -> int:
    """Exit code for what the command-line library raises itself; everything else goes on as it is."""
    if isinstance(error, click.ClickException) or hasattr(error, "format_message"):
        code, message = getattr(error, "exit_code", EXIT_USAGE), error.format_message()
        return _fail(message, code) if message else code  # none where the help was shown
    if type(error).__name__ == "Abort":
        return _fail("interrupted", EXIT_INTERRUPTED)
    if type(error).__name__ == "Exit":
        return int(getattr(error, "exit_code", 0))
    raise error


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _fail(message: str, code: int) -> int:
    ERR.print(Text.assemble(("error:", "bold red"), " ", message), soft_wrap=True)
    return code


def say(text: str) -> None:
    """Print a line of results on stdout, letter by letter: no markup in it, and never folded."""
    OUT.print(Text(text), soft_wrap=True)


def note(text: str) -> None:
    """Print a line about the work on stderr, letter by letter."""
    ERR.print(Text(text), soft_wrap=True)


def check_place(file: Path | None) -> None:
    """Refuse a file for results that could not be written, before the work for them is done.

    Raises:
        FileNotFoundError: Its folder does not exist.
        IsADirectoryError: It is a folder.
    """
    if file is not None and not file.parent.is_dir():
        raise FileNotFoundError(f"{file}: its folder does not exist")
    if file is not None and file.is_dir():
        raise IsADirectoryError(f"{file}: is a folder; expected a file")


def print_json(content: Any) -> None:
    """Print `content` as JSON on stdout, plain, for programs to read."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal; yields a function that takes (done, total)."""
    if not ERR.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
