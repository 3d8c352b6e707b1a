"""A gallery on a Qdrant server, for more than one machine holds; without a server, for trials and tests.

Up to so many tracklets as pass a filter, the server compares each, beyond that it asks its own index; either
way the nearest are compared again here, in float64, so that ties are in gallery order. Storing is done in
parts: what a writing that was cut off has stored stays, and storing again completes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qdrant_client import models

from tapetum.evaluation.calibration.calibration import Calibration
from tapetum.evaluation.calibration.files import calibration_from_json, calibration_to_json
from tapetum.search._nearest import product_error, ranked
from tapetum.search._qdrant_points import (
    TRACKLET_FIELDS,
    Point,
    as_conditions,
    older_than,
    point_id,
    thumbnails_of,
    to_payload,
    tracklet_of,
    vectors_of,
)
from tapetum.search._qdrant_replacement import QdrantReplacement, rewrite
from tapetum.search._qdrant_store import Collection, Place, QdrantStore
from tapetum.search.gallery import Age, Gallery, GalleryInfo, refuse_bad_top
from tapetum.search.planning import EXACT_ROWS, RECALL_QUERIES, RECALL_TOP, Index, is_exact, measured_recall
from tapetum.search.query import Filter, Hit, SearchResult
from tapetum.search.replacement import Replacement
from tapetum.search.storing import (
    as_query,
    id_of,
    in_order,
    new_rows,
    refuse_foreign_calibration,
    refuse_same_model,
)
from tapetum.types import Embeddings, Id, Modality, TrackletSet

STORAGE = "qdrant"
WANTED_RECALL = 0.95
_EFFORTS = (64, 128, 256, 512, 1024)
"""How many candidates the server's index may keep; the least that finds enough is used."""

_OVERSAMPLING = 4
_MOST_CAMERAS = 100_000


