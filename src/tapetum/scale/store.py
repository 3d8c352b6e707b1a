"""Where an extraction's files lie: a folder or object storage; each is written whole or not at all."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from pathlib import Path

from tapetum.files import replace_file
from tapetum.object_storage import RemoteAddress, is_remote, look_at, read_bytes, write_bytes

HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Numbers of errors that will come again with every other file: there is no place to write to."""


class Store(ABC):
    """Named files of bytes. What `write` was cut off from writing is not there."""

    address: str

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: There is none.
            OSError: It cannot be read.
        """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Put a file there, whole or not at all; one that is there is replaced.

        Raises:
            OSError: It cannot be written; what was there before is untouched.
        """

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def where(self, name: str) -> str:
        """Path or address of a file, for messages."""

    def sweep(self, name: str, process: int) -> None:  # noqa: B027 (most stores have nothing to do)
        """Remove what a process of this machine that was killed left half-written of a file."""


class FolderStore(Store):
    """Files in a folder, which other machines may share."""

    def __init__(self, folder: Path) -> None:
        """The files below a folder, which need not be there yet."""
        self._folder = folder
        self.address = str(folder)

    def read(self, name: str) -> bytes:
        """The bytes of a file; see `Store.read`."""
        return (self._folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write beside and rename; see `Store.write`."""
        place = self._folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        replace_file(place, lambda file: file.write_bytes(content))

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self._folder / name).is_file()

    def where(self, name: str) -> str:
        """Path of a file."""
        return str(self._folder / name)

    def sweep(self, name: str, process: int) -> None:
        """Remove what a killed process left half-written of a file; see `Store.sweep`."""
        place = self._folder / name
        place.with_name(f".{place.name}.{process}.part").unlink(missing_ok=True)


class BucketStore(Store):
    """Files below an address in object storage, each written by one put."""

    def __init__(self, address: str) -> None:
        """The files below an address.

        Raises:
            ValueError: It is no address of object storage.
        """
        self._base = RemoteAddress.parse(address)
        self.address = address

    def read(self, name: str) -> bytes:
        """The bytes of a file; see `Store.read`."""
        return read_bytes(self.where(name))

    def write(self, name: str, content: bytes) -> None:
        """Put a file there; see `Store.write`."""
        write_bytes(self.where(name), content)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return look_at(self.where(name)) is not None

    def where(self, name: str) -> str:
        """Address of a file."""
        return self._base.below(name)


def open_store(address: str | Path) -> Store:
    """The store at a path or an address s3://BUCKET/PREFIX."""
    text = str(address)
    return BucketStore(text) if is_remote(text) else FolderStore(Path(text))
