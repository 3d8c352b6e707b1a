"""`tapetum methods | datasets | protocols`: what can be named."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tapetum.cli._console import OUT, print_json
from tapetum.data.datasets import dataset_names
from tapetum.evaluation.protocols import create_protocol, protocol_names

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(methods)
    app.command()(datasets)
    app.command()(protocols)


def methods(as_json: AsJson = False) -> None:
    """List the methods that can be trained or encoded with."""
    from tapetum.methods import method_names

    _print("methods", _abouts("tapetum.methods", method_names()), as_json)


def datasets(as_json: AsJson = False) -> None:
    """List the data set formats that can be read."""
    _print("data sets", _abouts("tapetum.data.datasets", dataset_names()), as_json)


def protocols(as_json: AsJson = False) -> None:
    """List the evaluation protocols, every variant by its name."""
    _print("protocols", {name: create_protocol(name).about for name in protocol_names()}, as_json)


def _print(title: str, abouts: Mapping[str, str], as_json: bool) -> None:
    rows = [{"name": name, "about": about} for name, about in abouts.items()]
    if as_json:
        print_json(rows)
        return
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    for row in rows:
        table.add_row(f"[bold]{row['name']}[/]", row["about"])
    OUT.print(table)


def _abouts(package: str, names: list[str]) -> dict[str, str]:
    return {name: _about(package, name) for name in names}


def _about(package: str, name: str) -> str:
    """First sentence of the entry's module docstring, read without importing the module."""
    spec = importlib.util.find_spec(f"{package}.{name.replace('-', '_')}")
    if spec is None or spec.origin is None:
        return ""
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")
