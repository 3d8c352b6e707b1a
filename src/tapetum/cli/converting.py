"""`tapetum convert`: weights of others as models of this package."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli._console import check_place, note, say
from tapetum.types import Id


class Source(StrEnum):
    """Code that weights can come from."""

    X_REID_RELEASED = "x-reid-released"


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(convert)


def convert(
    source: Annotated[Source, typer.Argument(metavar="FROM", help="Whose file it is: x-reid-released.")],
    file: Annotated[Path, typer.Argument(help="The weight file, as its code saved it.")],
    out: Annotated[Path, typer.Argument(help="Model file to write, such as x-reid.safetensors.")],
    trained_on: Annotated[
        str | None, typer.Option(help="hitsz-vcm or bupt-campus; default: by the counts in the file.")
    ] = None,
    cameras: Annotated[
        str | None, typer.Option(help="Cameras of the rows of its table, in order: 1,2,5.")
    ] = None,
    height: Annotated[int, typer.Option(help="Of the frames it was trained with, in pixels.")] = 288,
    width: Annotated[int, typer.Option(help="The same across.")] = 144,
    frames: Annotated[int, typer.Option(help="Frames of a test clip.")] = 10,
) -> None:
    """Turn weights of a method's released code into a model that every other command takes.

    x-reid-released: a state dict of X-ReID's code; embeddings are its first test feature.
    """
    from tapetum.methods._x_reid_released import convert_released

    check_place(out)
    found = convert_released(
        file,
        out,
        trained_on=trained_on,
        camera_ids=None if cameras is None else [_as_id(text) for text in cameras.split(",")],
        image_size=(height, width),
        frames=frames,
    )
    note(f"not used by the test feature: {', '.join(found.unused) or 'nothing'}")
    say(
        f"{out}: {found.num_identities} identities, cameras {', '.join(map(str, found.camera_ids))}; "
        f"model {found.fingerprint}"
    )


def _as_id(text: str) -> Id:
    """A camera as data sets name it: a number where it is written as one."""
    name = text.strip()
    return int(name) if name.isdecimal() else name
