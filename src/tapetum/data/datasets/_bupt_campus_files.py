"""The text files of BUPTCampus: which frames there are (`data_paths.json`), and the lists of tracklets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tapetum.data.datasets._numbered_frames import NumberedFrames
from tapetum.data.datasets._text_files import read_lines, refuse_missing
from tapetum.errors import DataError

CAMERAS = ("LS3", "G25", "CQ1", "W4", "TSG1", "TSG2")
"""Names of the cameras, in the order of the numbers that other packagings and readers use."""
PATHS_FILE = "data_paths.json"
PICTURES = "DATA"
VISIBLE, INFRARED, PAIR, GENERATED = "RGB", "IR", "RGB/IR", "FakeIR"

_LEVELS = ("identity", "modality", "camera", "tracklet")
_ENDING = ".jpg"
_PERSON = re.compile(r"\d{1,9}")
_NUMBERED = re.compile(r"(.+)/([^/]*?)(\d{1,9})\.jpg", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a list: a tracklet, or a pair of them.

    Attributes:
        place: File and line, such as "/data/query.txt:3".
        person: Identity, as written.
        modality: "RGB", "IR", or "RGB/IR" for the pair.
        camera: Name of the camera.
        tracklet: Name of the tracklet within identity, modality and camera.
    """

    place: str
    person: str
    modality: str
    camera: str
    tracklet: str


class DataPaths:
    """The frames of every tracklet, as `data_paths.json` lists them.

    Attributes:
        path: The file.
        pictures: The folder that its paths start in.
        generated: Whether generated infrared frames stand for the visible ones.
        people: How many identities it has.
        tracklets: How many tracklets.
    """

    def __init__(self, path: Path, pictures: Path, generated: bool = False) -> None:
        """Read the file; frames whose names differ by a number are kept as numbers.

        Raises:
            FileNotFoundError: No such file.
            DataError: It is no JSON, or no object of objects.
        """
        self.path = path
        self.pictures = pictures.as_posix()
        self.generated = generated
        self._tree = _read_json(path)
        self.people = len(self._tree)
        self.tracklets = sum(1 for _ in self._leaves())

    def frames(self, listed: Listed, modality: str) -> Sequence[str]:
        """Paths of the frames of a listed tracklet, or of one of a listed pair.

        Raises:
            DataError: The file has no such tracklet, or one without frames; the message names line and key.
        """
        found = self._find(listed, modality)
        if isinstance(found, tuple):
            return tuple(f"{self.pictures}/{self._shown(path)}" for path in found)
        folder = self._shown(f"{found.folder}/").removesuffix("/")
        return NumberedFrames(f"{self.pictures}/{folder}", found.numbers, found.name)

    def _shown(self, path: str) -> str:
        """The path itself, or where the generated twin of a visible picture lies."""
        return path.replace(f"/{VISIBLE}/", f"/{GENERATED}/", 1) if self.generated else path

    def are_in_place(self, listed: Listed, modality: str) -> bool:
        """Whether the frames of a listed tracklet are named as identity, modality and camera say."""
        found = self._find(listed, modality)
        folder = f"{listed.person}/{modality}/{listed.camera}"
        name = "_".join((listed.person, modality, listed.camera, listed.tracklet, ""))
        return isinstance(found, NumberedFrames) and (found.folder, found.name) == (folder, name)

    def _find(self, listed: Listed, modality: str) -> NumberedFrames | tuple[str, ...]:
        keys = (listed.person, modality, listed.camera, listed.tracklet)
        found: object = self._tree
        for depth, (what, key) in enumerate(zip(_LEVELS, keys, strict=True)):
            if not isinstance(found, dict) or key not in found:
                within = "/".join(keys[:depth])
                raise DataError(
                    f"{listed.place}: {self.path.name} has no {what} {key!r}{within and f' within {within}'}"
                )
            found = found[key]
        if not isinstance(found, (NumberedFrames, tuple)):
            raise DataError(
                f"{listed.place}: {self.path.name} has no list of paths for {'/'.join(keys)}, or an empty one"
            )
        return found

    def _leaves(self) -> Iterator[object]:
        for modalities in self._tree.values():
            for cameras in _values(modalities):
                for tracklets in _values(cameras):
                    yield from _values(tracklets)


def read_list(path: Path, modalities: Sequence[str]) -> list[Listed]:
    """The lines of a list, in the file's order; empty lines at its end do not count.

    Args:
        path: The file.
        modalities: What may stand for the modality.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is empty or no text, or a line is not of the form; the message names it.
    """
    expected = (
        f"expected identity, modality, camera and tracklet on each line, such as 19 {modalities[0]} LS3 1"
    )
    listed = []
    for number, line in enumerate(read_lines(path, expected), start=1):
        place, fields = f"{path}:{number}", line.split()
        if len(fields) != 4 or not _PERSON.fullmatch(fields[0]):
            raise DataError(f"{place}: {line.strip()[:80]!r}; {expected}")
        for what, field, known in (("modality", fields[1], modalities), ("camera", fields[2], CAMERAS)):
            if field not in known:
                raise DataError(f"{place}: unknown {what} {field[:80]!r}; expected {' or '.join(known)}")
        listed.append(Listed(place, *fields))
    return listed


def numbered_frames(paths: Sequence[str]) -> NumberedFrames | tuple[str, ...]:
    """The same paths, as numbers where they have one folder, one name and a number each.

    >>> numbered_frames(["1/IR/W4/1_IR_W4_1_7.jpg", "1/IR/W4/1_IR_W4_1_8.jpg"])
    NumberedFrames('1/IR/W4', [7, 8], '1_IR_W4_1_')
    >>> numbered_frames(["1/IR/W4/7.png"])
    ('1/IR/W4/7.png',)
    """
    match = _NUMBERED.fullmatch(paths[0])
    if match is None:
        return tuple(paths)
    folder, name, first = match[1], match[2], int(match[3])
    stem = f"{folder}/{name}"
    numbers: Sequence[int] = range(first, first + len(paths))
    if paths != [f"{stem}{number}.jpg" for number in numbers]:
        numbers = _numbers(paths, len(stem))
        if paths != [f"{stem}{number}.jpg" for number in numbers]:
            return tuple(paths)
    return NumberedFrames(folder, np.array(numbers, dtype=np.int32), name)


def _numbers(paths: Sequence[str], start: int) -> Sequence[int]:
    """What stands between `start` and the ending of each path; nothing where something is no number."""
    tails = [path[start : -len(_ENDING)] for path in paths]
    return [int(tail) for tail in tails] if all(_PERSON.fullmatch(tail) for tail in tails) else ()


def _read_json(path: Path) -> dict[str, Any]:
    refuse_missing(path, "expected the frames of BUPTCampus's tracklets")
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_compact)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, _TwiceError) as error:
        raise DataError(f"{path}: no JSON file of tracklets: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: {type(found).__name__}; expected an object of identities")
    return found


class _TwiceError(ValueError):
    """A key that an object has twice."""


def _compact(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the file, the lists in it made small as soon as they are read."""
    made = {key: _compact_list(value) if isinstance(value, list) else value for key, value in pairs}
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _TwiceError(f"the key {twice[:80]!r} stands twice in one object")
    return made


def _compact_list(value: list[Any]) -> object:
    """Paths as `numbered_frames`; anything else as it is, for it matters only where a list names it."""
    if value and set(map(type, value)) == {str}:
        return numbered_frames(value)
    return value


def _values(level: object) -> Sequence[object]:
    return list(level.values()) if isinstance(level, dict) else ()
