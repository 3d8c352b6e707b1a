"""The replacement of a gallery in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from tapetum.search._rows import Rows
from tapetum.search.replacement import Replacement
from tapetum.search.storing import new_rows, refuse_empty
from tapetum.types import Embeddings, Tracklet, TrackletSet


class MemoryReplacement(Replacement):
    """Gathers vectors in memory; the gallery's rows are replaced when all are there."""

    def __init__(
        self, model: str, rows: Callable[[], Rows], replace: Callable[[Rows], None], writing: RLock
    ) -> None:
        """Start without any.

        Args:
            model: Of the embeddings to come.
            rows: Gives what the gallery holds now.
            replace: Makes it hold other rows.
            writing: Held while rows are replaced.
        """
        self.model = model
        self._rows = rows
        self._replace = replace
        self._writing = writing
        self._done: dict[str, tuple[Tracklet, NDArray[np.float32] | None]] = {}
        """Of each tracklet of the gallery its vector; None where it is left out."""
        self._asked: dict[str, Tracklet] = {}
        """What was pending last; what is replaced in the gallery meanwhile is another object."""

    def pending(self, limit: int) -> TrackletSet:
        """At most `limit` tracklets that are not embedded yet; see `Replacement.pending`."""
        asked = tuple(self._pending(self._rows())[:limit])
        self._asked = {tracklet.tracklet_id: tracklet for tracklet in asked}
        return TrackletSet("gallery", asked)

    def count_pending(self) -> int:
        """Number of tracklets that are not embedded yet."""
        return len(self._pending(self._rows()))

    def store(self, embeddings: Embeddings) -> None:
        """Keep the embeddings of some tracklets that were pending; see `Replacement.store`."""
        known = next((len(v) for _, v in self._done.values() if v is not None), None)
        checked = new_rows(embeddings, None, None, model=self.model, dimension=known).embeddings
        for tracklet, vector in zip(checked.tracklets, checked.vectors, strict=True):
            name = tracklet.tracklet_id
            if name in self._asked:
                self._done[name] = (self._asked[name], vector)

    def leave_out(self, tracklet_ids: Iterable[str]) -> None:
        """Let tracklets be missing; see `Replacement.leave_out`."""
        rows = self._rows()
        for name in tracklet_ids:
            if name in rows.row_of:
                self._done[name] = (rows.embeddings.tracklets[rows.row_of[name]], None)

    def finish(self) -> bool:
        """Take the gallery's place where nothing is pending; see `Replacement.finish`."""
        with self._writing:
            rows = self._rows()
            if self._pending(rows):
                return False
            vectors = [self._done[t.tracklet_id][1] for t in rows.embeddings.tracklets]
            left = [row for row, vector in enumerate(vectors) if vector is not None]
            refuse_empty(len(left))
            tracklets = tuple(rows.embeddings.tracklets[row] for row in left)
            gathered = np.stack([vector for vector in vectors if vector is not None])
            moved = Embeddings(gathered, TrackletSet("gallery", tracklets), self.model)
            self._replace(Rows(moved, tuple(rows.beside[row] for row in left)))
            return True

    def _pending(self, rows: Rows) -> list[Tracklet]:
        done = self._done
        return [
            t
            for t in rows.embeddings.tracklets
            if t.tracklet_id not in done or done[t.tracklet_id][0] is not t
        ]
