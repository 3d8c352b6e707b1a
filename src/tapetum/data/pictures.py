"""Tracklets from loose pictures that no data set describes: a file is one frame, a folder is one tracklet."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from tapetum.data.frames import read_frame
from tapetum.errors import DataError
from tapetum.types import Modality, Tracklet

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Endings of the files that count as frames of a folder."""

COLOUR = 6.0
"""Levels of 255 by which a picture's channels differ on average, above which it is taken for visible: grey
pictures stored as lossy colour differ by one or two."""

_PROBE = (64, 32)


def tracklet_from_path(path: str | os.PathLike[str], modality: Modality | None = None) -> Tracklet:
    """The tracklet of an image file, or of a folder's image files in the order of the numbers in their names.

    Args:
        path: A file or a folder; it becomes the tracklet's id.
        modality: How the camera saw; None: see `guess_modality`.

    Raises:
        FileNotFoundError: There is neither file nor folder.
        DataError: The folder holds no image, or the first image cannot be read.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such file or folder")
    frames = _images_in(place) if place.is_dir() else (str(place),)
    return Tracklet(str(place), frames, modality or guess_modality(frames[0]))


def guess_modality(frame: str) -> Modality:
    """Infrared where a frame has no colour, else visible: a guess, for colour is all there is to go by.

    Raises:
        DataError: The frame cannot be read.
    """
    pixels = read_frame(frame, *_PROBE).astype(np.int16)
    spread = float((pixels.max(axis=0) - pixels.min(axis=0)).mean())
    return Modality.VISIBLE if spread > COLOUR else Modality.INFRARED


def _images_in(folder: Path) -> tuple[str, ...]:
    found = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not found:
        raise DataError(
            f"{folder}: no image in this folder; expected files ending in {', '.join(sorted(SUFFIXES))}"
        )
    return tuple(str(p) for p in sorted(found, key=_by_numbers))


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Sorts 2.jpg before 10.jpg."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
