"""What a gallery in memory holds at one moment."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from tapetum.search._columns import Columns
from tapetum.search.storing import Beside, NewRows
from tapetum.types import Embeddings, TrackletSet


class Rows:
    """Embeddings and what lies beside them; never changed, so a search needs no lock.

    Attributes:
        embeddings: Tracklets with their vectors, in gallery order.
        beside: What lies beside each.
        is_bound: Whether model and dimension are decided.
    """

    def __init__(self, embeddings: Embeddings | None = None, beside: tuple[Beside, ...] = ()) -> None:
        """Rows of these embeddings; None: of a gallery that never held anything."""
        self.is_bound = embeddings is not None
        if embeddings is None:
            embeddings = Embeddings(np.zeros((0, 0), np.float32), TrackletSet("gallery", ()))
        self.embeddings = embeddings
        self.beside = beside

    @property
    def model(self) -> str | None:
        """Fingerprint of the model; None before it is decided."""
        return self.embeddings.model if self.is_bound else None

    @property
    def dimension(self) -> int | None:
        """Length of an embedding; None before it is decided."""
        return int(self.embeddings.vectors.shape[1]) if self.is_bound else None

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each tracklet identifier."""
        return {t.tracklet_id: row for row, t in enumerate(self.embeddings.tracklets)}

    @cached_property
    def columns(self) -> Columns:
        """What filters look at."""
        return Columns.of(self.embeddings.tracklets)

    def merged(self, new: NewRows) -> Rows:
        """These rows with `new` ones: in the place of those with the same identifier, or at the end."""
        vectors, given = new.embeddings.vectors, new.embeddings.tracklets
        tracklets, beside = list(self.embeddings.tracklets), list(self.beside)
        places = [self.row_of.get(t.tracklet_id, -1) for t in given]
        for place, tracklet, entry in zip(places, given, new.beside, strict=True):
            if place >= 0:
                tracklets[place], beside[place] = tracklet, entry
            else:
                tracklets.append(tracklet)
                beside.append(entry)
        known = np.array(places, dtype=np.int64)
        old = self.embeddings.vectors if self.is_bound else np.zeros((0, vectors.shape[1]), np.float32)
        merged = np.concatenate([old, vectors[known < 0]])
        merged[known[known >= 0]] = vectors[known >= 0]
        embeddings = Embeddings(merged, TrackletSet("gallery", tuple(tracklets)), new.embeddings.model)
        return Rows(embeddings, tuple(beside))

    def without(self, tracklet_ids: Iterable[str]) -> Rows:
        """These rows without those of some identifiers."""
        gone = {self.row_of[i] for i in tracklet_ids if i in self.row_of}
        left = [row for row in range(len(self.embeddings)) if row not in gone]
        return Rows(self.embeddings.rows(left), tuple(self.beside[row] for row in left))
