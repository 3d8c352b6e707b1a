"""Which frames of a tracklet are read, and how they are cut into clips: bounded, however long it is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tapetum.data.clips import TestSampling, select_test_frames
from tapetum.types import Preprocessing

SPAN = 64
"""Frames up to which one clip stands for a tracklet; longer ones are cut into parts of about this length."""

MOST_CLIPS = 8
"""Parts of a tracklet at most; those of very long ones are longer."""

LOOKED_AT = 6
"""Frames at least that are looked at for thumbnails and modality, where there are so many."""

_VERSION = "1"
"""Of what this package makes of the same content; another one has everything embedded anew."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How tracklets become clips.

    Attributes:
        size: Height, width and frames of a clip.
        sampling: How frames are chosen from a part of a tracklet.
        thumbnails: Whether thumbnails are made; if not, nobody looks for the best pictures.
    """

    size: Preprocessing
    sampling: TestSampling
    thumbnails: bool = True

    @property
    def key(self) -> str:
        """Names what decides the clips; part of every content digest."""
        size = self.size
        return f"{_VERSION}/{size.height}x{size.width}x{size.frames}/{self.sampling}/{SPAN}/{MOST_CLIPS}"

    def clips(self, length: int) -> NDArray[np.int64]:
        """Positions `[C, T]` of the frames of a tracklet's clips.

        One clip (or those of dense sampling) up to `SPAN` frames, exactly as `tapetum.embed` chooses them;
        longer tracklets are cut into even parts, and each part gives its own.

        Raises:
            DataError: `length` is 0.
        """
        parts = max(1, min(MOST_CLIPS, -(-length // SPAN)))
        bounds = np.arange(parts + 1) * length // parts
        chosen = [start + self._of_part(end - start) for start, end in pairwise(bounds.tolist())]
        positions: NDArray[np.int64] = np.concatenate(chosen)
        return positions

    def _of_part(self, length: int) -> NDArray[np.int64]:
        if self.sampling != "dense" or length <= SPAN:
            return select_test_frames(self.sampling, length, self.size.frames)
        thinned = np.arange(SPAN) * length // SPAN
        return thinned[select_test_frames("dense", SPAN, self.size.frames)]

    def read(self, length: int) -> list[int]:
        """Positions of all frames to read, ascending: those of the clips, and enough to look at."""
        chosen = set(self.clips(length).ravel().tolist())
        wanted = min(LOOKED_AT, length)
        if len(chosen) < wanted:
            chosen.update((2 * i + 1) * length // (2 * wanted) for i in range(wanted))
        return sorted(chosen)
