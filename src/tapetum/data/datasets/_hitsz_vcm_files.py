"""The three kinds of text file of HITSZ-VCM as arrays of numbers, each line checked.

Files of half a million lines are read at once: a file whose letters and blanks form the expected pattern line
by line needs no look at single lines. Any other file is read line by line, to allow for trailing white space
or to say which line is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.data.datasets._text_files import refuse_missing
from tapetum.errors import DataError

Numbers = NDArray[np.int64]

INFRARED, VISIBLE = 1, 2
CAMERAS = range(1, 13)
_LARGEST = 10**9
_DIGITS = b"0123456789"


@dataclass(frozen=True, slots=True)
class Names:
    """A name file, line by line: int64 `[lines]` each."""

    person: Numbers
    modality: Numbers
    camera: Numbers
    tracklet: Numbers
    frame: Numbers


@dataclass(frozen=True, slots=True)
class Tracks:
    """A track file, row by row: int64 `[rows]` each.

    Attributes:
        modality: 1 infrared, 2 visible.
        start: First line of the name file, from 0.
        end: Last line of the name file, exclusive, from 0.
        person: Identity.
        camera: 1 to 12.
    """

    modality: Numbers
    start: Numbers
    end: Numbers
    person: Numbers
    camera: Numbers

    @property
    def lengths(self) -> Numbers:
        """Frames of each row."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class _LineFormat:
    """How a line of numbers looks: `skeleton` is what remains without its digits, `tail` what ends it."""

    pattern: re.Pattern[bytes]
    skeleton: bytes
    separators: bytes
    tail: bytes
    expected: str


_NAME_LINE = _LineFormat(
    re.compile(rb"(\d+)M(\d+)D(\d+)T(\d+)F(\d+)\.jpg"),
    b"MDTF.jpg\n",
    b"MDTF",
    b".jpg\n",
    "a name such as 0001M2D3T1F6.jpg",
)
_TRACK_LINE = _LineFormat(
    re.compile(rb"\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)"),
    b"    \n",
    b"",
    b"\n",
    "five integers: modality, first line, last line, identity, camera",
)


def read_names(path: Path) -> Names:
    """The frames of a name file, in its order.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is empty, or a line is no name of a frame, or has an unknown modality or camera.
    """
    table = _read_table(path, _NAME_LINE)
    _check_codes(path, table[:, 1], table[:, 2])
    return Names(*np.ascontiguousarray(table.T))


def read_tracks(path: Path, lines: int) -> Tracks:
    """The rows of a track file, in its order.

    Args:
        path: The file.
        lines: Lines of the name file that the ranges point into.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is empty, or a row is not five integers, has an unknown modality or camera, or a
            range that is empty or outside the name file.
    """
    table = _read_table(path, _TRACK_LINE)
    modality, first, last, person, camera = np.ascontiguousarray(table.T)
    _check_codes(path, modality, camera)
    wrong = np.flatnonzero((first < 1) | (last > lines) | (last < first))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"{path}:{row + 1}: frames {first[row]} to {last[row]}; expected a range of at least one frame "
            f"inside the {lines} lines of the name file, counted from 1"
        )
    return Tracks(modality, first - 1, last, person, camera)


def read_query_rows(path: Path, rows: int) -> Numbers:
    """Query rows of the test track file, counted from 0, in the file's order; all lines of the file count.

    Args:
        path: The file.
        rows: Rows of the track file.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file holds no integers, something else, or a row outside the track file.
    """
    found = []
    for number, line in enumerate(_read_bytes(path).splitlines(), start=1):
        for token in line.split():
            text = token.decode("utf-8", "replace")
            if not re.fullmatch(rb"\d{1,9}", token) or not 1 <= int(token) <= rows:
                raise DataError(f"{path}:{number}: {text[:80]!r}; expected a row number in 1..{rows}")
            found.append(int(token) - 1)
    if not found:
        raise DataError(f"{path}: no query rows; expected row numbers of the test track file, from 1")
    return np.array(found, dtype=np.int64)


def _read_table(path: Path, line_format: _LineFormat) -> Numbers:
    """All numbers of a file, `[lines, 5]`."""
    text = _read_bytes(path).rstrip() + b"\n"
    if text == b"\n":
        raise DataError(f"{path}: the file is empty; expected on each line {line_format.expected}")
    table = _parse_at_once(text, line_format)
    return _parse_lines(path, text, line_format) if table is None else table


def _read_bytes(path: Path) -> bytes:
    refuse_missing(path, "expected the info folder of HITSZ-VCM")
    return path.read_bytes()


def _parse_at_once(text: bytes, line_format: _LineFormat) -> Numbers | None:
    """All numbers, `[lines, 5]`; None where a line is not exactly of the format.

    When the text without digits is the skeleton again and again, and nothing but digits is left beside
    separators and tails, each line has five places for a number; five numbers a line fill them all.
    """
    lines = text.count(b"\n")
    if text.translate(None, _DIGITS) != line_format.skeleton * lines:
        return None
    blanks = bytes.maketrans(line_format.separators, b" " * len(line_format.separators))
    spaced = text.replace(line_format.tail, b" ").translate(blanks)
    if spaced.translate(None, _DIGITS + b" "):
        return None
    numbers = np.fromstring(spaced, dtype=np.int64, sep=" ")
    if len(numbers) != 5 * lines or numbers.max() >= _LARGEST:
        return None
    return numbers.reshape(lines, 5)


def _parse_lines(path: Path, text: bytes, line_format: _LineFormat) -> Numbers:
    """All numbers, `[lines, 5]`, line by line."""
    rows = []
    for number, line in enumerate(text[:-1].split(b"\n"), start=1):
        match = line_format.pattern.fullmatch(line.rstrip())
        values = [int(part) for part in match.groups()] if match and len(line) < 200 else None
        if values is None or max(values) >= _LARGEST:
            found = line.rstrip().decode("utf-8", "replace")
            raise DataError(f"{path}:{number}: {found[:80]!r}; expected {line_format.expected}")
        rows.append(values)
    return np.array(rows, dtype=np.int64)


def _check_codes(path: Path, modality: Numbers, camera: Numbers) -> None:
    for what, values, known, meaning in (
        ("modality", modality, range(INFRARED, VISIBLE + 1), "1 (infrared) or 2 (visible)"),
        ("camera", camera, CAMERAS, f"{CAMERAS[0]}..{CAMERAS[-1]}"),
    ):
        wrong = np.flatnonzero((values < known[0]) | (values > known[-1]))
        if len(wrong):
            line = int(wrong[0])
            raise DataError(f"{path}:{line + 1}: unknown {what} {values[line]}; expected {meaning}")
