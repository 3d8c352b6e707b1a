"""Another collection in the place of a gallery's: of another model, or without what was deleted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from qdrant_client import models

from tapetum.search._qdrant_points import TRACKLET_FIELDS, Point, point_id, tracklet_of, written_since
from tapetum.search._qdrant_store import Collection, QdrantStore, emptied
from tapetum.search.replacement import Replacement
from tapetum.search.storing import new_rows, refuse_empty
from tapetum.types import Embeddings, TrackletSet

_ALL_FIELDS = [*TRACKLET_FIELDS, "sequence", "revision", "stored_at", "content", "thumbnails"]
_MARGIN_NS = 1_000_000_000
"""What was written up to a second before is copied again: clocks differ, and large numbers are rounded."""


def rewrite(store: QdrantStore, of: Collection) -> Collection:
    """The gallery in a new collection, which holds nothing that was deleted; the former one is dropped.

    Args:
        store: Of the gallery.
        of: What it is now.
    """
    following = emptied(of, store.following(of.collection))
    started = time.time_ns() - _MARGIN_NS
    store.create(following)
    _copy(store, of.collection, following.collection)
    store.point_at(following.collection)
    _copy(store, of.collection, following.collection, written_since(started))
    store.drop(of.collection)
    return following


def _copy(store: QdrantStore, source: str, target: str, where: models.Filter | None = None) -> None:
    for page in store.pages(source, _ALL_FIELDS, where, with_vectors=True):
        store.put(target, (models.PointStruct(id=p.id, vector=p.vector, payload=p.payload) for p in page))


class QdrantReplacement(Replacement):
    """A second collection of a gallery's tracklets, with the embeddings of another model."""

    def __init__(self, store: QdrantStore, model: str) -> None:
        """Go on with the collection that is there for `model`; others are given up."""
        self.model = model
        self._store = store
        self._left_out: set[tuple[str, int]] = set()
        """Points, by number and revision."""
        self._asked: dict[str, Point] = {}
        self._following: Collection | None = None
        current = self._current()
        for number in store.numbers():
            name = f"{store.place.name}-{number}"
            if name == current.collection:
                continue
            found = store.read(name)
            if found.model == model and name == store.following(current.collection):
                self._following = found
            else:
                store.drop(name)

    def pending(self, limit: int) -> TrackletSet:
        """At most `limit` tracklets that are not embedded yet; see `Replacement.pending`."""
        self._asked = {}
        for point in self._pending(_ALL_FIELDS):
            self._asked[str(point.id)] = point
            if len(self._asked) == limit:
                break
        found = sorted(self._asked.values(), key=lambda point: int(point.payload["sequence"]))
        return TrackletSet("gallery", tuple(tracklet_of(point) for point in found))

    def count_pending(self) -> int:
        """Number of tracklets that are not embedded yet."""
        return sum(1 for _ in self._pending(["revision"]))

    def store(self, embeddings: Embeddings) -> None:
        """Keep the embeddings of some tracklets that were pending; see `Replacement.store`."""
        known = None if self._following is None else self._following.dimension
        checked = new_rows(embeddings, None, None, model=self.model, dimension=known).embeddings
        if not len(checked):
            return
        if self._following is None:
            current = self._current()
            name = self._store.following(current.collection)
            self._following = emptied(current, name, self.model, int(checked.vectors.shape[1]))
            self._store.create(self._following)
        ids = [point_id(t.tracklet_id) for t in checked.tracklets]
        rows = [(i, vector) for i, vector in zip(ids, checked.vectors, strict=True) if i in self._asked]
        self._store.put(
            self._following.collection,
            (
                models.PointStruct(id=i, vector=vector.tolist(), payload=self._asked[i].payload)
                for i, vector in rows
            ),
        )

    def leave_out(self, tracklet_ids: Iterable[str]) -> None:
        """Let tracklets be missing; see `Replacement.leave_out`."""
        ids = [point_id(name) for name in tracklet_ids]
        found = self._store.some(self._current().collection, ids, ["revision"])
        self._left_out |= {(i, int(point.payload["revision"])) for i, point in found.items()}

    def finish(self) -> bool:
        """Take the gallery's place where nothing is pending; see `Replacement.finish`.

        Nobody else should write to the gallery at this moment: a server has no lock that keeps them waiting.
        """
        if next(self._pending(["revision"]), None) is not None:
            return False
        current = self._current()
        strangers, left = self._strangers(current)
        refuse_empty(left)
        assert self._following is not None
        self._store.remove(self._following.collection, strangers)
        if strangers:
            self._store.write(replace(self._following, has_deleted=True))
        self._store.point_at(self._following.collection)
        self._store.drop(current.collection)
        return True

    def _current(self) -> Collection:
        found = self._store.current()
        if found is None:
            raise FileNotFoundError(f"{self._store.place.uri}: there is no gallery")
        return found

    def _pending(self, fields: Iterable[str]) -> Iterator[Point]:
        """Points of the gallery that are not in the replacement as they are."""
        for page in self._store.pages(self._current().collection, list(fields)):
            done: dict[str, Point] = {}
            if self._following is not None:
                ids = [str(point.id) for point in page]
                done = self._store.some(self._following.collection, ids, ["revision"])
            for point in page:
                number, revision = str(point.id), int(point.payload["revision"])
                is_there = number in done and int(done[number].payload["revision"]) == revision
                if not is_there and (number, revision) not in self._left_out:
                    yield point

    def _strangers(self, current: Collection) -> tuple[list[str], int]:
        """Points of the replacement that are deleted or left out meanwhile, and the number of the others."""
        strangers: list[str] = []
        left = 0
        if self._following is None:
            return strangers, left
        for page in self._store.pages(self._following.collection, ["revision"]):
            known = self._store.some(current.collection, [str(p.id) for p in page], ["revision"])
            for point in page:
                number = str(point.id)
                revision = int(known[number].payload["revision"]) if number in known else -1
                if revision >= 0 and (number, revision) not in self._left_out:
                    left += 1
                else:
                    strangers.append(number)
        return strangers, left
