"""The reference gallery: one matrix in memory, searched exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.search._nearest import nearest
from tapetum.search.gallery import MEMORY, Gallery, GalleryInfo, as_query, refuse_other_model, unit_rows
from tapetum.search.query import Filter, Hit, SearchResult, as_text, as_texts
from tapetum.types import Embeddings, Id, Modality, Tracklet, TrackletSet


@dataclass(frozen=True, slots=True)
class Columns:
    """What filters look at, as arrays over the rows."""

    infrared: NDArray[np.bool_]
    time: NDArray[np.float64]
    camera: NDArray[np.int64]
    person: NDArray[np.int64]
    names: dict[str | None, int]
    """Number of each camera's and person's text."""

    @classmethod
    def of(cls, tracklets: Sequence[Tracklet]) -> Columns:
        """The columns of some tracklets; NaN where the time is unknown."""
        names: dict[str | None, int] = {None: 0}

        def numbers(texts: Iterable[str | None]) -> NDArray[np.int64]:
            return np.array([names.setdefault(text, len(names)) for text in texts], dtype=np.int64)

        return cls(
            np.array([t.modality is Modality.INFRARED for t in tracklets], dtype=np.bool_),
            np.array([np.nan if t.time is None else t.time for t in tracklets], dtype=np.float64),
            numbers(as_text(t.camera_id) for t in tracklets),
            numbers(as_text(t.person_id) for t in tracklets),
            names,
        )

    def passing(self, where: Filter) -> NDArray[np.bool_]:
        """Which rows pass a filter."""
        kept = np.ones(len(self.time), dtype=np.bool_)
        if where.modality is not None:
            kept &= self.infrared == (where.modality is Modality.INFRARED)
        if where.after is not None:
            kept &= self.time >= where.after  # false for NaN
        if where.before is not None:
            kept &= self.time < where.before
        for column, wanted in ((self.camera, where.cameras), (self.person, where.persons)):
            if wanted is not None:
                kept &= np.isin(column, self._numbers(wanted))
        if where.exclude_cameras is not None:
            kept &= ~np.isin(self.camera, self._numbers(where.exclude_cameras))
        return kept

    def _numbers(self, identifiers: Id | Iterable[Id]) -> list[int]:
        return [self.names[text] for text in as_texts(identifiers) or () if text in self.names]


class Rows:
    """What a gallery holds at one moment; never changed, so a search needs no lock.

    Attributes:
        embeddings: All rows, in gallery order.
        is_bound: Whether model and dimension are decided; false before the first rows were stored.
    """

    def __init__(self, embeddings: Embeddings | None = None) -> None:
        """Hold `embeddings`; None: a gallery that never held anything."""
        self.is_bound = embeddings is not None
        if embeddings is None:
            embeddings = Embeddings(np.zeros((0, 0), np.float32), TrackletSet("gallery", ()))
        self.embeddings = embeddings

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

    def merged(self, new: Embeddings) -> Rows:
        """These rows with `new` ones: in the place of those with the same identifier, or at the end.

        Raises:
            ModelMismatchError: Another model.
            ValueError: Another dimension, a row without direction, or an identifier twice.
        """
        vectors = self._checked(new)
        tracklets = list(self.embeddings.tracklets)
        places = [self.row_of.get(t.tracklet_id, -1) for t in new.tracklets]
        for place, tracklet in zip(places, new.tracklets, strict=True):
            if place >= 0:
                tracklets[place] = tracklet
            else:
                tracklets.append(tracklet)
        known = np.array(places, dtype=np.int64)
        old = self.embeddings.vectors if self.is_bound else np.zeros((0, vectors.shape[1]), np.float32)
        merged = np.concatenate([old, vectors[known < 0]])
        merged[known[known >= 0]] = vectors[known >= 0]
        return Rows(Embeddings(merged, TrackletSet("gallery", tuple(tracklets)), new.model))

    def without(self, tracklet_ids: Iterable[str]) -> Rows:
        """These rows without those of some identifiers."""
        gone = {self.row_of[i] for i in tracklet_ids if i in self.row_of}
        return Rows(self.embeddings.rows([row for row in range(len(self.embeddings)) if row not in gone]))

    def _checked(self, new: Embeddings) -> NDArray[np.float32]:
        """The vectors of `new`, of length 1."""
        refuse_other_model(new.model, self.model)
        dimension = int(new.vectors.shape[1])
        if self.dimension is not None and dimension != self.dimension:
            raise ValueError(f"the embeddings have dimension {dimension}; the gallery has {self.dimension}")
        twice = [name for name, times in Counter(t.tracklet_id for t in new.tracklets).items() if times > 1]
        if twice:
            raise ValueError(f"tracklet {twice[0]!r} occurs twice in what is to be stored")
        return unit_rows(new.vectors, [f"the embedding of tracklet {t.tracklet_id}" for t in new.tracklets])


class MemoryGallery(Gallery):
    """A gallery that ends with the process. Storing copies the matrix: store many tracklets at a time."""

    storage = "memory"

    def __init__(self) -> None:
        """An empty gallery."""
        self.uri = MEMORY
        self._rows = Rows()
        self._writing = Lock()

    def upsert(self, embeddings: Embeddings) -> int:
        """Store embeddings and return how many tracklets are new; see `Gallery.upsert`."""
        with self._writing:
            rows = self._rows.merged(embeddings)
            new = len(rows.embeddings) - len(self._rows.embeddings)
            self._replace(rows)
        return new

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
        missing = [i for i in tracklet_ids if i not in rows.row_of]
        if missing:
            raise KeyError(f"no tracklet {missing[0]!r} in the gallery {self.uri}")
        return rows.embeddings.rows([rows.row_of[i] for i in tracklet_ids])

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
        if top < 1:
            raise ValueError(f"top is {top}; expected at least 1")
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
        tracklets = rows.embeddings.tracklets
        cameras = {t.camera_id for t in tracklets if t.camera_id is not None}
        times = [t.time for t in tracklets if t.time is not None]
        return GalleryInfo(
            uri=self.uri,
            storage=self.storage,
            model=rows.model,
            dimension=rows.dimension,
            count=len(tracklets),
            modalities={m.value: sum(t.modality is m for t in tracklets) for m in Modality},
            cameras=tuple(sorted(cameras, key=lambda i: (isinstance(i, str), i))),
            first_time=min(times, default=None),
            last_time=max(times, default=None),
            exact=True,
        )

    def _replace(self, rows: Rows) -> None:
        self._rows = rows
