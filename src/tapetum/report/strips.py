"""Small pictures of tracklets: single frames and strips of several, as JPEG inside a data URI.

Every frame is brought to one shape, twice as high as wide, as re-identification models see people.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tapetum.data.frames import read_frame
from tapetum.types import Tracklet

_GAP = 3
_GAP_COLOUR = (140, 150, 160)
_QUALITY = 82


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` of the indices 0..count-1, evenly spread and in order; all of them where there are not more.

    >>> spread(10, 4)
    [0, 2, 5, 7]
    """
    return [i * count // wanted for i in range(wanted)] if wanted < count else list(range(count))


def thumbnail(path: str, *, height: int) -> Image.Image:
    """The frame in a file, `height` pixels high and half as wide.

    Raises:
        DataError: The file cannot be read.
    """
    planes = read_frame(path, height, height // 2)
    return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def middle_frame(tracklet: Tracklet, *, height: int) -> Image.Image:
    """The frame in the middle of a tracklet.

    Raises:
        DataError: The file cannot be read.
    """
    return thumbnail(tracklet.frames[len(tracklet.frames) // 2], height=height)


def frame_strip(tracklet: Tracklet, *, frames: int, height: int) -> Image.Image:
    """At most `frames` frames of a tracklet side by side, evenly spread over it, in time order.

    Raises:
        DataError: A file cannot be read.
    """
    chosen = spread(len(tracklet.frames), frames)
    return side_by_side([thumbnail(tracklet.frames[i], height=height) for i in chosen])


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one height in a row, a thin grey gap between them.

    Raises:
        ValueError: No picture.
    """
    if not pictures:
        raise ValueError("a strip needs at least one picture")
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) - 1)
    strip = Image.new("RGB", (width, pictures[0].height), _GAP_COLOUR)
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + _GAP
    return strip


def data_uri(picture: Image.Image) -> str:
    """The picture as JPEG in a `data:` address, which needs no file beside the page."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
