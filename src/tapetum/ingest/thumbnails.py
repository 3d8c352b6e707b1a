"""Thumbnails of a tracklet: from each stretch of it the sharpest and largest picture, small, as JPEG."""

from __future__ import annotations

import io
import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST = 4
"""Thumbnails of a tracklet."""

_STRETCHES = 2 * MOST
_HEIGHT, _WIDTH = 256, 256
"""Thumbnails are shrunk to fit into this, and never enlarged."""

_QUALITY = 85


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    place: int
    score: float
    picture: Image.Image


class ThumbnailChoice:
    """Keeps the best picture of each stretch of a tracklet while its pictures pass by."""

    def __init__(self, places: Collection[int]) -> None:
        """Prepare for pictures at some places of the tracklet."""
        ordered = sorted(places)
        self._stretch = {place: rank * _STRETCHES // len(ordered) for rank, place in enumerate(ordered)}
        self._best: dict[int, _Candidate] = {}

    def add(self, place: int, picture: Image.Image, planes: NDArray[np.uint8]) -> None:
        """Look at a picture.

        Args:
            place: One of the places.
            picture: Of its own size, RGB.
            planes: The same at the size of all others, uint8 `[3, H, W]`, where sharpness is compared.
        """
        score = sharpness(planes[1]) * math.sqrt(picture.width * picture.height)
        stretch = self._stretch[place]
        former = self._best.get(stretch)
        if former is None or score > former.score:
            self._best[stretch] = _Candidate(place, score, _shrunk(picture))

    def chosen(self, places: Collection[int]) -> tuple[bytes, ...]:
        """At most `MOST` JPEG files of pictures at some of the places, the best first, spread evenly."""
        found = [c for _, c in sorted(self._best.items()) if c.place in places]
        count = min(MOST, len(found))
        spread = [found[i * len(found) // count : (i + 1) * len(found) // count] for i in range(count)]
        best = [max(part, key=lambda c: c.score) for part in spread]
        return tuple(_jpeg(c.picture) for c in sorted(best, key=lambda c: -c.score))


def sharpness(plane: NDArray[np.uint8]) -> float:
    """Mean absolute second difference of the pixels `[H, W]`, along both axes: 0 where all is even.

    >>> float(sharpness(np.array([[0, 9, 0], [9, 0, 9], [0, 9, 0]], np.uint8)))
    36.0
    """
    pixels = plane.astype(np.int16)
    middle = pixels[1:-1, 1:-1] * 4
    around = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    return float(np.abs(middle - around).mean()) if middle.size else 0.0


def _shrunk(picture: Image.Image) -> Image.Image:
    """The picture, or a smaller one that fits; it does not hold on to the whole frame."""
    copy = picture.copy()
    copy.thumbnail((_WIDTH, _HEIGHT), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return copy


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
