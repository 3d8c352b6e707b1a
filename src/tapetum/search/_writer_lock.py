"""One writer at a time, among the threads of a process and among processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

LOCK = ".lock"


class WriterLock:
    """Held while a folder's gallery is changed; the system lets go of it when a process dies."""

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        """A lock by this name in `folder`, which is made when the lock is first held."""
        self._folder = folder
        self._name = name
        self._threads = RLock()
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for other writers, and keep them waiting; a thread that holds it may take it again.

        Raises:
            OSError: The folder cannot be written.
        """
        with self._threads:
            if self._depth:
                yield
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder / self._name, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _wait_for(handle)
                self._depth = 1
                yield
            finally:
                self._depth = 0
                os.close(handle)  # lets go of the lock


if sys.platform == "win32":
    import msvcrt

    def _wait_for(handle: int) -> None:
        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
            except OSError:  # not within ten seconds
                continue
            return
else:
    import fcntl

    def _wait_for(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)
