"""`tapetum encode`: embeddings of loose pictures and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli._console import progress_bar, say
from tapetum.cli._devices import Device
from tapetum.cli._encoding import BatchSize, Flip
from tapetum.cli._sources import RunArgument


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(encode)


def encode(
    run: RunArgument,
    paths: Annotated[list[Path], typer.Argument(help="Image files, or folders of one tracklet's frames.")],
    out: Annotated[Path, typer.Option(help="Folder for the embeddings.")],
    modality: Annotated[
        str | None, typer.Option(help="visible or infrared; default: by their colour.")
    ] = None,
    flip: Flip = False,
    batch_size: BatchSize = 32,
    device: Device = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace embeddings in OUT.")] = False,
) -> None:
    """Write the embeddings of pictures, in the order in which they are named, a row each."""
    from tapetum.clip_encoding import as_tracklets
    from tapetum.embedding_files import refuse_to_replace, save_embeddings
    from tapetum.model import load

    refuse_to_replace(out, overwrite)
    model = load(run, device=device)
    tracklets = as_tracklets(paths, modality)
    with progress_bar("tracklets") as progress:
        embeddings = model.embed(tracklets, batch_size=batch_size, flip=flip, progress=progress)
    save_embeddings(embeddings, out, method=model.name, overwrite=overwrite)
    say(f"{out}: {len(embeddings)} embeddings of {embeddings.vectors.shape[1]} dimensions")
