"""Uploaded pictures: told by their content what they are, and by their header how large, before decoding."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tapetum.data.frames import resized_frame
from tapetum.data.modality_detection import visible_probability
from tapetum.server.refusals import TooLarge, UnknownType, Unreadable

LEAST_SIDE = 8
"""Pixels; less shows nobody."""

PREVIEW = 256
"""Pixels that a preview's sides have at most."""

_STARTS: Mapping[bytes, str] = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP"}
_WEBP = (b"RIFF", b"WEBP")
_LOOKED_AT = (16, 8)
"""Height and width at which colours are looked for, as `detect_modality` does."""

_QUALITY = 85
_DEEP_MODES = ("I", "F")
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_BROKEN = (OSError, SyntaxError, ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error)
"""What Pillow raises on damaged files."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An uploaded picture, without anything that its file said beside the pixels.

    Attributes:
        planes: uint8 `[3, H, W]` at the model's size.
        preview: Small, a JPEG file's bytes.
        digest: SHA-256 of the file, hexadecimal.
        visible: How probably it was seen in visible light, 0..1.
    """

    planes: NDArray[np.uint8]
    preview: bytes
    digest: str
    visible: float


def read_picture(
    content: bytes, height: int, width: int, *, most_pixels: int, field: str = "files"
) -> Picture:
    """The picture in a file's bytes, upright, in RGB.

    Args:
        content: A JPEG, PNG, BMP or WebP file; of a moving picture the first frame is taken.
        height: H of the model, in pixels.
        width: W of the model, in pixels.
        most_pixels: What the picture may have, as its header says.
        field: Part of the request that is meant, for messages.

    Raises:
        UnknownType: It is of another kind.
        TooLarge: It has too many pixels.
        Unreadable: It is damaged, tiny, or has more than 8 bits a channel.
    """
    kind = kind_of(content)
    if kind is None:
        raise UnknownType("not a JPEG, PNG, BMP or WebP file", field=field)
    picture = _decoded(content, kind, most_pixels, field)
    looked_at = resized_frame(picture, *_LOOKED_AT)
    return Picture(
        resized_frame(picture, height, width),
        _preview(picture),
        hashlib.sha256(content).hexdigest(),
        visible_probability(looked_at),
    )


def kind_of(content: bytes) -> str | None:
    """What a file is, by its first bytes; None: nothing that is taken.

    >>> kind_of(b"BM...."), kind_of(b"GIF89a")
    ('BMP', None)
    """
    for start, kind in _STARTS.items():
        if content.startswith(start):
            return kind
    riff, webp = _WEBP
    return "WEBP" if content.startswith(riff) and content[8:12] == webp else None


def _decoded(content: bytes, kind: str, most_pixels: int, field: str) -> Image.Image:
    """The picture in RGB, turned as its file says."""
    try:
        with Image.open(io.BytesIO(content), formats=(kind,)) as image:
            _check(image, most_pixels, field)
            image.load()
            upright = _upright(image)
            return upright if upright.mode == "RGB" else upright.convert("RGB")
    except _BOMBS:
        raise TooLarge(f"the picture has more than {most_pixels} pixels", field=field) from None
    except _BROKEN as error:
        raise Unreadable(f"a damaged {kind} file ({type(error).__name__})", field=field) from None


def _check(image: Image.Image, most_pixels: int, field: str) -> None:
    """Look at the header; nothing is decoded yet."""
    if image.width * image.height > most_pixels:
        raise TooLarge(
            f"the picture has {image.width} x {image.height} pixels; at most {most_pixels} are taken",
            field=field,
        )
    if min(image.size) < LEAST_SIDE:
        raise Unreadable(
            f"the picture has {image.width} x {image.height} pixels; a side needs {LEAST_SIDE}", field=field
        )
    if image.mode.startswith(_DEEP_MODES):
        raise Unreadable(f"pixels of mode {image.mode!r}; expected 8 bits a channel", field=field)


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says; as it is where that says nothing that can be read."""
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN:
        return image


def _preview(picture: Image.Image) -> bytes:
    small = picture.copy()
    small.thumbnail((PREVIEW, PREVIEW), Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
