"""The rows of a gallery as points of a Qdrant collection, and filters as its conditions.

A point's number is made from the tracklet's identifier. Its payload holds the tracklet and what lies beside
it; what is unknown is left out. Identifiers of people and cameras are JSON, pictures are base64.
"""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from tapetum.search.query import Filter, as_texts
from tapetum.search.storing import Beside, id_of, id_text, stored_forms
from tapetum.types import Modality, Tracklet

Point = Any
"""A point as the client gives it: `id`, `payload`, and where asked for `vector` and `score`."""

KEYWORDS = ("tracklet_id", "modality", "camera_id", "person_id")
TRACKLET_FIELDS = [*KEYWORDS, "time", "part", "frames"]
ORDER = "sequence"
_NAMESPACE = uuid.UUID("39877a3e-545b-5d60-babb-2b507dddd523")


def point_id(tracklet_id: str) -> str:
    """The number of a tracklet's point."""
    return str(uuid.uuid5(_NAMESPACE, tracklet_id))


def to_payload(tracklet: Tracklet, beside: Beside, sequence: int, revision: int) -> dict[str, Any]:
    """The payload of a tracklet's point."""
    payload = {
        "tracklet_id": tracklet.tracklet_id,
        "modality": tracklet.modality.value,
        "person_id": id_text(tracklet.person_id),
        "camera_id": id_text(tracklet.camera_id),
        "time": None if tracklet.time is None or math.isnan(tracklet.time) else tracklet.time,
        "part": tracklet.part,
        "frames": [str(frame) for frame in tracklet.frames],
        "sequence": sequence,
        "revision": revision,
        "stored_at": beside.stored_at,
        "content": beside.content,
        "thumbnails": [base64.b64encode(picture).decode("ascii") for picture in beside.thumbnails],
    }
    return {name: value for name, value in payload.items() if value is not None}


def tracklet_of(point: Point) -> Tracklet:
    """The tracklet of a point that was read with `TRACKLET_FIELDS`."""
    found = point.payload
    return Tracklet(
        found["tracklet_id"],
        tuple(found.get("frames", ())),
        Modality(found["modality"]),
        id_of(found.get("person_id")),
        id_of(found.get("camera_id")),
        found.get("time"),
        found.get("part", ""),
    )


def vectors_of(points: Sequence[Point], dimension: int) -> NDArray[np.float32]:
    """The vectors `[n, D]` of points that were read with them."""
    return np.array([point.vector for point in points], dtype=np.float32).reshape(len(points), dimension)


def thumbnails_of(point: Point) -> list[bytes]:
    """The pictures of a point that was read with `thumbnails`."""
    return [base64.b64decode(text) for text in point.payload.get("thumbnails", ())]


def as_conditions(where: Filter | None) -> models.Filter | None:
    """A filter as the server knows it; None where everything passes."""
    if where is None:
        return None
    must: list[Any] = []
    must_not: list[Any] = []
    if where.modality is not None:
        must.append(_one_of("modality", [Modality(where.modality).value]))
    for name, wanted in (("camera_id", where.cameras), ("person_id", where.persons)):
        if wanted is not None:
            must.append(_one_of(name, stored_forms(wanted)))
    if where.exclude_cameras is not None and as_texts(where.exclude_cameras):
        must_not.append(_one_of("camera_id", stored_forms(where.exclude_cameras)))
    if where.after is not None or where.before is not None:
        must.append(_between(where.after, where.before))
    return models.Filter(must=must or None, must_not=must_not or None) if must or must_not else None


def older_than(instant: float, *, by_seen: bool) -> models.Filter:
    """What is older than an instant: by its own time where that is known, else by when it was stored."""
    stored = models.FieldCondition(key="stored_at", range=models.Range(lt=instant))
    if not by_seen:
        return models.Filter(must=[stored])
    unknown = models.IsEmptyCondition(is_empty=models.PayloadField(key="time"))
    seen = models.FieldCondition(key="time", range=models.Range(lt=instant))
    return models.Filter(should=[seen, models.Filter(must=[unknown, stored])])


def written_since(revision: int) -> models.Filter:
    """What was written at a revision or later."""
    return models.Filter(must=[models.FieldCondition(key="revision", range=models.Range(gte=revision))])


def _one_of(name: str, wanted: Iterable[str]) -> models.FieldCondition:
    return models.FieldCondition(key=name, match=models.MatchAny(any=list(wanted) or ["no such value"]))


def _between(after: float | None, before: float | None) -> models.FieldCondition:
    largest = float(np.finfo(np.float64).max)
    lowest, highest = (None if t is None else min(max(t, -largest), largest) for t in (after, before))
    return models.FieldCondition(key="time", range=models.Range(gte=lowest, lt=highest))
