"""Tracks in the text format of the MOT challenges: a line `frame,id,left,top,width,height,conf,...` a box.

Frames count from 1. A confidence of exactly 0 marks boxes that the challenges' own annotations leave out of
account, and so are they here. Lines may stand in any order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapetum.data.video_files import Box
from tapetum.errors import DataError

_FIELDS = ("frame", "id", "left", "top", "width", "height", "conf")
_LEAST = 6


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """A box as it is written: pixels, perhaps fractions of them, and not always inside the picture."""

    frame: int
    left: float
    top: float
    width: float
    height: float

    def clipped(self, width: int, height: int) -> Box | None:
        """What of it is inside a picture of that size, in whole pixels; None where nothing is.

        >>> TrackedBox(1, -4.4, 2, 10, 5).clipped(8, 6)
        Box(left=0, top=2, width=6, height=4)
        >>> TrackedBox(1, 8, 2, 10, 5).clipped(8, 6) is None
        True
        """
        left, top = max(0, round(self.left)), max(0, round(self.top))
        right = min(width, round(self.left + self.width))
        bottom = min(height, round(self.top + self.height))
        return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None


@dataclass(frozen=True, slots=True)
class Tracks:
    """What a file of tracks says.

    Attributes:
        boxes: Of each track, by its number, in the order of their frames.
        bad_lines: Numbers of lines that cannot be used, each with the reason.
        ignored: Lines with a confidence of 0.
    """

    boxes: Mapping[int, Sequence[TrackedBox]]
    bad_lines: Sequence[tuple[int, str]]
    ignored: int


def read_tracks(file: Path) -> Tracks:
    """The tracks in a file, sorted by number.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no text, or no line of it can be used.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: no text file of tracks: {error}") from None
    seen: dict[tuple[int, int], int] = {}
    found: dict[int, list[TrackedBox]] = {}
    wrong: list[tuple[int, str]] = []
    ignored = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            track, box, conf = _parse(line)
            if conf == 0:
                ignored += 1
                continue
            former = seen.setdefault((track, box.frame), number)
            if former != number:
                raise ValueError(f"track {track} has a box in frame {box.frame} already, on line {former}")
        except ValueError as error:
            wrong.append((number, str(error)))
            continue
        found.setdefault(track, []).append(box)
    if not found:
        first = f"; line {wrong[0][0]}: {wrong[0][1]}" if wrong else ""
        raise DataError(f"{file}: no track in it{first}")
    boxes = {track: sorted(found[track], key=lambda box: box.frame) for track in sorted(found)}
    return Tracks(boxes, wrong, ignored)


def _parse(line: str) -> tuple[int, TrackedBox, float]:
    """Track, box and confidence of a line."""
    texts = re.split(r"\s*[,;]\s*|\s+", line.strip())
    if len(texts) < _LEAST:
        raise ValueError(f"{len(texts)} values; expected at least {_LEAST}: {', '.join(_FIELDS[:_LEAST])}")
    values: dict[str, float] = {}
    for name, text in zip(_FIELDS, texts, strict=False):
        try:
            values[name] = float(text)
        except ValueError:
            raise ValueError(f"{name} is {text!r}; expected a number") from None
        if not math.isfinite(values[name]):
            raise ValueError(f"{name} is {text!r}; expected a finite number")
    for name, least in (("frame", 1), ("id", 0)):
        if values[name] < least or values[name] != int(values[name]):
            raise ValueError(f"{name} is {values[name]:g}; expected a whole number from {least} on")
    for name in ("width", "height"):
        if values[name] <= 0:
            raise ValueError(f"{name} is {values[name]:g}; expected more than 0")
    sides = (values[name] for name in ("left", "top", "width", "height"))
    return int(values["id"]), TrackedBox(int(values["frame"]), *sides), values.get("conf", 1.0)
