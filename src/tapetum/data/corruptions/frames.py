"""Frames of a set of tracklets, corrupted as they are read."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tapetum.data.corruptions._base import Corruption, check_severity, corrupt
from tapetum.data.frames import Frames, FrameSource
from tapetum.types import TrackletSet


class CorruptedFrames:
    """A source of frames that corrupts those of another: give it to `embed` as its cache.

    What a frame becomes is a function of the seed, the tracklet's id, the corruption, its severity and the
    frame's place in the tracklet; order, batches, sampling and worker processes change nothing.
    """

    def __init__(
        self,
        source: FrameSource,
        tracklets: TrackletSet,
        corruption: Corruption,
        severity: int,
        *,
        seed: int = 0,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """Prepare; nothing is read.

        Args:
            source: The frames as they are, of `tracklets`.
            tracklets: Say of each row its id and how the camera saw.
            corruption: What happens; tracklets that it does not apply to are left alone.
            severity: 1 to 5; 0: nothing happens.
            seed: Of all draws.
            rows: Rows of `tracklets` that row 0, 1, ... of this source stand for; None: all of them.

        Raises:
            ValueError: A severity outside 0..5.
        """
        check_severity(severity)
        self.rows = np.arange(len(tracklets)) if rows is None else rows
        self.lengths = source.lengths[self.rows]
        self._source, self._tracklets, self._seed = source, tracklets, seed
        self._corruption, self._severity = corruption, severity

    def clip(self, row: int, positions: NDArray[np.int64]) -> Frames:
        """Frames of tracklet `row` at `positions` as uint8 `[T, 3, H, W]`, a new array.

        Raises:
            DataError: A file cannot be read; the message names it.
        """
        place = int(self.rows[row])
        tracklet = self._tracklets[place]
        generator = draws(self._seed, tracklet.tracklet_id, self._corruption.name, self._severity)
        return corrupt(
            self._source.clip(place, positions),
            self._corruption,
            self._severity,
            generator,
            modality=tracklet.modality,
            positions=positions,
        )


def draws(seed: int, tracklet_id: str, corruption: str, severity: int) -> np.random.Generator:
    """The generator of one tracklet at one severity of one corruption: a function of these four alone."""
    text = "\0".join((str(seed), tracklet_id, corruption, str(severity)))
    return np.random.default_rng(int.from_bytes(blake2b(text.encode("utf-8"), digest_size=16).digest()))
