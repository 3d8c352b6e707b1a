"""`tapetum search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from tapetum.cli._console import OUT, note, print_json, say
from tapetum.evaluation import load_calibration
from tapetum.search import (
    Filter,
    Gallery,
    Hit,
    SearchEngine,
    SearchResult,
    as_tracklet,
    with_probabilities,
)
from tapetum.types import Modality


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(search)


def search(
    gallery: Annotated[str, typer.Argument(help="Folder of a gallery.")],
    query: Annotated[str, typer.Argument(help="Image, folder of a tracklet's frames, or a tracklet's id.")],
    model: Annotated[Path | None, typer.Option(help="Run of the gallery's model; for pictures.")] = None,
    modality: Annotated[str | None, typer.Option(help="Only visible or only infrared hits.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeatable.")] = None,
    exclude_camera: Annotated[list[str] | None, typer.Option(help="Not this camera; repeatable.")] = None,
    after: Annotated[float | None, typer.Option(help="Earliest time, seconds.")] = None,
    before: Annotated[float | None, typer.Option(help="End of the time span, seconds.")] = None,
    top: Annotated[int, typer.Option(help="At most this many hits.")] = 20,
    query_modality: Annotated[str | None, typer.Option(help="Of pictures; default: by their colour.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="File of `tapetum calibrate`.")] = None,
    min_probability: Annotated[float | None, typer.Option(help="Less probable hits: unknown.")] = None,
    prior: Annotated[float | None, typer.Option(help="Probability of one person, beforehand.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the tracklets of a gallery that show the person of a query, nearest first."""
    place = Gallery.open(gallery, create=False)
    where = Filter(
        modality=modality, cameras=camera, exclude_cameras=exclude_camera, after=after, before=before
    )
    if calibration is None and not (min_probability is None and prior is None):
        raise ValueError("--min-probability and --prior need --calibration FILE")
    known = None if calibration is None else load_calibration(calibration, model=place.info().model)
    found, seen = _ask(place, query, model, query_modality, top, where)
    if known is not None:
        found = with_probabilities(found, known, seen, min_probability=min_probability, prior=prior)
    if as_json:
        answer = {} if min_probability is None else {"answer": "unknown" if found.is_unknown else "found"}
        hits = [_hit(hit) for hit in found]
        print_json({"manner": found.manner, "searched": found.searched, **answer, "hits": hits})
        return
    OUT.print(hit_table(found))
    if found.is_unknown:
        say(f"unknown: no hit has a probability of {min_probability:g} or more")
    note(f"{found.manner}; {found.searched} tracklets searched")


def _ask(
    gallery: Gallery, query: str, model: Path | None, modality: str | None, top: int, where: Filter
) -> tuple[SearchResult, Modality]:
    """What is found, and how the query was seen."""
    from tapetum.model import load

    if Path(query).exists():
        if model is None:
            raise ValueError(f"{query}: pictures need --model RUN, the run of the gallery's model")
        tracklet = as_tracklet(query, modality)
        found = SearchEngine(gallery, load(model)).search(tracklet, top=top, where=where)
        return found, tracklet.modality
    try:
        found = gallery.similar_to(query, top=top, where=where)
        return found, gallery.get([query]).tracklets[0].modality
    except KeyError:
        raise ValueError(f"{query!r} is neither a file or folder nor a tracklet of {gallery.uri}") from None


def hit_table(found: SearchResult) -> Table:
    """Hits with similarity, where known with probability, who, where and when."""
    tracklet = Column("tracklet", overflow="fold")
    is_calibrated = any(hit.probability is not None for hit in found)
    measured = ("similarity", "probability") if is_calibrated else ("similarity",)
    table = Table("rank", *measured, tracklet, "person", "modality", "camera", "time", box=None)
    for hit in found:
        one = hit.tracklet
        time = "" if one.time is None else f"{one.time:.1f} s"
        cells = (one.tracklet_id, one.person_id, one.modality.value, one.camera_id)
        known = (Text("" if cell is None else str(cell)) for cell in cells)
        figures = [f"{hit.similarity:.4f}"]
        if is_calibrated:
            figures.append("" if hit.probability is None else f"{hit.probability:.3f}")
        table.add_row(str(hit.rank), *figures, *known, time)
    return table


def _hit(hit: Hit) -> dict[str, Any]:
    one = hit.tracklet
    return {
        "rank": hit.rank,
        "similarity": hit.similarity,
        "distance": hit.distance,
        "probability": hit.probability,
        "tracklet_id": one.tracklet_id,
        "person_id": one.person_id,
        "camera_id": one.camera_id,
        "modality": one.modality.value,
        "time": one.time,
        "frames": list(one.frames),
    }
