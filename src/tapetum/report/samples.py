"""Sample tracklets of both modalities, a few persons side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tapetum.report.strips import data_uri, frame_strip, spread
from tapetum.types import Id, Modality, Tracklet, TrackletSet

_FRAMES = 8
_HEIGHT = 132


@dataclass(frozen=True, slots=True)
class SampleStrip:
    """A tracklet as a strip of frames.

    Attributes:
        modality: "visible" or "infrared".
        caption: Camera, tracklet and number of frames.
        picture: Data URI.
        description: For readers who do not see the picture.
    """

    modality: str
    caption: str
    picture: str
    description: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One person in both modalities, as far as there are tracklets of both."""

    person: Id
    strips: tuple[SampleStrip, ...]


def sample_tracklets(sets: Iterable[TrackletSet], *, persons: int = 6) -> list[Sample]:
    """The first tracklet of each modality of `persons` persons, evenly spread over the ids.

    Args:
        sets: Where to look, in order; persons with both modalities come before those with one.
        persons: How many at most.

    Raises:
        DataError: A frame cannot be read.
    """
    first: dict[Id, dict[Modality, Tracklet]] = {}
    for tracklet in (t for tracklets in sets for t in tracklets):
        if tracklet.person_id is not None and len(tracklet.frames):
            first.setdefault(tracklet.person_id, {}).setdefault(tracklet.modality, tracklet)
    both = [person for person, found in first.items() if len(found) == len(Modality)]
    known = both or list(first)
    return [_sample(person, first[person]) for person in (known[i] for i in spread(len(known), persons))]


def _sample(person: Id, found: dict[Modality, Tracklet]) -> Sample:
    return Sample(person, tuple(_strip(found[modality]) for modality in Modality if modality in found))


def _strip(tracklet: Tracklet) -> SampleStrip:
    count = len(tracklet.frames)
    place = "camera unknown" if tracklet.camera_id is None else f"camera {tracklet.camera_id}"
    return SampleStrip(
        modality=tracklet.modality.value,
        caption=f"{place} · {count} frame{'s' if count != 1 else ''}",
        picture=data_uri(frame_strip(tracklet, frames=_FRAMES, height=_HEIGHT)),
        description=f"frames of tracklet {tracklet.tracklet_id}, {tracklet.modality.value}",
    )
