"""What is asked of the service, and what it answers: the words that REST and the page share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tapetum.search.query import Filter, SearchResult
from tapetum.types import Id, Modality, Tracklet

Grouping = Literal["person", "camera"]
UploadKind = Literal["images", "tracklet"]
"""Whether the pictures of an upload are several views of one person, or the frames of one tracklet."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A search.

    Attributes:
        query_ids: Uploads to search by, all of one person; or none.
        item_id: Tracklet of the gallery to search by instead; or None.
        filters: Which tracklets are looked at.
        top: At most this many hits.
        rerank_head: How many of the nearest are ranked anew by their neighbours; None: none.
        group: Answer by person or by camera; None: tracklet by tracklet.
        min_probability: What a hit must reach for the person to be known; None: any answer is given.
        prior: Probability that a tracklet shows the person, before it is compared; None: the calibration's.
        right: Tracklets that were marked as the person.
        wrong: Tracklets that were marked as somebody else.
        reason: Why it is asked; the audit log keeps it.
    """

    query_ids: Sequence[str] = ()
    item_id: str | None = None
    filters: Filter = field(default_factory=Filter)
    top: int = 20
    rerank_head: int | None = None
    group: Grouping | None = None
    min_probability: float | None = None
    prior: float | None = None
    right: Sequence[str] = ()
    wrong: Sequence[str] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found.

    Attributes:
        result: The hits, nearest first.
        seen: How the query was seen; of several pictures, as most of them were.
        manner: "exact", or "approximate, recall 0.97".
        took_ms: From the question to the answer, in milliseconds.
    """

    result: SearchResult
    seen: Modality
    manner: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class QueryHandle:
    """Pictures that were uploaded and are kept for a while.

    Attributes:
        query_id: Names them; random.
        kind: Several views of one person, or one tracklet.
        pictures: How many there are.
        modalities: How each was seen, as told or as their colours say; one for a tracklet.
        digests: SHA-256 of each uploaded file, hexadecimal.
        expires_at: When they are forgotten, in Unix seconds; every use puts it off.
    """

    query_id: str
    kind: UploadKind
    pictures: int
    modalities: tuple[Modality, ...]
    digests: tuple[str, ...]
    expires_at: float


@dataclass(frozen=True, slots=True)
class Item:
    """A tracklet of the gallery.

    Attributes:
        tracklet: What it is; its frames are paths of this machine and are not shown to anybody.
        thumbnails: How many pictures of it there are.
    """

    tracklet: Tracklet
    thumbnails: int


@dataclass(frozen=True, slots=True)
class ItemPage:
    """A stretch of the gallery's tracklets, in gallery order.

    Attributes:
        tracklets: At most as many as were asked for.
        offset: How many stand before them.
        total: How many pass the filter.
    """

    tracklets: tuple[Tracklet, ...]
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of the gallery, and how many tracklets it saw."""

    camera_id: Id
    tracklets: int


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """What is served.

    Attributes:
        version: Of this package.
        storage: How the gallery is stored: "memory", "numpy", "lancedb" or "qdrant".
        count: Number of tracklets.
        modalities: Tracklets of each modality, by its name.
        cameras: Number of cameras.
        first_time: Earliest known time in seconds; None where no time is known.
        last_time: Latest known time in seconds.
        exact: Whether all searches are exact.
        recall: Where not, the share of true nearest tracklets that the index was found to find.
        model: Fingerprint of the gallery's model; None where the gallery is empty.
        dimension: Length of an embedding.
        trained_on: What the model was trained on; "" where unknown.
        takes_pictures: Whether pictures can be searched by: the service has a model.
        calibrated: Whether hits carry probabilities.
        requires_reason: Whether every search must say why.
        audited: Whether an audit log is kept.
    """

    version: str
    storage: str
    count: int
    modalities: dict[str, int]
    cameras: int
    first_time: float | None
    last_time: float | None
    exact: bool
    recall: float | None
    model: str | None
    dimension: int | None
    trained_on: str
    takes_pictures: bool
    calibrated: bool
    requires_reason: bool
    audited: bool


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service can answer; each check by its name."""

    checks: dict[str, bool]

    @property
    def ready(self) -> bool:
        """Whether all is well."""
        return all(self.checks.values())


@dataclass(frozen=True, slots=True)
class Removal:
    """What was erased or purged, or would be.

    Attributes:
        count: Tracklets.
        done: False where it was only asked how many there are.
    """

    count: int
    done: bool
