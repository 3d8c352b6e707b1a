"""Reading a gallery in LanceDB as it is now, while others write to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import TypeVar

from tapetum.search._lance_operations import Table
from tapetum.search._lance_snapshot import Snapshot
from tapetum.search._lance_store import LanceStore
from tapetum.search._lance_table import store_errors

T = TypeVar("T")
_TRIES = 5


class LanceReader:
    """Gives the latest state; what it has loaded of it serves until somebody writes."""

    def __init__(self, store: LanceStore) -> None:
        """Nothing is loaded yet."""
        self._store = store
        self._reading = Lock()
        self._probe: tuple[str, Table] | None = None
        self._latest: Snapshot | None = None

    def read(self, work: Callable[[Snapshot | None], T]) -> T:
        """What `work` makes of the gallery as it is now (None: there is none).

        It works again where another process removed what it read.

        Raises:
            FileNotFoundError: What the gallery says that it is made of is missing.
        """
        for attempt in range(_TRIES):
            try:
                with store_errors(self._store.folder):
                    return work(self.snapshot())
            except FileNotFoundError:
                if attempt == _TRIES - 1:
                    raise
                with self._reading:
                    self._latest = self._probe = None
        raise AssertionError("unreachable")

    def snapshot(self) -> Snapshot | None:
        """The gallery as it is now; None where there is none."""
        with self._reading:
            state = self._store.state()
            if state is None:
                return None
            name = state.current.table
            if self._probe is None or self._probe[0] != name:
                self._probe = (name, self._store.open(name))
            self._probe[1].checkout_latest()
            known = self._latest
            if known is None or (known.of.table, known.version) != (name, int(self._probe[1].version)):
                known = self._store.load(state.current, state.index)
            elif known.index != state.index:
                known = replace(known, index=state.index)
            self._latest = known
            return known
