"""`tapetum synth`: make a data set of walkers."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli._console import progress_bar, say
from tapetum.data.synthetic import WalkerOptions, write_hitsz_vcm


class Format(StrEnum):
    """On-disk formats that walkers can be written in."""

    HITSZ_VCM = "hitsz-vcm"


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
    format_: Annotated[Format, typer.Option("--format", help="On-disk format.")] = Format.HITSZ_VCM,
    identities: Annotated[int, typer.Option(help="People in all, training and test.")] = 60,
    test_identities: Annotated[int | None, typer.Option(help="Test people; default: a third.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything; the same seed gives the same bytes.")] = 0,
    cues: Annotated[CueKind, typer.Option(help="What tells people apart.")] = CueKind.APPEARANCE,
    group_size: Annotated[int | None, typer.Option(help="With --cues gait: people per look.")] = None,
    difficulty: Annotated[str, typer.Option(help="easy, medium, hard, or a number 0..1.")] = "medium",
    frame_size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "96x48",
    tracklet_length: Annotated[str, typer.Option(help="SHORTEST-LONGEST in frames.")] = "12-24",
    tracklets: Annotated[str, typer.Option(help="FEWEST-MOST per person and modality.")] = "2-3",
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
) -> None:
    """Write a data set of synthetic walkers: rendered people, seen by visible and infrared cameras."""
    options = WalkerOptions(
        difficulty=parse_level(difficulty),
        cues=cues.value,
        frame_size=_pair(frame_size, "x", "--frame-size"),
        tracklet_length=_pair(tracklet_length, "-", "--tracklet-length"),
        tracklets_per_modality=_pair(tracklets, "-", "--tracklets"),
        group_size=group_size,
    )
    with progress_bar("tracklets") as progress:
        written = write_hitsz_vcm(
            out,
            identities=identities,
            seed=seed,
            options=options,
            test_identities=test_identities,
            workers=workers or os.cpu_count() or 1,
            progress=progress,
        )
    say(
        f"{format_.value}:{out}: {written.train_identities} training and {written.test_identities} "
        f"test people, {written.tracklets} tracklets, {written.frames} frames"
    )


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
