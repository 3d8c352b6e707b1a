"""What tells a changed file from an unchanged one without reading it: size and time of the last change.

Times are compared for equality only and never with a clock, so machines whose clocks differ do no harm.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

from tapetum.data.containers import Reference
from tapetum.data.lmdb_container import LmdbContainer
from tapetum.object_storage import is_remote, look_at

FileRule = Literal["stat", "names"]
"""What of a source's files counts: names, sizes and times, or names alone."""

MISSING = "missing"
_DIGITS = 16


def check_rule(rule: str) -> None:
    """Nothing, or an error where a rule is unknown.

    Raises:
        ValueError: It is.
    """
    if rule not in get_args(FileRule):
        raise ValueError(f"unknown rule {rule!r} for files; known: {', '.join(get_args(FileRule))}")


def file_stamp(path: str) -> str:
    """Size and time of a file, or of the main file of a folder; a text of its own where there is none.

    Raises:
        OSError: Object storage does not answer.
    """
    if is_remote(path):
        remote = look_at(path)
        return MISSING if remote is None else f"{remote.size}@{remote.changed_ns}"
    place = Path(path)
    try:
        found = (place / LmdbContainer.MAIN_FILE if place.is_dir() else place).stat()
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    return f"{found.st_size}@{found.st_mtime_ns}"


class Stamps:
    """Stamps of tracklets' frames; a container that holds many of them is looked at once."""

    def __init__(self, rule: FileRule) -> None:
        """By a rule; with "names" every stamp is the same and no file is looked at."""
        self._rule = rule
        self._containers: dict[str, str] = {}

    def of(self, frames: Sequence[str]) -> str:
        """One short text for all frames of a tracklet.

        Raises:
            OSError: A file cannot be looked at.
        """
        if self._rule == "names":
            return ""
        text = "\n".join(self._one(frame) for frame in frames)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]

    def _one(self, frame: str) -> str:
        reference = Reference.parse(frame)
        if reference is None:
            return file_stamp(frame)
        container = reference.container
        if container not in self._containers:
            self._containers[container] = file_stamp(container)
        return self._containers[container]


def absolute(frames: Iterable[str]) -> tuple[str, ...]:
    """Frames whose paths mean the same on every machine that has the files, whatever folder it works in."""
    return tuple(f if is_remote(f) else os.path.abspath(f) for f in frames)  # noqa: PTH100
