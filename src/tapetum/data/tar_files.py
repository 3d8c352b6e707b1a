"""Pictures inside tar archives, such as the shards of WebDataset: found by an index, read where they lie."""

from __future__ import annotations

import io
import os
import tarfile
import weakref
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from tapetum.errors import DataError

TAR_ENDING = ".tar"
_BLOCK = 512


class TarFile:
    """An uncompressed archive whose members are read one at a time; threads may share it.

    Attributes:
        path: The file.
        damage: What is wrong with the archive itself, in words; "" where it is whole. Members before the
            damage can be read.
    """

    def __init__(self, path: Path) -> None:
        """Look at the headers of all members.

        Raises:
            FileNotFoundError: There is no such file.
            DataError: It is no tar archive, or a compressed one.
        """
        self.path = path
        self.damage = ""
        self._places: dict[str, tuple[int, int]] = {}
        try:
            self._handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: no such file") from None
        self._close = weakref.finalize(self, os.close, self._handle)
        try:
            with tarfile.open(path, "r:") as archive:
                self._index(archive)
        except tarfile.TarError as error:
            raise DataError(f"{path}: no tar archive that can be read: {error}") from None

    def names(self) -> Iterator[str]:
        """Names of all members that are files, in their order."""
        return iter(self._places)

    def read(self, entry: str) -> bytes:
        """The bytes of a member.

        Raises:
            DataError: There is none of this name, or the archive ends inside it.
        """
        if entry not in self._places:
            raise DataError("no such member of the archive")
        start, size = self._places[entry]
        parts: list[bytes] = []
        while size > 0:
            part = os.pread(self._handle, size, start)
            if not part:
                raise DataError("the archive ends inside this member")
            parts.append(part)
            start, size = start + len(part), size - len(part)
        return b"".join(parts)

    def picture(self, entry: str) -> Image.Image:
        """The picture in a member, ready to be loaded.

        Raises:
            DataError: As `read`.
            OSError: Pillow finds no picture in it.
        """
        return Image.open(io.BytesIO(self.read(entry)))

    def __contains__(self, entry: str) -> bool:
        """Whether there is such a member; it may still be damaged."""
        return entry in self._places

    def _index(self, archive: tarfile.TarFile) -> None:
        """Note where members lie, and whether the archive ends as it should.

        The library takes a damaged header in the middle for the end, so what stands there is looked at.
        """
        try:
            for member in archive:
                if member.isreg():
                    self._places[member.name] = (member.offset_data, member.size)
        except tarfile.TarError as error:
            self.damage = f"damaged or cut short after {len(self._places)} files: {error}"
            return
        end = os.pread(self._handle, _BLOCK, archive.offset)
        if not end:
            self.damage = f"cut short: it has no end mark after {len(self._places)} files"
        elif end.strip(b"\0"):
            self.damage = f"damaged at byte {archive.offset}, after {len(self._places)} files"
