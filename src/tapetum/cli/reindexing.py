"""`tapetum reindex`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapetum.cli._console import note, progress_bar, say
from tapetum.cli._devices import Device
from tapetum.cli._encoding import BatchSize
from tapetum.cli._sources import SplitOption

if TYPE_CHECKING:
    from tapetum.ingest import ClipEncoder
    from tapetum.types import Embeddings, Tracklet, TrackletSet

_SHOWN = 20
"""Tracklets that are listed where they cannot be read."""


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(reindex)


def reindex(
    gallery: Annotated[str, typer.Argument(help="A folder, or another address of a gallery.")],
    model: Annotated[Path, typer.Option(help="Run to move to: its folder, or a model file.")],
    data: Annotated[
        str | None, typer.Option(help="FORMAT:ROOT that has the frames, where their paths have changed.")
    ] = None,
    split: SplitOption = "test",
    leave_out_unreadable: Annotated[
        bool, typer.Option("--leave-out-unreadable", help="Drop tracklets whose pictures are gone.")
    ] = False,
    batch_size: BatchSize = 32,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read pictures.")] = 2,
    device: Device = "cpu",
    at_once: Annotated[int, typer.Option(min=1, help="Tracklets that are kept at a time.")] = 512,
) -> None:
    """Move a gallery to another model; it can be searched meanwhile, and changes over at once in the end.

    Run it again after it was cut off: it goes on from where it was.
    """
    from tapetum.ingest import MethodEncoder
    from tapetum.model import load
    from tapetum.search import Gallery
    from tapetum.search.reindexing import reindex as move

    place = Gallery.open(gallery, create=False)
    encoder = MethodEncoder(load(model, device=device))
    embed = partial(
        _embed, encoder=encoder, frames=_frames(data, split), batch_size=batch_size, threads=workers
    )
    with progress_bar("tracklets") as progress:
        moved = move(
            place,
            encoder.fingerprint,
            embed,
            leave_out=leave_out_unreadable,
            at_once=at_once,
            progress=progress,
        )
    for name, reason in list(moved.left_out.items())[:_SHOWN]:
        note(f"left out: {name}: {reason}")
    if len(moved.left_out) > _SHOWN:
        note(f"and {len(moved.left_out) - _SHOWN} more")
    info = place.info()
    say(f"{gallery}: {info.count} tracklets, now of model {info.model}; {len(moved.left_out)} left out")
    place.optimise()
    place.close()


def _frames(data: str | None, split: str) -> Mapping[str, Tracklet]:
    """The tracklets of a data set by identifier; none where no data set is given."""
    if data is None:
        return {}
    from tapetum.data.datasets import read_dataset

    return {t.tracklet_id: t for t in read_dataset(data).split(split)}


def _embed(
    tracklets: TrackletSet,
    encoder: ClipEncoder,
    frames: Mapping[str, Tracklet],
    batch_size: int,
    threads: int,
) -> tuple[Embeddings, Mapping[str, str]]:
    """Embeddings of tracklets as the gallery names them, read from where their frames are now."""
    from tapetum.ingest.reembedding import embed_again
    from tapetum.types import TrackletSet

    known = (frames.get(t.tracklet_id, t) for t in tracklets)
    placed = tuple(replace(t, frames=k.frames) for t, k in zip(tracklets, known, strict=True))
    found, reasons = embed_again(
        TrackletSet(tracklets.name, placed), encoder, batch_size=batch_size, threads=threads
    )
    named = {t.tracklet_id: t for t in tracklets}
    rows = tuple(named[t.tracklet_id] for t in found.tracklets)
    return replace(found, tracklets=TrackletSet(tracklets.name, rows)), reasons
