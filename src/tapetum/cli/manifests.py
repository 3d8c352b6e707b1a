"""`tapetum manifest`: list the pictures of a folder in a file that every other command reads."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli._console import note, progress_bar, say
from tapetum.data.datasets.manifest import SURE
from tapetum.data.manifests import BuiltManifest, build_manifest

_SHOWN = 5

Words = Annotated[list[str] | None, typer.Option(help="A word in the place of {modality}; repeatable.")]


class Seen(StrEnum):
    """How cameras saw, where paths do not say it."""

    AUTO = "auto"
    VISIBLE = "visible"
    INFRARED = "infrared"


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(manifest)


def manifest(
    folder: Annotated[Path, typer.Argument(help="Folder with the pictures, at any depth.")],
    pattern: Annotated[
        str, typer.Option(help="Of the pictures' paths: {person_id}/{modality}/{camera_id}/{frame}.jpg")
    ],
    out: Annotated[
        Path | None, typer.Option(help="FILE.csv or FILE.parquet; default: FOLDER/manifest.csv.")
    ] = None,
    test_share: Annotated[float | None, typer.Option(help="Share of the test people; default: 0.5.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw of test people; default: 0.")] = None,
    modality: Annotated[
        Seen, typer.Option(help="Where paths do not say it; auto: by the colours of each tracklet.")
    ] = Seen.AUTO,
    visible: Words = None,
    infrared: Words = None,
    folder_tracklets: Annotated[
        bool, typer.Option("--folder-tracklets", help="The pictures of a folder are one tracklet.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write a manifest: a table of the pictures in a folder, by what their paths say.

    Fields are person_id, modality, camera_id, tracklet_id, frame, time and split; * stands for anything.
    """
    with progress_bar("tracklets") as progress:
        built = build_manifest(
            folder,
            pattern=pattern,
            out=out,
            modality=modality.value,
            visible_words=visible or (),
            infrared_words=infrared or (),
            folder_tracklets=folder_tracklets,
            test_share=test_share,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    _report(built)


def _report(built: BuiltManifest) -> None:
    sizes = [(built.pictures, "pictures"), (built.tracklets, "tracklets")]
    sizes += [(built.people, "people"), (built.cameras, "cameras")]
    say(f"{built.file}: {', '.join(f'{count} {what}' for count, what in sizes if count)}")
    for (split, modality), count in sorted(built.tracklets_of.items()):
        say(f"- {count} {modality} tracklets{' to ' + split if split else ''}")
    for count, examples, what in (
        (len(built.unmatched), built.unmatched, "pictures are not of the pattern and are left out"),
        (len(built.others), built.others, "files are no pictures, or hidden, and are left out"),
    ):
        if count:
            shown = ", ".join(examples[:_SHOWN]) + (", ..." if count > _SHOWN else "")
            note(f"{count} {what}: {shown}")
    _report_guesses(built)


def _report_guesses(built: BuiltManifest) -> None:
    """How sure the modalities are that were decided from pixels."""
    if not built.guesses:
        return
    ordered = sorted(built.guesses.items(), key=lambda item: item[1].certainty)
    sure = sum(guess.certainty >= SURE for _, guess in ordered)
    say(f"modality by colours: {sure} of {len(ordered)} tracklets with a certainty of {SURE} or more")
    if sure < len(ordered):
        note("least sure, worth a look:")
        for name, guess in ordered[: min(_SHOWN, len(ordered) - sure)]:
            note(f"  {guess.certainty:.2f} {guess.modality.value} {name}")
