"""Tracklets in an LMDB database, as X-ReID's code packs BUPTCampus: for each, a pickle of encoded pictures.

Of a value is read where its pictures lie, then those that are asked for; it is never unpickled as a whole
(see `plain_pickles`). The database itself is mapped into memory by the LMDB library, which trusts what it
finds there: use databases of a source that you trust.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from PIL import Image

from tapetum.data.plain_pickles import read_plain_pickle
from tapetum.errors import DataError, MissingExtraError

_LENGTH, _KEYS = b"__len__", b"__keys__"
_REMEMBERED = 64
"""Tracklets of which a container remembers where their pictures lie."""


@dataclass(frozen=True, slots=True)
class PackedTracklet:
    """What is known of a tracklet without its pictures.

    Attributes:
        entry: Its key as text; the entries of its frames are `entry/0`, `entry/1` and so on.
        frames: Number of its frames.
        person: Identity, or training label, as written.
        camera: Number of the camera.
    """

    entry: str
    frames: int
    person: int
    camera: int


@dataclass(frozen=True, slots=True)
class _Value:
    """A tracklet's value: where in it the pictures lie (or they themselves), and what stands beside them."""

    pictures: Sequence[slice | bytes]
    person: int
    camera: int


class LmdbContainer:
    """A database of tracklets, open for reading; the entry `17/3` is frame 3 of the tracklet with key 17.

    What is no letter, digit or one of `_.-~` in a key is written as in web addresses, a slash as %2F. Threads
    may share it, and so may a forked process: open for reading and without a lock it is a mapped file alone.
    """

    MAIN_FILE: ClassVar[str] = "data.mdb"
    """Of a database that is a folder."""

    def __init__(self, path: Path) -> None:
        """Open the folder or the single file at `path`, without a lock and without reading ahead.

        Raises:
            FileNotFoundError: There is none.
            DataError: It is no database, or it is cut short.
            MissingExtraError: The package `lmdb` is not installed.
        """
        self.path = path
        self._environment = _open_environment(path)
        self._value = lru_cache(_REMEMBERED)(partial(_look_at, self._environment))

    def tracklets(self) -> Iterator[PackedTracklet]:
        """All tracklets, in the order of the database's list of keys; looks at all its values.

        Raises:
            DataError: The list of keys is missing or wrong, or a value is not as the format says.
        """
        for key in self._keys():
            name = quote_from_bytes(key, safe="")
            try:
                value = _look_at(self._environment, key)
            except DataError as error:
                raise DataError(f"{self.path}: tracklet {name}: {error}") from None
            yield PackedTracklet(name, len(value.pictures), value.person, value.camera)

    def picture(self, entry: str) -> Image.Image:
        """The picture of an entry, ready to be loaded.

        Raises:
            DataError: There is no such entry, or the tracklet's value is not as the format says.
            OSError: Pillow finds no picture in it.
        """
        key, number = _parse_entry(entry)
        pictures = self._value(key).pictures
        if number >= len(pictures):
            raise DataError(f"no such frame: the tracklet has {len(pictures)}")
        picture = pictures[number]
        if isinstance(picture, slice):
            with _read(self._environment, key) as data:
                picture = bytes(data[picture])
        return Image.open(io.BytesIO(picture))

    def __contains__(self, entry: str) -> bool:
        """Whether there is such a frame; it may still be damaged."""
        try:
            key, number = _parse_entry(entry)
            return number < len(self._value(key).pictures)
        except DataError:
            return False

    def _keys(self) -> list[bytes]:
        """The keys of all tracklets, checked against the number of them that is stored beside."""
        try:
            with _read(self._environment, _LENGTH) as data:
                length = read_plain_pickle(data)
            with _read(self._environment, _KEYS) as data:
                listed = read_plain_pickle(data)
                keys = [bytes(data[k]) if isinstance(k, slice) else k for k in _sequence("keys", listed)]
        except DataError as error:
            raise DataError(f"{self.path}: {error}; expected a database of tracklets") from None
        if not all(isinstance(key, bytes) for key in keys) or len(set(keys)) != len(keys):
            raise DataError(f"{self.path}: the list of keys holds what is no key, or a key twice")
        if length != len(keys):
            raise DataError(
                f"{self.path}: {len(keys)} keys, but the number of them is stored as {_kind(length)}"
            )
        return keys


@contextmanager
def _read(environment: Any, key: bytes) -> Iterator[memoryview]:
    """The bytes of a value, not copied and only there inside the block."""
    import lmdb

    try:
        with environment.begin(buffers=True) as transaction:
            data = transaction.get(key)
            if data is None:
                raise DataError(f"no key {key[:80]!r} in the database")
            yield data
    except lmdb.Error as error:
        raise DataError(f"the database is damaged: {error}") from error


def _look_at(environment: Any, key: bytes) -> _Value:
    with _read(environment, key) as data:
        return _parse_value(data)


def _open_environment(path: Path) -> Any:
    try:
        import lmdb
    except ImportError:
        raise MissingExtraError("lmdb", "lmdb") from None
    is_folder = path.is_dir()
    file = path / LmdbContainer.MAIN_FILE if is_folder else path
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected an LMDB database")
    try:
        environment = lmdb.open(str(path), subdir=is_folder, readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise DataError(f"{file}: no LMDB database: {error}") from error
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if file.stat().st_size < needed:  # a page beyond the end of the file would end the process
        environment.close()
        raise DataError(f"{file}: {file.stat().st_size} bytes, but its pages need {needed}: cut short")
    return environment


def _parse_value(data: memoryview) -> _Value:
    content = _sequence("a tracklet", read_plain_pickle(data))
    if len(content) != 3:
        raise DataError(f"a tracklet of {len(content)} parts; expected frames, identity and camera")
    pictures, person, camera = _sequence("the frames", content[0]), content[1], content[2]
    for what, number in (("identity", person), ("camera", camera)):
        if not isinstance(number, int) or number < 0:
            raise DataError(f"the {what} is {_kind(number)}; expected an integer from 0")
    if not pictures:
        raise DataError("a tracklet without frames")
    for picture in pictures:
        if not isinstance(picture, (slice, bytes)):
            raise DataError(f"a frame is {_kind(picture)}; expected the bytes of a picture file")
    return _Value(pictures, person, camera)


def _sequence(what: str, value: object) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{what}: {_kind(value)}; expected a list")
    return value


def _kind(value: object) -> str:
    """An integer itself, of all else its type: a value may be as large as its writer liked."""
    return f"{value!r:.40}" if isinstance(value, int) else f"of type {type(value).__name__}"


def _parse_entry(entry: str) -> tuple[bytes, int]:
    key, slash, number = entry.rpartition("/")
    if not (slash and number.isascii() and number.isdigit() and len(number) < 10):
        raise DataError(f"no entry of a database: {entry[:80]!r}; expected the form KEY/NUMBER")
    return unquote_to_bytes(key), int(number)
