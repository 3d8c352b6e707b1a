"""Frames that lie inside another file: how a text refers to one, and the few containers kept open for them.

A frame is a path, an address in object storage, or a reference `<path of the container>::<entry>`. The ending
of the container's path says what kind it is, and the kind says what an entry looks like. Containers are
opened when a frame is first asked for, once in each process, and the ones used last stay open.
"""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload
from weakref import WeakValueDictionary

from PIL import Image

from tapetum.data.lmdb_container import LmdbContainer
from tapetum.data.tar_files import TAR_ENDING, TarFile
from tapetum.data.video_files import VIDEO_ENDINGS, VideoFile
from tapetum.errors import DataError
from tapetum.object_storage import is_remote, look_at, read_bytes

SEPARATOR = "::"
MOST_OPEN = 8
"""Containers that stay open in a process."""


class Container(Protocol):
    """An open file that holds frames; threads and forked processes may share it."""

    def picture(self, entry: str) -> Image.Image:
        """The picture of an entry, ready to be loaded.

        Raises:
            DataError: There is no such entry, or it is damaged; the message does not repeat the entry.
            OSError: Pillow finds no picture in it.
        """

    def __contains__(self, entry: str) -> bool:
        """Whether there is such an entry; it may still be damaged."""


_Version = tuple[int, int, int, int]
"""Device, number, time of the last change and size of a file."""

_KINDS: dict[str, Callable[[Path], Container]] = {
    ".lmdb": LmdbContainer,
    TAR_ENDING: TarFile,
    **dict.fromkeys(VIDEO_ENDINGS, VideoFile),
}
"""By the ending of a container's path, what opens it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A frame inside a container."""

    container: str
    entry: str

    @classmethod
    def parse(cls, frame: str) -> Reference | None:
        """The reference that `frame` is; None where it is the path of a file of its own.

        >>> Reference.parse("/data/query_ir.lmdb::0/17")
        Reference(container='/data/query_ir.lmdb', entry='0/17')
        >>> Reference.parse("/data/gate.mp4::frame=12&box=40,8,32,80")
        Reference(container='/data/gate.mp4', entry='frame=12&box=40,8,32,80')
        >>> Reference.parse("/data/query_ir/17.jpg"), Reference.parse("/data/a::b/17.jpg")
        (None, None)
        """
        container, separator, entry = frame.rpartition(SEPARATOR)
        return cls(container, entry) if separator and container.endswith(tuple(_KINDS)) else None


class ContainedFrames(Sequence[str]):
    """References `container::entry/0`, `container::entry/1`, ...: made when asked for.

    >>> list(ContainedFrames("/data/query_ir.lmdb", "0", range(2)))
    ['/data/query_ir.lmdb::0/0', '/data/query_ir.lmdb::0/1']
    """

    __slots__ = ("container", "entry", "numbers")

    def __init__(self, container: str, entry: str, numbers: range) -> None:
        self.container = container
        self.entry = entry
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> ContainedFrames: ...
    def __getitem__(self, index: int | slice) -> str | ContainedFrames:
        if isinstance(index, slice):
            return ContainedFrames(self.container, self.entry, self.numbers[index])
        return f"{self.container}{SEPARATOR}{self.entry}/{self.numbers[index]}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ContainedFrames):
            return NotImplemented
        return self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    def __repr__(self) -> str:
        return f"ContainedFrames({self.container!r}, {self.entry!r}, {self.numbers!r})"

    @property
    def _parts(self) -> tuple[str, str, range]:
        return self.container, self.entry, self.numbers


def open_picture(frame: str) -> Image.Image:
    """The picture of a frame, as Pillow opens it: nothing is decoded yet.

    Args:
        frame: A path, an address in object storage, or a reference.

    Raises:
        DataError: There is no such entry in the container, or no such container, or it is damaged.
        OSError: There is no such file, or it holds no picture.
        MissingExtraError: What reads the container is not installed.
    """
    reference = Reference.parse(frame)
    if reference is None:
        return Image.open(io.BytesIO(read_bytes(frame)) if is_remote(frame) else frame)
    return open_container(reference.container).picture(reference.entry)


def has_frame(frame: str) -> bool:
    """Whether there is something where `frame` says: a file, or an entry of a container."""
    reference = Reference.parse(frame)
    if reference is None:
        return look_at(frame) is not None if is_remote(frame) else Path(frame).is_file()
    try:
        return reference.entry in open_container(reference.container)
    except (DataError, OSError):
        return False


def open_container(path: str) -> Container:
    """The container at `path`, opened where it is not open yet, or where its file was replaced since.

    Raises:
        FileNotFoundError: There is none.
        DataError: It is not of the kind that its ending says, or it lies in object storage.
        ValueError: The ending is of no known kind.
        MissingExtraError: What reads it is not installed.
    """
    if is_remote(path):
        raise DataError("lies in object storage, where only whole files are read; copy it to this machine")
    return _open.get(path)


def close_container(path: str) -> None:
    """Let go of the container at `path`, so that its file leaves the disk where it is removed.

    Raises:
        FileNotFoundError: There is none.
    """
    _open.drop(path)


class _OpenContainers:
    """The containers open in this process, by their file and its version."""

    def __init__(self) -> None:
        self.renew_lock()
        self._last_used: OrderedDict[_Version, Container] = OrderedDict()
        self._all: WeakValueDictionary[_Version, Container] = WeakValueDictionary()

    def get(self, path: str) -> Container:
        """The container at `path`; one that another thread still uses is not opened twice."""
        version = _version(Path(path))
        with self._lock:
            found = self._all.get(version)
            if found is None:
                self._close_former(version)
                found = self._all[version] = _kind_of(path)(Path(path))
            self._last_used[version] = found
            self._last_used.move_to_end(version)
            while len(self._last_used) > MOST_OPEN:
                self._last_used.popitem(last=False)
        return found

    def drop(self, path: str) -> None:
        """Hold the container at `path` no longer; who uses it still can."""
        version = _version(Path(path))
        with self._lock:
            self._last_used.pop(version, None)

    def renew_lock(self) -> None:
        """Begin with an open lock: in a forked process nobody is left to open one that was closed."""
        self._lock = threading.Lock()

    def _close_former(self, version: _Version) -> None:
        """Let go of the same file as it was before it was written again in place."""
        for other in list(self._last_used):
            if other[:2] == version[:2]:
                del self._last_used[other]


def _version(path: Path) -> _Version:
    """Which file `path` is, or the main file of a folder there, and when it was written."""
    place = path / LmdbContainer.MAIN_FILE if path.is_dir() else path
    try:
        found = place.stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{place}: no such file") from None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _kind_of(path: str) -> Callable[[Path], Container]:
    for ending, kind in _KINDS.items():
        if path.endswith(ending):
            return kind
    raise ValueError(f"{path}: no known kind of container; known endings: {', '.join(_KINDS)}")


_open = _OpenContainers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.renew_lock)
