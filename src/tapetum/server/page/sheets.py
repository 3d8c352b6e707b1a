"""Sheets: pictures of a tracklet side by side in one file, so that the service is asked once to play them."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

_LOWEST, _HIGHEST = 64, 256
_BEHIND = (16, 22, 29)
_QUALITY = 88
_BROKEN = (OSError, SyntaxError, ValueError)
"""What Pillow raises on damaged files."""


def draw_sheet(pictures: Sequence[bytes], most: int) -> bytes | None:
    """A JPEG file of pictures in a row, each in a cell twice as high as wide; None where none can be read.

    So the number of cells is twice the sheet's width by its height. A picture is fitted into its cell without
    being cut.

    Args:
        pictures: JPEG files' bytes.
        most: Of more pictures than this, so many are taken, at even distances, the first among them.
    """
    images = [image for content in spread(pictures, most) if (image := _read(content)) is not None]
    if not images:
        return None
    tallest = max(max(image.height, 2 * image.width) for image in images)
    height = min(max(tallest + tallest % 2, _LOWEST), _HIGHEST)
    width = height // 2
    sheet = Image.new("RGB", (width * len(images), height), _BEHIND)
    for place, image in enumerate(images):
        _paste(sheet, image, place * width, width)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def spread(pictures: Sequence[bytes], most: int) -> list[bytes]:
    """At most so many pictures, at even distances.

    >>> spread([b"a", b"b", b"c", b"d", b"e"], 2), spread([b"a"], 2)
    ([b'a', b'c'], [b'a'])
    """
    count = min(len(pictures), most)
    return [pictures[place * len(pictures) // count] for place in range(count)]


def _read(content: bytes) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            return image.convert("RGB")
    except _BROKEN:
        return None


def _paste(sheet: Image.Image, image: Image.Image, left: int, width: int) -> None:
    """Put a picture into the middle of its cell, as large as it fits."""
    scale = min(width / image.width, sheet.height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    place = left + (width - size[0]) // 2, (sheet.height - size[1]) // 2
    sheet.paste(image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0), place)
