"""`tapetum synth` and `tapetum doctor`: make a data set of walkers, and look a data set over."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tapetum.cli._console import OUT, note, print_json, progress_bar, say
from tapetum.data.checking import check_files
from tapetum.data.datasets import read_dataset
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
    app.command()(doctor)


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


def doctor(
    data: Annotated[str, typer.Argument(help="FORMAT:ROOT")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look a data set over: counts expected and found, oddities, missing and unreadable frames.

    Exits with 1 where frames are missing or cannot be read.
    """
    found = read_dataset(data)
    with progress_bar("frames") as progress:
        problems = [str(problem) for problem in check_files(found, progress=progress)]
    parts = {part: len(found.split(part)) for part in ("train", "query", "gallery")}
    counts = [{"what": c.what, "expected": c.expected, "found": c.found} for c in found.counts]
    if as_json:
        print_json({"tracklets": parts, "counts": counts, "notes": found.notes, "problems": problems})
    else:
        _print_findings(parts, counts, found.notes)
        for problem in problems:
            note(problem)
        say(f"{len(problems)} problem(s) with frames" if problems else "all frames can be read")
    if problems:
        raise typer.Exit(1)


def _print_findings(parts: dict[str, int], counts: list[dict[str, object]], notes: tuple[str, ...]) -> None:
    say(", ".join(f"{part}: {number} tracklets" for part, number in parts.items()))
    if counts:
        table = Table("count", "expected", "found", box=None)
        for count in counts:
            table.add_row(*(str(count[key]) for key in ("what", "expected", "found")))
        OUT.print(table)
    for oddity in notes:
        say(f"- {oddity}")


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
