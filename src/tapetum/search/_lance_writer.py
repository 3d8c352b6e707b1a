"""Storing rows in a table of LanceDB."""

from __future__ import annotations

import time
from datetime import timedelta

from tapetum.search import _lance_operations as operations
from tapetum.search._lance_operations import Table
from tapetum.search._lance_table import to_table
from tapetum.search.storing import NewRows

_JOIN_AFTER = 64
"""Writings after which it is looked whether their pieces should be joined."""

_FORMER_VERSIONS = timedelta(minutes=10)


class RowWriter:
    """Stores rows; for one thread and process at a time."""

    def __init__(self) -> None:
        """Nothing is known of any table yet."""
        self._written = 0
        self._next = ("", 0, 0)
        """Of which table, at which version, what the next sequence is."""

    def put(self, table: Table, new: NewRows) -> int:
        """Store rows in a table, in one step, and return how many are new."""
        tracklets = new.embeddings.tracklets.tracklets
        if not tracklets:
            return 0
        known = operations.sequences_of(table, [t.tracklet_id for t in tracklets])
        following = self._next_sequence(table)
        sequence = [
            known[t.tracklet_id] if t.tracklet_id in known else following + place
            for place, t in enumerate(tracklets)
        ]
        rows = to_table(tracklets, new.embeddings.vectors, new.beside, sequence, time.time_ns())
        operations.put_rows(table, rows, replaces=bool(known))
        self._written += 1
        if self._written % _JOIN_AFTER == 0 and operations.has_many_pieces(table):
            operations.join_pieces(table, keep=_FORMER_VERSIONS)
        self._next = (table.name, int(table.version), following + len(tracklets))
        return len(tracklets) - len(known)

    def _next_sequence(self, table: Table) -> int:
        name, version, following = self._next
        if (name, version) == (table.name, int(table.version)):
            return following
        return max(operations.highest_sequence(table) + 1, time.time_ns())  # so that none is used twice
