"""BUPTCampus packed into six LMDB databases, as X-ReID's code reads it; a writer of the same.

Packed are pictures, identity and camera. Names of tracklets are not, and training identities are labels.
"""

from __future__ import annotations

import errno
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from tapetum.data.containers import ContainedFrames, open_container
from tapetum.data.datasets._base import DataSet
from tapetum.data.datasets._bupt_campus_files import CAMERAS
from tapetum.data.lmdb_container import LmdbContainer
from tapetum.errors import DataError, MissingExtraError
from tapetum.files import replace_file, replace_folder
from tapetum.types import Id, Modality, Tracklet

DATABASES = {
    (part, modality): f"{part}_{name}.lmdb"
    for part in ("train", "query", "gallery")
    for modality, name in ((Modality.VISIBLE, "rgb"), (Modality.INFRARED, "ir"))
}
"""File or folder of each part and modality."""

_BATCH_BYTES = 2**26
_PICKLE_PROTOCOL = 4
_LARGEST_MAP = 2**46


def read_database(root: Path, part: str, modality: Modality) -> tuple[Tracklet, ...]:
    """The tracklets of one database in its order, their frames as references into it.

    A tracklet's id is the name of the database and its key, such as "query_ir/0".

    Raises:
        FileNotFoundError: There is no such database.
        DataError: It is damaged, not as the format says, or has a camera beyond the six.
        MissingExtraError: The package `lmdb` is not installed.
    """
    name = DATABASES[part, modality]
    path = str(root / name)
    database = cast(LmdbContainer, open_container(path))
    made = []
    for packed in database.tracklets():
        if packed.camera >= len(CAMERAS):
            raise DataError(
                f"{path}: tracklet {packed.entry}: unknown camera {packed.camera}; expected 0 to "
                f"{len(CAMERAS) - 1} for {', '.join(CAMERAS)}"
            )
        frames = ContainedFrames(path, packed.entry, range(packed.frames))
        tracklet_id = f"{name.removesuffix('.lmdb')}/{packed.entry}"
        made.append(
            Tracklet(tracklet_id, frames, modality, packed.person, CAMERAS[packed.camera], None, part)
        )
    return tuple(made)


def pack_dataset(data: DataSet, root: Path, *, as_folders: bool = True) -> Path:
    """Write the six databases of a data set whose frames are files into the new folder `root`, or nothing.

    Training identities are written as labels, the index in `data.label_ids`. Pictures are copied as they are.

    Args:
        data: BUPTCampus, read from its folder.
        root: A folder that does not exist yet, or is empty.
        as_folders: Make each database a folder with a file; else a single file.

    Returns:
        `root`.

    Raises:
        FileExistsError: There is something in `root`.
        DataError: A frame cannot be read, a camera is none of the six, or an identity is no number.
        OSError: The folder cannot be written.
        MissingExtraError: The package `lmdb` is not installed.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} exists and is not an empty folder; give another one or remove it")
    labels = {person: label for label, person in enumerate(data.label_ids)}

    def write(folder: Path) -> None:
        for (part, modality), name in DATABASES.items():
            tracklets = [t for t in data.split(part) if t.modality is modality]
            numbers = labels if part == "train" else None
            write_lmdb(folder / name, tracklets, numbers=numbers, as_folder=as_folders)

    return replace_folder(root, write)


def write_lmdb(
    path: Path,
    tracklets: Iterable[Tracklet],
    *,
    numbers: Mapping[Id, int] | None = None,
    as_folder: bool = True,
) -> Path:
    """Write one database of tracklets whose frames are files, whole or not at all.

    Args:
        path: The folder or file to make, or to replace.
        tracklets: What to write, in this order; keys are their positions.
        numbers: What to write for an identity; None: itself.
        as_folder: Make a folder with a file in it; else a single file.

    Returns:
        `path`.

    Raises:
        DataError: A frame cannot be read, a camera is none of the six, or an identity is no number.
        OSError: The database cannot be written.
        MissingExtraError: The package `lmdb` is not installed.
    """
    write = partial(_write, items=_items(tracklets, numbers), as_folder=as_folder)
    return (replace_folder if as_folder else replace_file)(path, write)


def _items(tracklets: Iterable[Tracklet], numbers: Mapping[Id, int] | None) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a database."""
    keys = []
    for position, tracklet in enumerate(tracklets):
        keys.append(str(position).encode("ascii"))
        yield keys[-1], _pickled(_value(tracklet, numbers))
    yield b"__keys__", _pickled(keys)
    yield b"__len__", _pickled(len(keys))


def _value(tracklet: Tracklet, numbers: Mapping[Id, int] | None) -> list[object]:
    """Frames, identity and camera as they are stored."""
    person: object = tracklet.person_id
    if numbers is not None and tracklet.person_id is not None:
        person = numbers.get(tracklet.person_id)
    if not isinstance(person, int) or person < 0:
        raise DataError(
            f"{tracklet.tracklet_id}: identity {tracklet.person_id!r}; expected a known number from 0"
        )
    if tracklet.camera_id not in CAMERAS:
        raise DataError(
            f"{tracklet.tracklet_id}: camera {tracklet.camera_id!r}; expected one of {', '.join(CAMERAS)}"
        )
    try:
        frames = [Path(frame).read_bytes() for frame in tracklet.frames]
    except OSError as error:
        raise DataError(f"{tracklet.tracklet_id}: cannot read a frame: {error}") from error
    return [frames, person, CAMERAS.index(tracklet.camera_id)]


def _pickled(value: object) -> bytes:
    return pickle.dumps(value, _PICKLE_PROTOCOL)


def _write(path: Path, items: Iterator[tuple[bytes, bytes]], as_folder: bool) -> None:
    try:
        import lmdb
    except ImportError:
        raise MissingExtraError("lmdb", "lmdb") from None
    try:
        environment = lmdb.open(str(path), subdir=as_folder, lock=False, map_size=2 * _BATCH_BYTES)
        try:
            for batch in _batches(items):
                _commit(environment, batch)
        finally:
            environment.close()
    except lmdb.Error as error:
        full = isinstance(error, lmdb.DiskError) or "No space left" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error


def _batches(items: Iterator[tuple[bytes, bytes]]) -> Iterator[Sequence[tuple[bytes, bytes]]]:
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in items:
        batch.append((key, value))
        size += len(value)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _commit(environment: Any, batch: Sequence[tuple[bytes, bytes]]) -> None:
    """Write a batch in one transaction; where the map is too small, double it and try again."""
    import lmdb

    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in batch:
                    transaction.put(key, value)
            return
        except lmdb.MapFullError:
            size = environment.info()["map_size"]
            if size >= _LARGEST_MAP:
                raise
            environment.set_mapsize(2 * size)
