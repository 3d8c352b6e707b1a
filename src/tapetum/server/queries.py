"""Uploads that are kept for a while: pictures until they are embedded, then their embeddings."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapetum.data.clips import TestSampling, select_test_frames
from tapetum.server.asking import QueryHandle, UploadKind
from tapetum.server.batching import Clips, Vector
from tapetum.server.pictures import Picture
from tapetum.server.refusals import NotFound, TooLarge
from tapetum.types import Embeddings, Modality, Preprocessing, Tracklet, TrackletSet


@dataclass(slots=True, eq=False)
class Part:
    """One tracklet of an upload: frames at the model's size, which are let go once there is an embedding.

    Attributes:
        frames: uint8 `[N, 3, H, W]`, those that clips are made of.
        positions: int64 `[C, T]`, which of them make each clip.
        modality: How they were seen.
        vector: The embedding; None before it is computed.
    """

    frames: NDArray[np.uint8]
    positions: NDArray[np.int64]
    modality: Modality
    vector: Vector | None = None

    def clips(self) -> Clips:
        """What the model sees: uint8 `[C, T, 3, H, W]`."""
        return Clips(self.frames[self.positions], self.modality)

    def tracklet(self, number: int) -> Tracklet:
        """What answers say of it; it has no files."""
        return Tracklet(f"query:{number}", (), self.modality, part="query")

    def embed(self, vector: Vector) -> None:
        """Keep the embedding, and let go of the frames."""
        self.vector = vector
        self.frames = self.frames[:0]


@dataclass(slots=True, eq=False)
class Query:
    """An upload.

    Attributes:
        handle: What its owner was told.
        owner: Name of the user; nobody else sees it.
        parts: Its tracklets.
        previews: JPEG files' bytes, one for each picture.
    """

    handle: QueryHandle
    owner: str
    parts: tuple[Part, ...]
    previews: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return sum(part.frames.nbytes for part in self.parts) + sum(map(len, self.previews))

    def embeddings(self, model: str) -> tuple[Embeddings, ...]:
        """What to search by: one row for each part that has its embedding.

        Args:
            model: Fingerprint of the model that made them.
        """
        return tuple(
            Embeddings(part.vector[None], TrackletSet("query", (part.tracklet(number),)), model)
            for number, part in enumerate(self.parts)
            if part.vector is not None
        )


def query_of(
    pictures: Sequence[Picture],
    *,
    kind: UploadKind,
    modality: Modality | None,
    owner: str,
    preprocessing: Preprocessing,
    sampling: TestSampling,
) -> Query:
    """An upload made of its pictures.

    Args:
        pictures: In time order where they are a tracklet.
        kind: Whether each is a tracklet of its own, or all together are one.
        modality: How they were seen; None: as their colours say.
        owner: Who uploaded them.
        preprocessing: Frames of a clip.
        sampling: How the frames of a clip are chosen.
    """
    groups = [list(pictures)] if kind == "tracklet" else [[picture] for picture in pictures]
    parts = tuple(_part(group, modality, preprocessing.frames, sampling) for group in groups)
    handle = QueryHandle(
        query_id=secrets.token_urlsafe(16),
        kind=kind,
        pictures=len(pictures),
        modalities=tuple(part.modality for part in parts),
        digests=tuple(picture.digest for picture in pictures),
        expires_at=0.0,
    )
    return Query(handle, owner, parts, tuple(picture.preview for picture in pictures))


def _part(
    pictures: Sequence[Picture], modality: Modality | None, frames: int, sampling: TestSampling
) -> Part:
    chosen, positions = np.unique(select_test_frames(sampling, len(pictures), frames), return_inverse=True)
    shape = (-1, frames)
    planes = np.stack([pictures[int(place)].planes for place in chosen])
    is_visible = float(np.mean([picture.visible for picture in pictures])) > 0.5
    seen = modality or (Modality.VISIBLE if is_visible else Modality.INFRARED)
    return Part(planes, positions.reshape(shape).astype(np.int64), seen)


class QueryStore:
    """Uploads by their identifiers, bounded in number, memory and time. It may be used from any thread."""

    def __init__(
        self,
        *,
        most: int = 64,
        most_bytes: int = 256 << 20,
        ttl_s: float = 1800.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """An empty store.

        Args:
            most: Uploads of one user; the one that was used longest ago makes room.
            most_bytes: Of all users; the one that was used longest ago makes room.
            ttl_s: How long after its last use an upload is kept.
            clock: Unix time in seconds.
        """
        self._most = most
        self._most_bytes = most_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: OrderedDict[str, Query] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            self._forget_expired()
            return len(self._kept)

    def add(self, query: Query) -> QueryHandle:
        """Keep an upload; what its owner is told.

        Raises:
            TooLarge: It alone is larger than all memory for uploads.
        """
        if query.size > self._most_bytes:
            raise TooLarge("the pictures need more memory than there is for uploads", field="files")
        with self._lock:
            self._forget_expired()
            self._kept[query.handle.query_id] = query
            own = [name for name, other in self._kept.items() if other.owner == query.owner]
            for name in own[: max(0, len(own) - self._most)]:
                del self._kept[name]
            while sum(other.size for other in self._kept.values()) > self._most_bytes:
                self._kept.popitem(last=False)
            return self._used(query)

    def get(self, query_id: str, owner: str) -> Query:
        """An upload, which is kept longer for it.

        Raises:
            NotFound: There is none of this user by this name, or no longer.
        """
        with self._lock:
            query = self._own(query_id, owner)
            self._used(query)
            return query

    def drop(self, query_id: str, owner: str) -> None:
        """Forget an upload.

        Raises:
            NotFound: As `get`.
        """
        with self._lock:
            self._own(query_id, owner)
            del self._kept[query_id]

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()

    def _own(self, query_id: str, owner: str) -> Query:
        self._forget_expired()
        query = self._kept.get(query_id)
        if query is None or query.owner != owner:
            raise NotFound("no such query, or it has expired: upload the pictures again", field="query_ids")
        return query

    def _used(self, query: Query) -> QueryHandle:
        self._kept.move_to_end(query.handle.query_id)
        query.handle = replace(query.handle, expires_at=self._clock() + self._ttl_s)
        return query.handle

    def _forget_expired(self) -> None:
        """The first are those used longest ago."""
        now = self._clock()
        while self._kept:
            query_id, query = next(iter(self._kept.items()))
            if query.handle.expires_at > now:
                return
            del self._kept[query_id]