class QdrantGallery(Gallery):
    """A collection of a Qdrant server; it is made with the first tracklets."""

    def __init__(self, place: Place, *, create: bool = True, exact_rows: int = EXACT_ROWS) -> None:
        """Open a gallery.

        Args:
            place: Where it is.
            create: Whether there need not be one yet.
            exact_rows: Up to so many tracklets that pass a filter, each is compared.

        Raises:
            FileNotFoundError: There is no gallery, and `create` is false.
            DataError: The place holds something else.
            GalleryVersionError: The gallery is of a newer version.
            GalleryInUseError: Another process has it open, and there is no server.
            ConnectionError: The server does not answer.
        """
        self.uri = place.uri
        self._store = QdrantStore(place)
        self._exact_rows = exact_rows
        self._last_sequence = 0
        if self._store.current() is None and not create:
            self.close()
            raise FileNotFoundError(f"{place.uri}: there is no gallery")

    def upsert(
        self,
        embeddings: Embeddings,
        *,
        thumbnails: Sequence[Sequence[bytes]] | None = None,
        contents: Sequence[str | None] | None = None,
    ) -> int:
        """Store embeddings and return how many tracklets are new; see `Gallery.upsert`."""
        with self._store.using():
            of = self._store.current()
            new = new_rows(
                embeddings,
                thumbnails,
                contents,
                model=None if of is None else of.model,
                dimension=None if of is None else of.dimension,
            )
            of = of or self._begin(embeddings)
            ids = [point_id(t.tracklet_id) for t in embeddings.tracklets]
            known = self._store.some(of.collection, ids, ["sequence"])
            following, revision = self._next_sequence(len(ids)), time.time_ns()
            sequence = [
                known[i].payload["sequence"] if i in known else following + n for n, i in enumerate(ids)
            ]
            rows = zip(
                ids, new.embeddings.vectors, new.embeddings.tracklets, new.beside, sequence, strict=True
            )
            self._store.put(
                of.collection,
                (
                    models.PointStruct(
                        id=i, vector=vector.tolist(), payload=to_payload(tracklet, beside, number, revision)
                    )
                    for i, vector, tracklet, beside, number in rows
                ),
            )
        return len(ids) - len(known)

    def _begin(self, embeddings: Embeddings) -> Collection:
        name = f"{self._store.place.name}-1"
        of = Collection(name, embeddings.model, int(embeddings.vectors.shape[1]))
        self._store.create(of)
        self._store.point_at(name)
        return of

    def _next_sequence(self, count: int) -> int:
        """The first of `count` numbers that no row has: several writers need not know of each other."""
        first = max(self._last_sequence + 1, time.time_ns())
        self._last_sequence = first + count
        return first

    def delete(self, tracklet_ids: Iterable[str]) -> int:
        """Remove tracklets and return how many there were; see `Gallery.delete`."""
        of = self._store.current()
        if of is None:
            return 0
        with self._store.using():
            ids = [point_id(name) for name in dict.fromkeys(tracklet_ids)]
            gone = list(self._store.some(of.collection, ids, []))
            if gone:
                self._store.write(replace(of, has_deleted=True))
                self._store.remove(of.collection, gone)
        return len(gone)

    def get(self, tracklet_ids: Sequence[str]) -> Embeddings:
        """The tracklets of these identifiers with their embeddings; see `Gallery.get`."""
        of, points = self._points(tracklet_ids, TRACKLET_FIELDS, with_vectors=True)
        tracklets = TrackletSet("gallery", tuple(tracklet_of(point) for point in points))
        dimension = 0 if of is None else of.dimension
        return Embeddings(vectors_of(points, dimension), tracklets, "" if of is None else of.model)

    def thumbnails(self, tracklet_id: str) -> list[bytes]:
        """Pictures of a tracklet; see `Gallery.thumbnails`."""
        return thumbnails_of(self._points([tracklet_id], ["thumbnails"])[1][0])

    def contents(self, tracklet_ids: Iterable[str] | None = None) -> dict[str, str]:
        """What tracklets were made from; see `Gallery.contents`."""
        of = self._store.current()
        if of is None:
            return {}
        fields = ["tracklet_id", "content"]
        if tracklet_ids is None:
            points = [point for page in self._store.pages(of.collection, fields) for point in page]
        else:
            asked = [point_id(name) for name in tracklet_ids]
            points = list(self._store.some(of.collection, asked, fields).values())
        return {p.payload["tracklet_id"]: p.payload["content"] for p in points if "content" in p.payload}

    def filter(self, where: Filter | None = None) -> TrackletSet:
        """The tracklets that pass, in gallery order; see `Gallery.filter`."""
        of = self._store.current()
        if of is None:
            return TrackletSet("gallery", ())
        fields = [*TRACKLET_FIELDS, "sequence"]
        pages = self._store.pages(of.collection, fields, as_conditions(where))
        points = sorted((p for page in pages for p in page), key=_sequence)
        return TrackletSet("gallery", tuple(tracklet_of(point) for point in points))

    def count(self, where: Filter | None = None) -> int:
        """Number of tracklets that pass; of all without a filter."""
        of = self._store.current()
        return 0 if of is None else self._count(of, where)

    def search(
        self, query: ArrayLike | Embeddings, *, top: int = 20, where: Filter | None = None
    ) -> SearchResult:
        """The tracklets nearest to a query; see `Gallery.search`."""
        refuse_bad_top(top)
        of = self._store.current()
        if of is None:
            as_query(query, None, None)
            return SearchResult((), exact=True, searched=0)
        vector = as_query(query, of.model, of.dimension)
        searched = self._count(of, where)
        index = None if is_exact(searched, of.index, self._exact_rows) else of.index
        if index is None:
            points = self._exact(of, vector, top, where, searched)
        else:
            points = self._asked(of, vector, top * _OVERSAMPLING, where, effort=index.effort)
        points.sort(key=_sequence)
        rows, products = ranked(np.arange(len(points)), vectors_of(points, of.dimension), vector, top)
        hits = (
            Hit(tracklet_of(points[int(row)]), float(product), rank)
            for rank, (row, product) in enumerate(zip(rows, products, strict=True), start=1)
        )
        recall = None if index is None else index.recall_of(where)
        return SearchResult(tuple(hits), index is None, searched, recall)

    def _exact(
        self, of: Collection, query: NDArray[np.float32], top: int, where: Filter | None, searched: int
    ) -> list[Point]:
        """The nearest points, and all that may tie with the last of them."""
        wanted = min(2 * top, searched)
        while True:
            points = self._asked(of, query, wanted, where)
            if wanted >= searched or len(points) < wanted:
                return points
            if points[-1].score < points[top - 1].score - 4 * product_error(of.dimension):
                return points
            wanted = min(2 * wanted, searched)

    def _asked(
        self,
        of: Collection,
        query: NDArray[np.float32],
        count: int,
        where: Filter | None,
        effort: int | None = None,
    ) -> list[Point]:
        """What the server finds, by comparing all or by its index."""
        if not count:
            return []
        with self._store.using() as client:
            found = client.query_points(
                of.collection,
                query=query.tolist(),
                query_filter=as_conditions(where),
                limit=count,
                search_params=models.SearchParams(exact=effort is None, hnsw_ef=effort),
                with_payload=[*TRACKLET_FIELDS, "sequence"],
                with_vectors=True,
            )
        return list(found.points)

    def optimise(self) -> None:
        """Remove what was deleted from the disk, measure what the index finds; see `Gallery.optimise`.

        Where something was deleted, everything else is copied into a new collection, which takes the former
        one's place. Nobody else should delete meanwhile.
        """
        of = self._store.current()
        if of is None:
            return
        if of.has_deleted:
            of = rewrite(self._store, of)
        index = self._measured(of) if self._count(of, None) > self._exact_rows else None
        if index != of.index:
            self._store.write(replace(of, index=index))

    def _measured(self, of: Collection) -> Index:
        page = next(self._store.pages(of.collection, ["tracklet_id"]))
        names = [point.payload["tracklet_id"] for point in page[:RECALL_QUERIES]]  # in no order of their own
        true: dict[tuple[str, Filter | None], list[str]] = {}

        def nearest(name: str, where: Filter | None, effort: int | None = None) -> list[str]:
            vector = self.get([name]).vectors[0]
            points = self._asked(of, vector, RECALL_TOP + 1, where, effort)
            found = (point.payload["tracklet_id"] for point in points)
            return [other for other in found if other != name][:RECALL_TOP]

        def exact(name: str, where: Filter | None) -> list[str]:
            if (name, where) not in true:
                true[name, where] = nearest(name, where)
            return true[name, where]

        count = self._count(of, None)
        for effort in _EFFORTS:
            recall = measured_recall(names, exact, partial(nearest, effort=effort))
            if min(recall.values()) >= WANTED_RECALL:
                break
        return Index("HNSW", effort, count, last_sequence=0, last_revision=0, recall=recall)

    def info(self) -> GalleryInfo:
        """What the gallery holds."""
        of = self._store.current()
        count = {m.value: 0 if of is None else self._count(of, Filter(modality=m)) for m in Modality}
        first, last = (None, None) if of is None else self._span(of)
        index = None if of is None else of.index
        return GalleryInfo(
            uri=self.uri,
            storage=STORAGE,
            model=None if of is None else of.model,
            dimension=None if of is None else of.dimension,
            count=sum(count.values()),
            modalities=count,
            cameras=() if of is None else self._cameras(of),
            first_time=first,
            last_time=last,
            exact=index is None or sum(count.values()) <= self._exact_rows,
            recall=None if index is None else index.recall_of(None),
        )

    def calibration(self) -> Calibration | None:
        """What distances mean; see `Gallery.calibration`."""
        of = self._store.current()
        if of is None or of.calibration is None:
            return None
        found = calibration_from_json(of.calibration, self.uri)
        return found if found.model == of.model else None

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store what distances mean; see `Gallery.set_calibration`."""
        of = self._store.current()
        refuse_foreign_calibration(calibration, None if of is None else of.model)
        if of is not None:
            text = None if calibration is None else calibration_to_json(calibration)
            self._store.write(replace(of, calibration=text))

    def replacement(self, model: str) -> Replacement:
        """A collection beside the current one; what an attempt gathered before it was cut off is kept."""
        of = self._store.current()
        refuse_same_model(model, None if of is None else of.model, 0 if of is None else self._count(of, None))
        return QdrantReplacement(self._store, model)

    def close(self) -> None:
        """Let go of the connection, or of the folder."""
        self._store.close()

    def _older_than(self, instant: float, by: Age) -> list[str]:
        of = self._store.current()
        if of is None:
            return []
        where = older_than(instant, by_seen=by == "seen")
        pages = self._store.pages(of.collection, ["tracklet_id"], where)
        return [point.payload["tracklet_id"] for page in pages for point in page]

    def _points(
        self, tracklet_ids: Sequence[str], fields: Sequence[str], *, with_vectors: bool = False
    ) -> tuple[Collection | None, list[Point]]:
        of = self._store.current()
        ids = [point_id(name) for name in tracklet_ids]
        found = {}
        if of is not None:
            asked = list(dict.fromkeys(ids))
            found = self._store.some(of.collection, asked, fields, with_vectors=with_vectors)
        for name, number in zip(tracklet_ids, ids, strict=True):
            if number not in found:
                raise KeyError(f"no tracklet {name!r} in the gallery {self.uri}")
        return of, [found[number] for number in ids]

    def _count(self, of: Collection, where: Filter | None) -> int:
        with self._store.using() as client:
            return int(client.count(of.collection, as_conditions(where), exact=True).count)

    def _cameras(self, of: Collection) -> tuple[Id, ...]:
        with self._store.using() as client:
            found = client.facet(of.collection, "camera_id", limit=_MOST_CAMERAS, exact=True).hits
        known = (id_of(str(hit.value)) for hit in found)
        return in_order(i for i in known if i is not None)

    def _span(self, of: Collection) -> tuple[float | None, float | None]:
        """Earliest and latest known time."""
        ends: list[float | None] = []
        for direction in (models.Direction.ASC, models.Direction.DESC):
            order = models.OrderBy(key="time", direction=direction)
            with self._store.using() as client:
                points, _ = client.scroll(of.collection, limit=1, order_by=order, with_payload=["time"])
            times = [float((point.payload or {})["time"]) for point in points]
            ends.append(times[0] if times else None)
        return ends[0], ends[1]


def _sequence(point: Point) -> int:
    return int(point.payload["sequence"])
