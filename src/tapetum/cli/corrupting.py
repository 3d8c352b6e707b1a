"""`tapetum corruptions`: what can go wrong with pictures, as a list or on a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from tapetum.cli._console import OUT, check_place, print_json, say
from tapetum.cli.listing import AsJson
from tapetum.data.datasets import DataSpec, read_dataset
from tapetum.files import replace_file

if TYPE_CHECKING:
    from tapetum.data.corruptions import Corruption

_SHEET_SIZE = (288, 144)
_SHEET_QUALITY = 85


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(corruptions)


def corruptions(
    data: Annotated[str | None, typer.Option(help="FORMAT:ROOT, to show frames of.")] = None,
    picture: Annotated[Path | None, typer.Option(help="JPEG file for a sheet of all corruptions.")] = None,
    severity: Annotated[int, typer.Option(help="Of the sheet.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the sheet.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the corruptions that `evaluate --corrupt` knows, or draw them on frames of a data set."""
    from tapetum.data.corruptions import CORRUPTIONS

    if (data is None) != (picture is None):
        raise ValueError("a sheet needs both --data FORMAT:ROOT and --picture FILE")
    if data is not None and picture is not None:
        _draw_sheet(data, picture, severity, seed)
    elif as_json:
        print_json([_described(corruption) for corruption in CORRUPTIONS])
    else:
        OUT.print(_listed(CORRUPTIONS))


def _draw_sheet(data: str, picture: Path, severity: int, seed: int) -> None:
    from tapetum.data.corruptions import CORRUPTIONS
    from tapetum.report.corruption_examples import ExampleFrames, draw_sheet

    check_place(picture)
    DataSpec.parse(data)
    frames = ExampleFrames(read_dataset(data).test, *_SHEET_SIZE, seed=seed)
    sheet = draw_sheet(frames, CORRUPTIONS, severity)
    replace_file(picture, lambda place: sheet.save(place, "JPEG", quality=_SHEET_QUALITY, optimize=True))
    say(f"{picture}: {len(CORRUPTIONS)} corruptions at severity {severity}")


def _listed(found: tuple[Corruption, ...]) -> Table:
    table = Table("corruption", "of", "what happens", title="corruptions", title_justify="left", box=None)
    for row in map(_described, found):
        table.add_row(f"[bold]{row['name']}[/]", " ".join(row["modalities"]), row["about"])
    return table


def _described(corruption: Corruption) -> dict[str, Any]:
    return {
        "name": corruption.name,
        "family": corruption.family,
        "about": corruption.about,
        "modalities": sorted((modality.value for modality in corruption.modalities), reverse=True),
        "strength": corruption.strength,
        "levels": list(corruption.levels),
    }
