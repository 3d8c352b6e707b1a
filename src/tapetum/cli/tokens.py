"""`tapetum token`: who may use a service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from tapetum.cli._console import OUT, note, print_json, say
from tapetum.server.tokens import TokenFile
from tapetum.server.users import Role

TokensOption = Annotated[Path, typer.Option(help="File of tokens; made with the first.")]

_DEFAULT = Path("tokens.json")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    commands = typer.Typer(help="Who may use a service, and as what.", no_args_is_help=True)
    commands.command()(create)
    commands.command("list")(list_tokens)
    commands.command()(revoke)
    app.add_typer(commands, name="token")


def create(
    name: Annotated[str, typer.Argument(help="Whose it is; the audit log names them.")],
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.VIEWER,
    tokens: TokensOption = _DEFAULT,
    days: Annotated[float | None, typer.Option(min=0, help="Days that it works; default: for ever.")] = None,
) -> None:
    """Make a token and print it; it is shown only now, the file keeps a digest."""
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    secret = TokenFile(tokens).create(name, role, expires)
    note(f"{tokens}: token for {name!r} as {role.value}; keep it safe, it is not shown again")
    say(secret)


def list_tokens(
    tokens: TokensOption = _DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List names and roles, not the tokens themselves."""
    found = _existing(tokens).tokens()
    if as_json:
        rows = [
            {"name": t.name, "role": t.role.value, "created": t.created, "expires": t.expires} for t in found
        ]
        print_json(rows)
        return
    table = Table("name", "role", "created", "expires", box=None)
    now = datetime.now(UTC)
    for token in found:
        until = "never" if token.expires is None else token.expires
        ends = until if token.is_valid(now) else f"{until} (expired)"
        table.add_row(*(Text(cell) for cell in (token.name, token.role.value, token.created, ends)))
    OUT.print(table)


def revoke(
    name: Annotated[str, typer.Argument(help="Whose token.")],
    tokens: TokensOption = _DEFAULT,
) -> None:
    """Take a token's rights away; a running service notices at once."""
    try:
        _existing(tokens).revoke(name)
    except KeyError as error:
        raise ValueError(str(error.args[0])) from None
    say(f"{tokens}: the token of {name!r} is revoked")


def _existing(path: Path) -> TokenFile:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `tapetum token create` makes it")
    return TokenFile(path)
