"""From the pictures of a tracklet, handed in one by one, to its clips, thumbnails and modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tapetum.data.frames import resized_frame
from tapetum.data.modality_detection import visible_probability
from tapetum.errors import DataError
from tapetum.ingest.items import Draft, Reading
from tapetum.ingest.plan import Plan
from tapetum.ingest.thumbnails import ThumbnailChoice
from tapetum.types import Modality

_LOOK = (16, 8)
"""Height and width at which colour is looked for; see `tapetum.data.modality_detection`."""

_SURE = 0.9
"""Probability from which a single frame counts as surely of a modality."""

_LEAST_SHARE = 0.25
"""Share of the frames that must be surely of the rarer modality before a tracklet is divided."""


class Gathering:
    """What is kept of one tracklet while its pictures pass by: small ones only."""

    def __init__(self, draft: Draft, plan: Plan) -> None:
        """Nothing gathered yet; `places` are the frames that are wanted."""
        self.draft = draft
        self.places = plan.read(len(draft.frames))
        self._plan = plan
        self._planes: dict[int, NDArray[np.uint8]] = {}
        self._visible: dict[int, float] = {}
        self._thumbnails = ThumbnailChoice(self.places)

    @property
    def is_complete(self) -> bool:
        """Whether all wanted frames were added."""
        return len(self._planes) == len(self.places)

    @property
    def missing(self) -> list[int]:
        """Places of the wanted frames that were not added."""
        return [place for place in self.places if place not in self._planes]

    def add(self, place: int, picture: Image.Image) -> None:
        """Keep what is needed of the RGB picture of the frame at `place`."""
        size = self._plan.size
        planes = self._planes[place] = resized_frame(picture, size.height, size.width)
        if self._plan.thumbnails:
            self._thumbnails.add(place, picture, planes)
        if self.draft.modality is None:
            self._visible[place] = visible_probability(resized_frame(picture, *_LOOK))

    def finish(self, content: str, note: str = "") -> Reading:
        """What was gathered, as it is to be embedded and stored.

        Args:
            content: Digest of what the tracklet is made from.
            note: What could not be read of it.

        Raises:
            DataError: No frame was added.
        """
        if not self._planes:
            raise DataError("none of its frames can be read" + (f": {note}" if note else ""))
        seen = self._by_modality()
        tracklets, clips, thumbnails = [], [], []
        for modality, places in seen.items():
            suffix = f"@{modality.value}" if len(seen) > 1 else ""
            tracklets.append(self.draft.tracklet(modality, self._frames(places), suffix))
            clips.append(self._clips(places))
            thumbnails.append(self._thumbnails.chosen(set(places)))
        return Reading(self.draft.name, content, tuple(tracklets), tuple(clips), tuple(thumbnails), note)

    def _by_modality(self) -> Mapping[Modality, Sequence[int]]:
        """Places of the frames that were added, by modality."""
        places = sorted(self._planes)
        if self.draft.modality is not None:
            return {self.draft.modality: places}
        return divide_by_modality(places, self._visible)

    def _frames(self, places: Sequence[int]) -> Sequence[str]:
        frames = self.draft.frames
        whole = self.draft.keeps_all and len(places) == len(self.places)
        return tuple(frames) if whole else tuple(frames[place] for place in places)

    def _clips(self, places: Sequence[int]) -> NDArray[np.uint8]:
        """uint8 `[C, T, 3, H, W]`: as planned where all frames are there, else over those that are."""
        whole = len(places) == len(self.places)
        chosen = self._plan.clips(len(self.draft.frames) if whole else len(places))
        at = range(len(self.draft.frames)) if whole else places
        return np.stack([np.stack([self._planes[at[int(i)]] for i in clip]) for clip in chosen])


def divide_by_modality(places: Sequence[int], visible: Mapping[int, float]) -> dict[Modality, Sequence[int]]:
    """Places of frames by the modality they were seen in: of one, unless both are surely there.

    A tracklet is divided where at least two frames, and a quarter of all, are surely visible, and as many
    surely infrared: the camera changed over from day to night. Single odd frames divide nothing.

    Args:
        places: Of frames, ascending.
        visible: For each, how probably it was seen in visible light.

    >>> list(divide_by_modality([0, 1, 2], {0: 0.99, 1: 0.98, 2: 0.01}))
    [<Modality.VISIBLE: 'visible'>]
    >>> {m.value: p for m, p in divide_by_modality([0, 1, 5, 6], {0: 1, 1: 1, 5: 0, 6: 0}).items()}
    {'visible': [0, 1], 'infrared': [5, 6]}
    """
    least = max(2, len(places) * _LEAST_SHARE)
    surely_visible = sum(visible[place] >= _SURE for place in places)
    surely_infrared = sum(visible[place] <= 1 - _SURE for place in places)
    if min(surely_visible, surely_infrared) >= least:
        return {
            Modality.VISIBLE: [place for place in places if visible[place] > 0.5],
            Modality.INFRARED: [place for place in places if visible[place] <= 0.5],
        }
    mean = float(np.mean([visible[place] for place in places]))
    return {Modality.VISIBLE if mean > 0.5 else Modality.INFRARED: places}
