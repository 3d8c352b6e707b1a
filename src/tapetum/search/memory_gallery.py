"""The reference gallery: one matrix in memory, searched exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tapetum.search._nearest import nearest
from tapetum.search._rows import Rows
from tapetum.search.addresses import MEMORY
from tapetum.search.gallery import Age, Gallery, GalleryInfo, refuse_bad_top
from tapetum.search.memory_replacement import MemoryReplacement
from tapetum.search.query import Filter, Hit, SearchResult
from tapetum.search.replacement import Replacement
from tapetum.search.storing import as_query, new_rows, refuse_foreign_calibration, refuse_same_model
from tapetum.types import Embeddings, TrackletSet

if TYPE_CHECKING:
    from tapetum.evaluation.calibration.calibration import Calibration


class MemoryGallery(Gallery):
    """A gallery that ends with the process. Storing copies the matrix: store many tracklets at a time."""

    storage = "memory"

    def __init__(self) -> None:
        """An empty gallery."""
        self.uri = MEMORY
        self._rows = Rows()
        self._writing = RLock()
        self._calibration: Calibration | None = None

    def upsert(
        self,
        embeddings: Embeddings,
        *,
        thumbnails: Sequence[Sequence[bytes]] | None = None,
        contents: Sequence[str | None] | None = None,
    ) -> int:
        """Store embeddings and return how many tracklets are new; see `Gallery.upsert`."""
        with self._writing:
            before = self._rows
            new = new_rows(embeddings, thumbnails, contents, model=before.model, dimension=before.dimension)
            rows = before.merged(new)
            self._replace(rows)
        return len(rows.embeddings) - len(before.embeddings)

    def delete(self, tracklet_ids: Iterable[str]) -> int:
        """Remove tracklets and return how many there were; see `Gallery.delete`."""
        with self._writing:
            rows = self._rows.without(tracklet_ids)
            gone = len(self._rows.embeddings) - len(rows.embeddings)
            if gone:
                self._replace(rows)
        return gone

    def get(self, tracklet_ids: Sequence[str]) -> Embeddings:
        """The tracklets of these identifiers with their embeddings; see `Gallery.get`."""
        rows = self._rows
        return rows.embeddings.rows([self._row(rows, i) for i in tracklet_ids])

    def thumbnails(self, tracklet_id: str) -> list[bytes]:
        """Pictures of a tracklet; see `Gallery.thumbnails`."""
        rows = self._rows
        return list(rows.beside[self._row(rows, tracklet_id)].thumbnails)

    def contents(self, tracklet_ids: Iterable[str] | None = None) -> dict[str, str]:
        """What tracklets were made from; see `Gallery.contents`."""
        rows = self._rows
        asked = rows.row_of if tracklet_ids is None else [i for i in tracklet_ids if i in rows.row_of]
        known = ((i, rows.beside[rows.row_of[i]].content) for i in asked)
        return {i: content for i, content in known if content is not None}

    def filter(self, where: Filter | None = None) -> TrackletSet:
        """The tracklets that pass, in gallery order; see `Gallery.filter`."""
        rows = self._rows
        if where is None:
            return rows.embeddings.tracklets
        passing = np.flatnonzero(rows.columns.passing(where))
        found = tuple(rows.embeddings.tracklets[int(row)] for row in passing)
        return TrackletSet("gallery", found)

    def search(
        self, query: ArrayLike | Embeddings, *, top: int = 20, where: Filter | None = None
    ) -> SearchResult:
        """The tracklets nearest to a query, exactly; see `Gallery.search`."""
        refuse_bad_top(top)
        rows = self._rows
        vector = as_query(query, rows.model, rows.dimension)
        if not len(rows.embeddings):
            return SearchResult((), exact=True, searched=0)
        kept = None if where is None else rows.columns.passing(where)
        searched = len(rows.embeddings) if kept is None else int(kept.sum())
        found, products = nearest(rows.embeddings.vectors, vector, top, kept)
        hits = (
            Hit(rows.embeddings.tracklets[int(row)], float(product), rank)
            for rank, (row, product) in enumerate(zip(found, products, strict=True), start=1)
        )
        return SearchResult(tuple(hits), exact=True, searched=searched)

    def optimise(self) -> None:
        """Nothing is left to do: rows are kept without gaps."""

    def info(self) -> GalleryInfo:
        """What the gallery holds."""
        rows = self._rows
        first, last = rows.columns.span()
        return GalleryInfo(
            uri=self.uri,
            storage=self.storage,
            model=rows.model,
            dimension=rows.dimension,
            count=len(rows.embeddings),
            modalities=rows.columns.modalities(),
            cameras=rows.columns.camera.known(),
            first_time=first,
            last_time=last,
            exact=True,
        )

    def calibration(self) -> Calibration | None:
        """What distances mean; see `Gallery.calibration`."""
        found = self._calibration
        return found if found is not None and found.model == self._rows.model else None

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store what distances mean; see `Gallery.set_calibration`."""
        with self._writing:
            refuse_foreign_calibration(calibration, self._rows.model)
            self._keep_calibration(calibration)

    def replacement(self, model: str) -> Replacement:
        """A place to gather the tracklets embedded by another model; see `Gallery.replacement`.

        What was gathered is kept in memory, so an attempt that was cut off starts anew.
        """
        rows = self._rows
        refuse_same_model(model, rows.model, len(rows.embeddings))
        return MemoryReplacement(model, lambda: self._rows, self._replace, self._writing)

    def _older_than(self, instant: float, by: Age) -> list[str]:
        rows = self._rows
        stored = np.array([np.nan if b.stored_at is None else b.stored_at for b in rows.beside])
        older = rows.columns.before(instant, stored, by_seen=by == "seen")
        return [rows.embeddings.tracklets[int(row)].tracklet_id for row in np.flatnonzero(older)]

    def _row(self, rows: Rows, tracklet_id: str) -> int:
        row = rows.row_of.get(tracklet_id)
        if row is None:
            raise KeyError(f"no tracklet {tracklet_id!r} in the gallery {self.uri}")
        return row

    def _replace(self, rows: Rows) -> None:
        self._rows = rows

    def _keep_calibration(self, calibration: Calibration | None) -> None:
        self._calibration = calibration
