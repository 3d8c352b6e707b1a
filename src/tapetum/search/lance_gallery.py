"""The gallery that a folder holds by default: a table of LanceDB, for several processes at once.

`gallery.json` names the table of the current rows. Writers wait for each other; readers do not wait and see
what was written last. What filters look at is held in memory, and the vectors too where they fit (see
`_vector_cache`); pictures are read only when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.evaluation.calibration.calibration import Calibration
from tapetum.search import _lance_operations as tables
from tapetum.search._lance_index import build_index
from tapetum.search._lance_reader import LanceReader
from tapetum.search._lance_replacement import LanceReplacement
from tapetum.search._lance_snapshot import Snapshot
from tapetum.search._lance_state import STORAGE, State, TableOf
from tapetum.search._lance_store import LanceStore, refuse_other_content_but_a_gallery
from tapetum.search._lance_table import TRACKLET_COLUMNS, tracklets_of, vectors_of
from tapetum.search._lance_vectors import MEMORY_BYTES, TableVectors
from tapetum.search._lance_writer import RowWriter
from tapetum.search.gallery import Age, Gallery, GalleryInfo, refuse_bad_stretch, refuse_bad_top
from tapetum.search.gallery_folder import read_calibration, write_calibration
from tapetum.search.planning import EXACT_ROWS, is_exact
from tapetum.search.query import Filter, Hit, SearchResult
from tapetum.search.replacement import Replacement
from tapetum.search.storing import NewRows, as_query, new_rows, refuse_foreign_calibration, refuse_same_model
from tapetum.types import Embeddings, TrackletSet


class LanceGallery(Gallery):
    """A gallery in a folder; one that does not exist yet is written with the first tracklets."""

    def __init__(
        self,
        folder: Path,
        *,
        create: bool = True,
        exact_rows: int = EXACT_ROWS,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """Open a folder.

        Args:
            folder: Of the gallery.
            create: Whether there need not be a gallery yet.
            exact_rows: Up to so many tracklets that pass a filter, each is compared.
            memory_bytes: So much memory may be taken to hold vectors.

        Raises:
            FileNotFoundError: There is no gallery, and `create` is false.
            DataError: The folder holds something else, or a damaged gallery.
            GalleryVersionError: The gallery is of a newer version.
        """
        self.uri = str(folder)
        self._folder = folder
        self._store = LanceStore(folder)
        self._exact_rows = exact_rows
        self._vectors = TableVectors(memory_bytes)
        self._reader = LanceReader(self._store)
        self._writer = RowWriter()
        refuse_other_content_but_a_gallery(folder)
        if self._store.state() is None and not create:
            raise FileNotFoundError(f"{folder}: there is no gallery")
        self._reader.read(lambda snapshot: None)  # a damaged one is found now

    def upsert(
        self,
        embeddings: Embeddings,
        *,
        thumbnails: Sequence[Sequence[bytes]] | None = None,
        contents: Sequence[str | None] | None = None,
    ) -> int:
        """Store embeddings and return how many tracklets are new; see `Gallery.upsert`."""
        known = self._store.state()
        new = _checked(embeddings, thumbnails, contents, known)  # before anything is written
        with self._store.writing() as state:
            if state is None:
                state = State(TableOf.first(embeddings.model, int(embeddings.vectors.shape[1])))
                with self._store.created(state.current) as table:
                    added = self._writer.put(table, new)
                    self._store.write(state)
                return added
            new = _checked(embeddings, thumbnails, contents, state)
            return self._writer.put(self._store.open(state.current.table), new)

    def delete(self, tracklet_ids: Iterable[str]) -> int:
        """Remove tracklets and return how many there were; see `Gallery.delete`."""
        names = list(dict.fromkeys(tracklet_ids))
        if not names or self._store.state() is None:
            return 0
        with self._store.writing() as state:
            if state is None:
                return 0
            table = self._store.open(state.current.table)
            gone = tables.sequences_of(table, names)
            tables.delete_rows(table, list(gone.values()))
        return len(gone)

    def get(self, tracklet_ids: Sequence[str]) -> Embeddings:
        """The tracklets of these identifiers with their embeddings; see `Gallery.get`."""

        def read(snapshot: Snapshot | None) -> Embeddings:
            rows = self._rows_of(snapshot, tracklet_ids)
            if snapshot is None:
                return Embeddings(np.zeros((0, 0), np.float32), TrackletSet("gallery", ()))
            found = snapshot.read(rows, [*TRACKLET_COLUMNS, "vector"])
            tracklets = TrackletSet("gallery", tuple(tracklets_of(found)))
            return Embeddings(vectors_of(found), tracklets, snapshot.of.model)

        return self._reader.read(read)

    def thumbnails(self, tracklet_id: str) -> list[bytes]:
        """Pictures of a tracklet; see `Gallery.thumbnails`."""

        def read(snapshot: Snapshot | None) -> list[bytes]:
            rows = self._rows_of(snapshot, [tracklet_id])
            assert snapshot is not None
            return list(snapshot.read(rows, ["thumbnails"]).column("thumbnails")[0].as_py() or [])

        return self._reader.read(read)

    def contents(self, tracklet_ids: Iterable[str] | None = None) -> dict[str, str]:
        """What tracklets were made from; see `Gallery.contents`."""
        asked = None if tracklet_ids is None else list(dict.fromkeys(tracklet_ids))

        def read(snapshot: Snapshot | None) -> dict[str, str]:
            if snapshot is None:
                return {}
            columns = ["tracklet_id", "content"]
            if asked is None:
                found = snapshot.read_all(columns, "content IS NOT NULL")
            else:
                rows = np.array(sorted(snapshot.rows_of(asked).values()), dtype=np.int64)
                found = snapshot.read(rows, columns)
            pairs = zip(*(found.column(name).to_pylist() for name in columns), strict=True)
            return {name: content for name, content in pairs if content is not None}

        return self._reader.read(read)

    def filter(self, where: Filter | None = None) -> TrackletSet:
        """The tracklets that pass, in gallery order; see `Gallery.filter`."""

        def read(snapshot: Snapshot | None) -> TrackletSet:
            if snapshot is None:
                return TrackletSet("gallery", ())
            rows = np.flatnonzero(snapshot.rows_passing(where))
            return TrackletSet("gallery", tuple(tracklets_of(snapshot.read(rows, TRACKLET_COLUMNS))))

        return self._reader.read(read)

    def count(self, where: Filter | None = None) -> int:
        """Number of tracklets that pass; of all without a filter."""
        return self._reader.read(lambda s: 0 if s is None else int(s.rows_passing(where).sum()))

    def page(
        self, where: Filter | None = None, *, offset: int = 0, limit: int = 50
    ) -> tuple[TrackletSet, int]:
        """A stretch of the tracklets that pass, and how many pass; see `Gallery.page`. No others are read."""
        refuse_bad_stretch(offset, limit)

        def read(snapshot: Snapshot | None) -> tuple[TrackletSet, int]:
            if snapshot is None:
                return TrackletSet("gallery", ()), 0
            rows = np.flatnonzero(snapshot.rows_passing(where))
            chosen = snapshot.read(rows[offset : offset + limit], TRACKLET_COLUMNS)
            return TrackletSet("gallery", tuple(tracklets_of(chosen))), len(rows)

        return self._reader.read(read)

    def search(
        self, query: ArrayLike | Embeddings, *, top: int = 20, where: Filter | None = None
    ) -> SearchResult:
        """The tracklets nearest to a query; see `Gallery.search`."""
        refuse_bad_top(top)
        return self._reader.read(lambda snapshot: self._search(snapshot, query, top, where))

    def _search(
        self, snapshot: Snapshot | None, query: ArrayLike | Embeddings, top: int, where: Filter | None
    ) -> SearchResult:
        if snapshot is None:
            as_query(query, None, None)
            return SearchResult((), exact=True, searched=0)
        vector = as_query(query, snapshot.of.model, snapshot.of.dimension)
        kept = snapshot.rows_passing(where)
        searched = int(kept.sum())
        if not searched:
            return SearchResult((), exact=True, searched=0)
        index = snapshot.index
        exact = index is None or is_exact(searched, index, self._exact_rows)
        if index is None or exact:
            rows, products = self._vectors.exact(snapshot, vector, top, kept)
        else:
            rows, products = self._vectors.approximate(snapshot, vector, top, where, index.effort)
        tracklets = tracklets_of(snapshot.read(rows, TRACKLET_COLUMNS))
        hits = (
            Hit(tracklet, float(product), rank)
            for rank, (tracklet, product) in enumerate(zip(tracklets, products, strict=True), start=1)
        )
        recall = None if index is None or exact else index.recall_of(where)
        return SearchResult(tuple(hits), exact, searched, recall)

    def optimise(self) -> None:
        """Join what writings left, remove what was deleted, index large galleries; see `Gallery.optimise`."""
        if self._store.state() is None:
            return
        with self._store.writing() as state:
            if state is None:
                return
            self._store.remove_all_but(state)
            current = self._store.load(state.current)
            if state.replacement is not None:
                self._follow(state.replacement, current)
            tables.compact(current.table, self._folder)
            self._index(state)

    def _follow(self, of: TableOf, current: Snapshot) -> None:
        """Remove from the table that is to follow what is gone from the current one."""
        following = self._store.load(of)
        gone = ~np.isin(following.sequence, current.sequence)
        tables.delete_rows(following.table, following.sequence[gone].tolist())
        tables.compact(following.table, self._folder)

    def _index(self, state: State) -> None:
        snapshot = self._store.load(state.current, state.index)
        index = build_index(snapshot, self._vectors, self._exact_rows)
        if index != state.index:
            self._store.write(state.with_index(index))
            tables.compact(snapshot.table, self._folder)

    def info(self) -> GalleryInfo:
        """What the gallery holds."""
        return self._reader.read(self._info)

    def _info(self, snapshot: Snapshot | None) -> GalleryInfo:
        if snapshot is None:
            modalities = {"visible": 0, "infrared": 0}
            return GalleryInfo(self.uri, STORAGE, None, None, 0, modalities, (), None, None, True)
        first, last = snapshot.columns.span()
        return GalleryInfo(
            uri=self.uri,
            storage=STORAGE,
            model=snapshot.of.model,
            dimension=snapshot.of.dimension,
            count=len(snapshot),
            modalities=snapshot.columns.modalities(),
            cameras=snapshot.columns.camera.known(),
            first_time=first,
            last_time=last,
            exact=snapshot.index is None or len(snapshot) <= self._exact_rows,
            recall=None if snapshot.index is None else snapshot.index.recall_of(None),
        )

    def calibration(self) -> Calibration | None:
        """What distances mean; see `Gallery.calibration`."""
        state = self._store.state()
        return None if state is None else read_calibration(self._folder, state.current.model)

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store what distances mean; see `Gallery.set_calibration`."""
        refuse_foreign_calibration(
            calibration, None if (s := self._store.state()) is None else s.current.model
        )
        if self._store.state() is None:
            return
        with self._store.writing() as state:
            refuse_foreign_calibration(calibration, None if state is None else state.current.model)
            write_calibration(self._folder, calibration)

    def replacement(self, model: str) -> Replacement:
        """A table beside the current one; what an attempt gathered before it was cut off is kept."""
        info = self.info()
        refuse_same_model(model, info.model, info.count)
        return LanceReplacement(self._store, model)

    def _older_than(self, instant: float, by: Age) -> list[str]:
        def read(snapshot: Snapshot | None) -> list[str]:
            if snapshot is None:
                return []
            stored: NDArray[np.float64] = snapshot.read_all(["stored_at"]).column("stored_at").to_numpy()
            older = snapshot.columns.before(instant, stored, by_seen=by == "seen")
            names = snapshot.read(np.flatnonzero(older), ["tracklet_id"]).column("tracklet_id")
            return list(names.to_pylist())

        return self._reader.read(read)

    def _rows_of(self, snapshot: Snapshot | None, tracklet_ids: Sequence[str]) -> NDArray[np.int64]:
        known = {} if snapshot is None else snapshot.rows_of(list(dict.fromkeys(tracklet_ids)))
        missing = [i for i in tracklet_ids if i not in known]
        if missing:
            raise KeyError(f"no tracklet {missing[0]!r} in the gallery {self.uri}")
        return np.array([known[i] for i in tracklet_ids], dtype=np.int64)


def _checked(
    embeddings: Embeddings,
    thumbnails: Sequence[Sequence[bytes]] | None,
    contents: Sequence[str | None] | None,
    state: State | None,
) -> NewRows:
    of = None if state is None else state.current
    return new_rows(
        embeddings,
        thumbnails,
        contents,
        model=None if of is None else of.model,
        dimension=None if of is None else of.dimension,
    )
