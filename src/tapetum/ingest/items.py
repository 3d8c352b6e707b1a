"""What passes from a source to the gallery: tracklets not read yet, tracklets read, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tapetum.ingest.plan import Plan
from tapetum.types import Id, Modality, Tracklet

VARIANTS = tuple(f"@{modality.value}" for modality in Modality)
"""What is added to a tracklet's identifier where it is stored as one tracklet of each modality."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A tracklet as its source describes it, before a frame is read.

    Attributes:
        name: Identifier in the gallery.
        frames: Paths or references of its frames, in time order.
        modality: How the camera saw; None: decided from the frames.
        person_id: Who it is; None where unknown.
        camera_id: Which camera; None where unknown.
        time: Seconds; None where unknown.
        part: As of `Tracklet`.
        keeps_all: Whether the stored tracklet names all frames; if not, only those that were read.
    """

    name: str
    frames: Sequence[str]
    modality: Modality | None = None
    person_id: Id | None = None
    camera_id: Id | None = None
    time: float | None = None
    part: str = "gallery"
    keeps_all: bool = True

    def tracklet(self, modality: Modality, frames: Sequence[str], suffix: str = "") -> Tracklet:
        """The tracklet, once its modality is known."""
        return Tracklet(
            self.name + suffix, frames, modality, self.person_id, self.camera_id, self.time, self.part
        )

    def facts(self) -> tuple[object, ...]:
        """What of it, besides pictures, is stored; part of its content digest."""
        seen = self.modality.value if self.modality else "auto"
        return seen, self.person_id, self.camera_id, self.time, self.part


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A tracklet that was read: one of the gallery, or two where it was seen in both modalities.

    Attributes:
        name: Of its draft.
        content: Digest of what it was read from.
        tracklets: As they are to be stored.
        clips: Of each, uint8 `[C, T, 3, H, W]`.
        thumbnails: Of each, JPEG files' bytes, the best first.
        note: What could not be used of it; "" where all was well.
    """

    name: str
    content: str
    tracklets: tuple[Tracklet, ...]
    clips: tuple[NDArray[np.uint8], ...]
    thumbnails: tuple[tuple[bytes, ...], ...]
    note: str = ""


Kind = Literal["failed", "skipped", "partly"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of a source that is not in the gallery, or not all of it.

    Attributes:
        item: Identifier of the tracklet, or a file, or a line of one.
        kind: "failed": it cannot be read; "skipped": it was left out by a rule, such as the least size;
            "partly": it is in the gallery, made from what could be read.
        reason: In words.
    """

    item: str
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A tracklet that is in the gallery already, made from the same content."""

    name: str


Event = Reading | Problem | Unchanged


class Group(Protocol):
    """Tracklets that are read together, such as those of one video."""

    @property
    def drafts(self) -> Sequence[Draft]:
        """The tracklets."""

    @property
    def problems(self) -> Sequence[Problem]:
        """What was found wrong before anything was read."""

    def contents(self, pool: ThreadPoolExecutor) -> list[str]:
        """Digest of what each draft is made from; much cheaper than reading it."""

    def read(
        self, chosen: Sequence[int], contents: Sequence[str], pool: ThreadPoolExecutor
    ) -> Iterator[Reading | Problem]:
        """The drafts at the places `chosen`, read; each once, in any order."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where tracklets come from.

    Attributes:
        title: Names it in the table of failures; the same however its path was written.
        groups: Gives its tracklets, a group at a time, for a plan.
        count: How many there are; None where that is not known beforehand.
    """

    title: str
    groups: Callable[[Plan], Iterator[Group]] = field(repr=False)
    count: int | None = None
