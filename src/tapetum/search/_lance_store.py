"""A folder of LanceDB tables with the file that says which of them is the gallery."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tapetum.errors import DataError
from tapetum.search._lance_operations import Table
from tapetum.search._lance_snapshot import Snapshot
from tapetum.search._lance_state import State, TableOf, read_state, write_state
from tapetum.search._lance_table import store_errors, table_schema
from tapetum.search._writer_lock import WriterLock
from tapetum.search.gallery_folder import SUMMARY, refuse_other_content
from tapetum.search.planning import Index


class LanceStore:
    """Tables of a folder; reading needs no lock, writing holds `writing()`."""

    def __init__(self, folder: Path) -> None:
        """The store in a folder, which need not be there yet."""
        self.folder = folder
        self._lock = WriterLock(folder)
        self._connection: Any = None
        self._known: tuple[tuple[int, int, int], State] | None = None

    @contextmanager
    def writing(self) -> Iterator[State | None]:
        """Keep other writers waiting, and give the state that they left; None where there is no gallery.

        Raises:
            OSError: The folder cannot be written.
            DataError: The folder holds something else, or a damaged gallery.
        """
        refuse_other_content_but_a_gallery(self.folder)
        with self._lock.held(), store_errors(self.folder):
            yield self.state()

    def state(self) -> State | None:
        """What the gallery is now; None where there is none.

        Raises:
            DataError: `gallery.json` is damaged, or of another kind of gallery.
            GalleryVersionError: It is of a newer version.
        """
        try:
            found = (self.folder / SUMMARY).stat()
        except FileNotFoundError:
            return None
        signature = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._known
        if known is None or known[0] != signature:
            known = self._known = (signature, read_state(self.folder))
        return known[1]

    def write(self, state: State) -> None:
        """Make this the state, at once."""
        write_state(self.folder, state)

    def open(self, name: str) -> Table:
        """A table of its own as it is now; it stays so until it is written to or told to look again.

        Raises:
            FileNotFoundError: There is no such table.
        """
        try:
            with store_errors(self.folder):
                return self._connect().open_table(name)
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise FileNotFoundError(f"{self.folder}: {error}") from None

    def load(self, of: TableOf, index: Index | None = None) -> Snapshot:
        """A table as it is now.

        Raises:
            FileNotFoundError: There is no such table.
        """
        return Snapshot.load(self.open(of.table), of, index)

    def create(self, of: TableOf) -> Table:
        """A new, empty table; one of that name that an interrupted writing left is dropped."""
        self._drop(of.table)
        with store_errors(self.folder):
            return self._connect().create_table(of.table, schema=table_schema(of.dimension))

    @contextmanager
    def created(self, of: TableOf) -> Iterator[Table]:
        """A new, empty table that is dropped again if what is done with it fails."""
        try:
            yield self.create(of)
        except BaseException:
            self._drop(of.table)
            raise

    def remove_all_but(self, state: State) -> None:
        """Remove tables that are neither searched nor on their way to be."""
        kept = {state.current.table, state.replacement.table if state.replacement else ""}
        for place in self.folder.glob("tracklets-*.lance"):
            if place.stem not in kept:
                self._drop(place.stem)

    def _drop(self, name: str) -> None:
        shutil.rmtree(self.folder / f"{name}.lance", ignore_errors=True)

    def _connect(self) -> Any:
        if self._connection is None:
            import lancedb

            self._connection = lancedb.connect(self.folder)
        return self._connection


def refuse_other_content_but_a_gallery(folder: Path) -> None:
    """Nothing, or an error where a folder holds something else than a gallery.

    Raises:
        DataError: It does.
    """
    if not (folder / SUMMARY).is_file():
        refuse_other_content(folder)
