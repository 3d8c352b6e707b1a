"""`tapetum audit`: the log of who searched whom, when and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from tapetum.cli._console import OUT, note, print_json, say
from tapetum.server.audit import records_before, verify

LogArgument = Annotated[Path, typer.Argument(help="File of `tapetum serve --audit`.")]

_PAGE = 1000
_SHOWN_IDS = 3


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    commands = typer.Typer(help="The log of who searched whom, when and why.", no_args_is_help=True)
    commands.command("verify")(verify_log)
    commands.command()(show)
    app.add_typer(commands, name="audit")


def verify_log(
    log: LogArgument,
    holds: Annotated[
        str | None, typer.Option(help="Digest that was noted earlier: its line must still be there.")
    ] = None,
) -> None:
    """Look for lines that were edited, removed or cut off; exit code 1 where there are any."""
    found = verify(log, holds=holds)
    for remark in found.notes:
        note(remark)
    for fault in found.faults:
        say(fault)
    if found.faults:
        raise typer.Exit(1)
    say(f"{log}: {found.lines} lines, each as it was written; the last one's digest is {found.digest}")


def show(
    log: LogArgument,
    last: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 50,
    user: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, such as search or erase.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with everything.")] = False,
) -> None:
    """Show the newest records, oldest first."""
    if not log.is_file():
        raise FileNotFoundError(f"{log}: no such file")
    wished = {name: value for name, value in (("user", user), ("action", action)) if value is not None}
    found = list(_newest(log, last, wished))[::-1]
    if as_json:
        print_json(found)
        return
    table = Table("time", "user", "action", "what", "reason", box=None)
    for record in found:
        cells = (
            record.get("time"),
            record.get("user"),
            record.get("action"),
            _what(record),
            record.get("reason"),
        )
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells))
    OUT.print(table)


def _newest(log: Path, count: int, wished: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Records with the wished values, newest first."""
    end: int | None = None
    while True:
        records, end = records_before(log, end, _PAGE)
        for record in records:
            if all(record.get(name) == value for name, value in wished.items()):
                yield record
                count -= 1
                if not count:
                    return
        if end is None:
            return


def _what(record: dict[str, Any]) -> str:
    """What a record is about, in a few words."""
    words = []
    if record.get("item_id"):
        words.append(f"by {record['item_id']}")
    if record.get("pictures"):
        words.append(f"by {len(record['pictures'])} pictures")
    if record.get("persons"):
        words.append(f"people {', '.join(record['persons'][:_SHOWN_IDS])}")
    if record.get("filters"):
        words.append(json.dumps(record["filters"]))
    ids = record.get("ids") or []
    if ids:
        more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
        words.append("-> " + ", ".join(ids[:_SHOWN_IDS]) + more)
    return " ".join(words)
