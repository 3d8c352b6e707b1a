"""Tracklets from loose pictures that no data set describes: a file is one frame, a folder is one tracklet."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tapetum.data.modality_detection import detect_modality
from tapetum.errors import DataError
from tapetum.types import Modality, Tracklet

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Endings of the files that count as frames of a folder."""


def tracklet_from_path(path: str | os.PathLike[str], modality: Modality | None = None) -> Tracklet:
    """The tracklet of an image file, or of a folder's image files in the order of the numbers in their names.

    Args:
        path: A file or a folder; it becomes the tracklet's id.
        modality: How the camera saw; None: see `detect_modality`.

    Raises:
        FileNotFoundError: There is neither file nor folder.
        DataError: The folder holds no image, or no image can be read to tell the modality.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such file or folder")
    frames = images_in(place) if place.is_dir() else (str(place),)
    return Tracklet(str(place), frames, modality or detect_modality(frames).modality)


def guess_modality(frame: str) -> Modality:
    """Infrared where a frame has no colour, else visible: a guess, for colour is all there is to go by.

    Raises:
        DataError: The frame cannot be read.
    """
    return detect_modality((frame,)).modality


def images_in(folder: Path) -> tuple[str, ...]:
    """Paths of the image files of a folder, not of folders in it, in the order of the numbers in their names.

    Raises:
        DataError: There are none.
        OSError: The folder cannot be read.
    """
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if is_image(entry.name) and entry.is_file()]
    if not found:
        raise DataError(
            f"{folder}: no image in this folder; expected files ending in {', '.join(sorted(SUFFIXES))}"
        )
    return tuple(str(folder / name) for name in sorted(found, key=natural_key))


def is_image(name: str) -> bool:
    """Whether a file of this name counts as a frame; hidden files (".name") do not.

    >>> is_image("0001.JPG"), is_image("._0001.jpg"), is_image("Thumbs.db")
    (True, False, False)
    """
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (fast)


def natural_key(text: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts texts by the numbers in them: 2.jpg before 10.jpg.

    >>> sorted(["10.jpg", "2b.jpg", "2.jpg", "02.jpg"], key=natural_key)
    ['02.jpg', '2.jpg', '2b.jpg', '10.jpg']
    """
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if place % 2 else (-1, part) for place, part in enumerate(parts)], text


def files_below(folder: Path) -> list[str]:
    """Paths of all files in a folder and its folders, relative to it with forward slashes, in natural order.

    Links to folders are followed, each folder once. Hidden files and folders are files like others.

    Raises:
        OSError: A folder cannot be read.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()

    def walk(place: Path, prefix: str) -> None:
        status = place.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(place) as entries:
            listed = sorted(entries, key=lambda entry: natural_key(entry.name))
        for entry in listed:
            if entry.is_dir():
                walk(place / entry.name, f"{prefix}{entry.name}/")
            else:
                found.append(prefix + entry.name)

    walk(folder, "")
    return found
