"""`tapetum search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from tapetum.cli._console import OUT, note, print_json, say
from tapetum.cli._sources import GalleryArgument
from tapetum.search import Feedback, Filter, Gallery, GalleryItem, Hit, SearchEngine, SearchResult, Several

if TYPE_CHECKING:
    from tapetum.evaluation import Calibration
    from tapetum.search.grouping import Grouping
    from tapetum.search.question import Encoder
    from tapetum.types import Id

_WHERE_KNOWN = ("probability", "of", "marked")
"""Columns that are left out where they would be empty."""


class By(StrEnum):
    """What hits are brought together by."""

    PERSON = "person"
    CAMERA = "camera"


_GROUPINGS: Mapping[By, Grouping] = {By.PERSON: "person", By.CAMERA: "camera"}


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(search)


def search(
    gallery: GalleryArgument,
    query: Annotated[
        list[str],
        typer.Argument(help="Image, folder of a tracklet's frames, or tracklet's id; several of one person."),
    ],
    model: Annotated[Path | None, typer.Option(help="Run of the gallery's model; for pictures.")] = None,
    modality: Annotated[str | None, typer.Option(help="Only visible or only infrared hits.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeatable.")] = None,
    exclude_camera: Annotated[list[str] | None, typer.Option(help="Not this camera; repeatable.")] = None,
    after: Annotated[float | None, typer.Option(help="Earliest time, seconds.")] = None,
    before: Annotated[float | None, typer.Option(help="End of the time span, seconds.")] = None,
    top: Annotated[int, typer.Option(help="At most this many hits, or groups.")] = 20,
    rerank: Annotated[
        int | None, typer.Option(help="Order so many of the nearest anew, by neighbours that they share.")
    ] = None,
    group: Annotated[By | None, typer.Option(help="Only the first hit of each person or camera.")] = None,
    right: Annotated[list[str] | None, typer.Option(help="Id of a hit that was right; repeatable.")] = None,
    wrong: Annotated[list[str] | None, typer.Option(help="Id of a hit that was wrong; repeatable.")] = None,
    query_modality: Annotated[str | None, typer.Option(help="Of pictures; default: by their colour.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="File of `tapetum calibrate`; default: the gallery's own.")
    ] = None,
    min_probability: Annotated[float | None, typer.Option(help="Less probable hits: unknown.")] = None,
    prior: Annotated[float | None, typer.Option(help="Probability of one person, beforehand.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the tracklets of a gallery that show the person of a query, nearest first."""
    where = Filter(
        modality=modality, cameras=camera, exclude_cameras=exclude_camera, after=after, before=before
    )
    marks = Feedback(tuple(right or ()), tuple(wrong or ()))
    place = Gallery.open(gallery, create=False)
    asked = [_query(place, one) for one in query]
    _refuse_unknown(place, marks)
    is_probability_wished = not (min_probability is None and prior is None)
    found = _engine(place, asked, model, calibration, is_probability_wished).search(
        asked[0] if len(asked) == 1 else Several(tuple(asked)),
        modality=query_modality,
        top=top,
        where=where,
        min_probability=min_probability,
        prior=prior,
        rerank_head=rerank,
        group=None if group is None else _GROUPINGS[group],
        feedback=marks,
    )
    if as_json:
        print_json(_answer(found))
        return
    OUT.print(hit_table(found))
    if found.is_unknown:
        say(f"unknown: no hit has a probability of {min_probability:g} or more")
    head = f"; the first {rerank} re-ranked" if found.reranked else ""
    note(f"{found.manner}; {found.searched} tracklets searched{head}")


def _query(gallery: Gallery, text: str) -> str | GalleryItem:
    """A query as the command line names it: a path that exists, or else a tracklet of the gallery."""
    if Path(text).exists():
        return text
    try:
        gallery.get([text])
    except KeyError:
        raise ValueError(f"{text!r} is neither a file or folder nor a tracklet of {gallery.uri}") from None
    return GalleryItem(text)


def _refuse_unknown(gallery: Gallery, marks: Feedback) -> None:
    """Nothing, or an error where the gallery does not have a tracklet that is marked."""
    for option, names in (("--right", marks.right), ("--wrong", marks.wrong)):
        for name in names:
            try:
                gallery.get([name])
            except KeyError:
                raise ValueError(f"{option} {name}: no such tracklet in {gallery.uri}") from None


def _engine(
    gallery: Gallery,
    asked: Sequence[str | GalleryItem],
    model: Path | None,
    calibration: Path | None,
    is_probability_wished: bool,
) -> SearchEngine:
    """The gallery, with the model where pictures are asked, and with what is known of its distances."""
    pictures = [one for one in asked if isinstance(one, str)]
    if pictures and model is None:
        raise ValueError(f"{pictures[0]}: pictures need --model RUN, the run of the gallery's model")
    engine = SearchEngine(
        gallery,
        _model(model) if pictures and model is not None else None,
        None if calibration is None else _calibration(calibration, gallery),
    )
    if is_probability_wished and engine.calibration is None:
        raise ValueError(
            "--min-probability and --prior need --calibration FILE, or a gallery with a calibration of its "
            "own: tapetum calibrate --gallery"
        )
    return engine


def _model(run: Path) -> Encoder:
    from tapetum.model import load

    return load(run)


def _calibration(file: Path, gallery: Gallery) -> Calibration:
    from tapetum.evaluation import load_calibration

    return load_calibration(file, model=gallery.info().model)


def hit_table(found: SearchResult) -> Table:
    """Hits with similarity, where known with probability, who, where and when; group sizes and marks."""
    seen = [hit.tracklet for hit in found]
    columns: dict[str, list[str]] = {
        "rank": [str(hit.rank) for hit in found],
        "similarity": [f"{hit.similarity:.4f}" for hit in found],
        "probability": ["" if hit.probability is None else f"{hit.probability:.3f}" for hit in found],
        "tracklet": [one.tracklet_id for one in seen],
        "person": [_text(one.person_id) for one in seen],
        "modality": [one.modality.value for one in seen],
        "camera": [_text(one.camera_id) for one in seen],
        "time": ["" if one.time is None else f"{one.time:.1f} s" for one in seen],
        "of": [str(group.size) for group in found.groups] if found.groups else ["" for _ in found],
        "marked": [hit.marked or "" for hit in found],
    }
    shown = {name: cells for name, cells in columns.items() if name not in _WHERE_KNOWN or any(cells)}
    headings = (Column(name, overflow="fold") if name == "tracklet" else name for name in shown)
    table = Table(*headings, box=None)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _text(identifier: Id | None) -> str:
    return "" if identifier is None else str(identifier)


def _answer(found: SearchResult) -> dict[str, Any]:
    answer = {} if found.min_probability is None else {"answer": "unknown" if found.is_unknown else "found"}
    hits = [_hit(hit) for hit in found]
    if found.groups is not None:
        sizes = [{"group": group.key, "group_size": group.size} for group in found.groups]
        hits = [{**hit, **size} for hit, size in zip(hits, sizes, strict=True)]
    head = {"manner": found.manner, "searched": found.searched, "reranked": found.reranked}
    return {**head, **answer, "hits": hits}


def _hit(hit: Hit) -> dict[str, Any]:
    one = hit.tracklet
    return {
        "rank": hit.rank,
        "similarity": hit.similarity,
        "distance": hit.distance,
        "probability": hit.probability,
        "marked": hit.marked,
        "tracklet_id": one.tracklet_id,
        "person_id": one.person_id,
        "camera_id": one.camera_id,
        "modality": one.modality.value,
        "time": one.time,
        "frames": list(one.frames),
    }
