"""The replacement of a gallery in LanceDB: a second table, named in `gallery.json` until it takes over.

Rows keep sequence and revision, so it is known of every row of the current table whether the replacement has
it as it is. What an attempt that was cut off has stored stays.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tapetum.search import _lance_operations as tables
from tapetum.search._lance_snapshot import Snapshot
from tapetum.search._lance_state import TableOf
from tapetum.search._lance_store import LanceStore
from tapetum.search._lance_table import (
    TRACKLET_COLUMNS,
    store_errors,
    table_schema,
    tracklets_of,
    vector_column,
)
from tapetum.search._nearest import Indices
from tapetum.search.replacement import Replacement
from tapetum.search.storing import new_rows, refuse_empty
from tapetum.types import Embeddings, TrackletSet

Key = tuple[int, int]
"""A row as it is: sequence and revision."""


class LanceReplacement(Replacement):
    """A second table of a gallery's tracklets, with the embeddings of another model."""

    def __init__(self, store: LanceStore, model: str) -> None:
        """Go on with the table that is there for `model`; one for another model is given up."""
        self.model = model
        self._store = store
        self._left_out: set[Key] = set()
        self._asked: dict[str, Key] = {}
        with store.writing() as state:
            if state is not None and state.replacement is not None and state.replacement.model != model:
                store.write(state.with_replacement(None))
                store.remove_all_but(state.with_replacement(None))

    def pending(self, limit: int) -> TrackletSet:
        """At most `limit` tracklets that are not embedded yet; see `Replacement.pending`."""
        with store_errors(self._store.folder):
            current, following = self._loaded()
            rows = np.flatnonzero(self._pending(current, following))[:limit]
            found = tracklets_of(current.read(rows, TRACKLET_COLUMNS))
        keys = zip(current.sequence[rows].tolist(), current.revision[rows].tolist(), strict=True)
        self._asked = dict(zip((t.tracklet_id for t in found), keys, strict=True))
        return TrackletSet("gallery", tuple(found))

    def count_pending(self) -> int:
        """Number of tracklets that are not embedded yet."""
        with store_errors(self._store.folder):
            return int(self._pending(*self._loaded()).sum())

    def store(self, embeddings: Embeddings) -> None:
        """Keep the embeddings of some tracklets that were pending; see `Replacement.store`.

        Those that were replaced or deleted since are passed over.
        """
        with self._store.writing() as state:
            if state is None or not len(embeddings):
                return
            known = state.replacement
            dimension = None if known is None else known.dimension
            checked = new_rows(embeddings, None, None, model=self.model, dimension=dimension).embeddings
            if known is None:
                known = state.current.next(self.model, int(checked.vectors.shape[1]))
                self._store.create(known)
                self._store.write(state.with_replacement(known))
            self._add(self._store.load(state.current), known, checked)

    def _add(self, current: Snapshot, into: TableOf, embeddings: Embeddings) -> None:
        following = self._store.load(into)
        keys = np.array([self._asked.get(t.tracklet_id, (-1, -1)) for t in embeddings.tracklets])
        rows = np.searchsorted(current.sequence, keys[:, 0])
        fresh = is_among(keys, current) & ~is_among(keys, following)
        if not fresh.any():
            return
        order = np.argsort(rows[fresh])
        added = _with_vectors(current, rows[fresh][order], embeddings.vectors[fresh][order], into)
        outdated = np.isin(keys[fresh, 0], following.sequence)
        tables.put_rows(following.table, added, replaces=bool(outdated.any()))

    def leave_out(self, tracklet_ids: Iterable[str]) -> None:
        """Let tracklets be missing; see `Replacement.leave_out`."""
        with store_errors(self._store.folder):
            current, _ = self._loaded()
            rows = current.rows_of(list(tracklet_ids)).values()
        self._left_out |= {(int(current.sequence[row]), int(current.revision[row])) for row in rows}

    def finish(self) -> bool:
        """Take the gallery's place where nothing is pending; see `Replacement.finish`."""
        with self._store.writing() as state:
            current, following = self._loaded()
            if self._pending(current, following).any():
                return False
            kept = is_among(_keys(following), current) if following is not None else np.zeros(0, dtype=bool)
            refuse_empty(int(kept.sum()))
            assert state is not None
            assert following is not None
            tables.delete_rows(following.table, following.sequence[~kept].tolist())
            tables.compact(following.table, self._store.folder)
            self._store.write(state.switched())
            self._store.remove_all_but(state.switched())
        return True

    def _loaded(self) -> tuple[Snapshot, Snapshot | None]:
        """The current table and the one that is to follow."""
        state = self._store.state()
        if state is None:
            raise FileNotFoundError(f"{self._store.folder}: there is no gallery")
        following = None if state.replacement is None else self._store.load(state.replacement)
        return self._store.load(state.current), following

    def _pending(self, current: Snapshot, following: Snapshot | None) -> NDArray[np.bool_]:
        """Which rows of the current table are not embedded yet."""
        keys = _keys(current)
        done = np.zeros(len(current), dtype=np.bool_) if following is None else is_among(keys, following)
        for sequence, revision in self._left_out:
            done |= (keys[:, 0] == sequence) & (keys[:, 1] == revision)
        return ~done


def is_among(keys: Indices, snapshot: Snapshot) -> NDArray[np.bool_]:
    """Which rows, given as `[N, 2]` of sequence and revision, a table has as they are."""
    if not len(snapshot):
        return np.zeros(len(keys), dtype=np.bool_)
    place = np.minimum(np.searchsorted(snapshot.sequence, keys[:, 0]), len(snapshot) - 1)
    found: NDArray[np.bool_] = (_keys(snapshot)[place] == keys).all(axis=1)
    return found


def _keys(snapshot: Snapshot) -> Indices:
    return np.stack([snapshot.sequence, snapshot.revision], axis=1)


def _with_vectors(current: Snapshot, rows: Indices, vectors: NDArray[np.float32], into: TableOf) -> pa.Table:
    """Rows of the current table, all but their vectors, which are these."""
    schema = table_schema(into.dimension)
    found = current.read(rows, [name for name in schema.names if name != "vector"])
    return found.append_column(schema.field("vector"), vector_column(vectors)).cast(schema)
