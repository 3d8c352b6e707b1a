"""`tapetum synth`: make a data set of walkers."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tapetum.cli._console import progress_bar, say
from tapetum.data.synthetic import FORMATS, WalkerOptions, WrittenSet, write_walkers

Format = StrEnum("Format", {name: name for name in FORMATS})  # type: ignore[misc]
"""On-disk formats that walkers can be written in."""


class CueKind(StrEnum):
    """What tells people apart."""

    APPEARANCE = "appearance"
    SHAPE = "shape"
    GAIT = "gait"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(synth)


def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist or be empty.")],
    format_: Annotated[Format, typer.Option("--format", help="On-disk format.")] = Format("hitsz-vcm"),
    identities: Annotated[int, typer.Option(help="People in all, training and test.")] = 60,
    test_identities: Annotated[
        int | None, typer.Option(help="Test people; default: a third, or as many as the format needs.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything; the same seed gives the same bytes.")] = 0,
    cues: Annotated[CueKind, typer.Option(help="What tells people apart.")] = CueKind.APPEARANCE,
    group_size: Annotated[int | None, typer.Option(help="With --cues gait: people per look.")] = None,
    difficulty: Annotated[str, typer.Option(help="easy, medium, hard, or a number 0..1.")] = "medium",
    frame_size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "96x48",
    tracklet_length: Annotated[
        str | None, typer.Option(help="Formats of tracklets: SHORTEST-LONGEST in frames; default: 12-24.")
    ] = None,
    tracklets: Annotated[
        str | None,
        typer.Option(help="Formats of tracklets: FEWEST-MOST per person and modality; default: 2-3."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="sysu-mm01 and llcm: FEWEST-MOST per person, camera and modality; default: 10-16 and 2-6."
        ),
    ] = None,
    lmdb: Annotated[bool, typer.Option("--lmdb", help="bupt-campus: add its LMDB packaging.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
) -> None:
    """Write a data set of synthetic walkers: rendered people, seen by visible and infrared cameras."""
    pairs = {
        "tracklet_length": (tracklet_length, "--tracklet-length"),
        "tracklets_per_modality": (tracklets, "--tracklets"),
        "images_per_camera": (images, "--images"),
    }
    given: dict[str, Any] = {
        name: _pair(text, "-", option) for name, (text, option) in pairs.items() if text is not None
    }
    if group_size is not None:
        given["group_size"] = group_size
    chosen = FORMATS[format_.value]
    chosen.refuse(given)
    options = WalkerOptions(
        difficulty=parse_level(difficulty),
        cues=cues.value,
        frame_size=_pair(frame_size, "x", "--frame-size"),
        **given,
    )
    with progress_bar(chosen.holds) as progress:
        written = write_walkers(
            out,
            chosen.name,
            identities=identities,
            seed=seed,
            options=options,
            test_identities=test_identities,
            workers=workers or os.cpu_count() or 1,
            lmdb=lmdb,
            progress=progress,
        )
    say(f"{chosen.name}:{out}: {_people(written)}, {_pictures(written, chosen.holds)}")


def _people(written: WrittenSet) -> str:
    people = f"{written.train_identities} training and {written.test_identities} test people"
    return f"{people}, {written.auxiliary_identities} auxiliary" if written.auxiliary_identities else people


def _pictures(written: WrittenSet, holds: str) -> str:
    if holds == "images":
        return f"{written.frames} images"
    return f"{written.tracklets} tracklets, {written.frames} frames"


def parse_level(text: str) -> float | str:
    """A difficulty as a number, or as the word it is."""
    try:
        return float(text)
    except ValueError:
        return text


def _pair(text: str, separator: str, option: str) -> tuple[int, int]:
    first, _, second = text.partition(separator)
    try:
        return int(first), int(second)
    except ValueError:
        raise ValueError(f"{option} is {text!r}; expected two whole numbers as in 12{separator}24") from None
