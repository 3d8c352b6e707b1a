"""Collections of a Qdrant server, and the name that says which of them is the gallery.

A gallery NAME is an alias of a collection NAME-1, NAME-2, ...; a collection's metadata says what it is. To
put another collection in a gallery's place, the alias is pointed at it, which the server does at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from tapetum.errors import DataError, GalleryInUseError, GalleryVersionError
from tapetum.search._qdrant_points import KEYWORDS, Point
from tapetum.search.gallery_folder import FORMAT, FORMAT_VERSION
from tapetum.search.planning import Index

_PAGE = 512
_AT_ONCE = 64
_NUMBERS = {
    "time": models.PayloadSchemaType.FLOAT,
    "stored_at": models.PayloadSchemaType.FLOAT,
    "revision": models.PayloadSchemaType.INTEGER,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gallery is.

    Attributes:
        uri: As it was given.
        name: Of the gallery.
        url: Of the server; None: in a folder or in memory.
        folder: Of a store without a server; None: in memory.
        shards: Into how many shards a new collection is divided; None: as the server does.
        replicas: How many copies of each there are; None: as the server does.
        key: What the server wants to be told; None: nothing.
        consistency: How many copies a writing waits for; None: as the server does.
    """

    uri: str
    name: str
    url: str | None = None
    folder: Path | None = None
    shards: int | None = None
    replicas: int | None = None
    key: str | None = None
    consistency: int | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """What a collection's metadata says.

    Attributes:
        collection: Its name.
        model: Fingerprint of the model of its embeddings.
        dimension: Length of an embedding.
        calibration: What distances mean, as JSON; None where unknown.
        index: What approximate searches find; None where it was not measured.
        has_deleted: Whether rows were deleted that may still be on the disk.
    """

    collection: str
    model: str
    dimension: int
    calibration: str | None = None
    index: Index | None = None
    has_deleted: bool = False

    def to_metadata(self) -> dict[str, Any]:
        """The metadata that says so."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "model": self.model,
            "dimension": self.dimension,
            "calibration": self.calibration,
            "index": None if self.index is None else self.index.to_json(),
            "has_deleted": self.has_deleted,
        }

    @classmethod
    def from_metadata(cls, collection: str, found: dict[str, Any]) -> Collection:
        """What `to_metadata` wrote.

        Raises:
            DataError: The collection is no gallery, or its metadata is damaged.
            GalleryVersionError: It is of a newer version.
        """
        if found.get("format") != FORMAT:
            raise DataError(f"the collection {collection} is no gallery of Tapetum; choose another name")
        version = found.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise GalleryVersionError(
                f"the collection {collection} was written by a newer version of Tapetum: format_version is "
                f"{version}; this version reads {FORMAT_VERSION}. Nothing was changed"
            )
        try:
            index = found.get("index")
            return cls(
                collection,
                str(found["model"]),
                int(found["dimension"]),
                found.get("calibration"),
                None if index is None else Index.from_json(index),
                bool(found.get("has_deleted")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the metadata of collection {collection} is not complete: {error!r}") from None


class QdrantStore:
    """Collections of one gallery; a store without a server is used by one thread at a time."""

    def __init__(self, place: Place) -> None:
        """Nothing is opened yet."""
        self.place = place
        self._using = RLock()
        self._client: QdrantClient | None = None

    @property
    def is_server(self) -> bool:
        """Whether there is a server behind it."""
        return self.place.url is not None

    @contextmanager
    def using(self) -> Iterator[QdrantClient]:
        """The client, for some calls that belong together.

        Raises:
            GalleryInUseError: Another process has the folder open.
            ConnectionError: The server does not answer.
            DataError: The server refuses; its words are given.
        """
        try:
            if self.is_server:
                yield self._open()
            else:
                with self._using, warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # that this is for trials is documented
                    yield self._open()
        except ResponseHandlingException as error:
            raise ConnectionError(f"{self.place.uri}: no answer: {error}") from error
        except UnexpectedResponse as error:
            raise DataError(f"{self.place.uri}: {error}") from error

    def close(self) -> None:
        """Let go of the connection, or of the folder."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def current(self) -> Collection | None:
        """The collection that is the gallery now; None where there is none.

        Raises:
            DataError: The name is that of a collection that is no gallery.
            GalleryVersionError: The gallery is of a newer version.
        """
        place = self.place
        if self._client is None and place.folder is not None and not (place.folder / "meta.json").is_file():
            return None  # opening would write
        with self.using() as client:
            for alias in client.get_aliases().aliases:
                if alias.alias_name == place.name:
                    return self.read(alias.collection_name)
            if client.collection_exists(place.name):
                raise DataError(f"{place.uri}: {place.name} is a collection, but no gallery of Tapetum")
        return None

    def read(self, collection: str) -> Collection:
        """What a collection's metadata says."""
        with self.using() as client:
            metadata = client.get_collection(collection).config.metadata
        return Collection.from_metadata(collection, metadata or {})

    def write(self, of: Collection) -> None:
        """Change a collection's metadata."""
        with self.using() as client:
            client.update_collection(of.collection, metadata=of.to_metadata())

    def create(self, of: Collection) -> None:
        """A new, empty collection; one of that name that was left unfinished is dropped.

        Raises:
            DataError: The server is too old to keep metadata.
        """
        with self.using() as client:
            client.delete_collection(of.collection)
            client.create_collection(
                of.collection,
                vectors_config=models.VectorParams(
                    size=of.dimension, distance=models.Distance.DOT, on_disk=True
                ),
                shard_number=self.place.shards,
                replication_factor=self.place.replicas,
                write_consistency_factor=self.place.consistency,
                on_disk_payload=True,
                metadata=of.to_metadata(),
            )
            if self.is_server:
                self._index_payload(client, of.collection)
            if not client.get_collection(of.collection).config.metadata:
                client.delete_collection(of.collection)
                raise DataError(
                    f"{self.place.uri}: the server keeps no metadata: Qdrant 1.16 or newer is needed"
                )

    def point_at(self, collection: str) -> None:
        """Make a collection the gallery, at once."""
        with self.using() as client:
            existing = [a for a in client.get_aliases().aliases if a.alias_name == self.place.name]
            created = models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=collection, alias_name=self.place.name)
            )
            removed = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self.place.name))
            client.update_collection_aliases([*([removed] if existing else []), created])

    def numbers(self) -> list[int]:
        """Numbers of the collections that belong to this name, the gallery's and unfinished ones."""
        head = f"{self.place.name}-"
        with self.using() as client:
            names = [c.name for c in client.get_collections().collections]
        tails = (name.removeprefix(head) for name in names if name.startswith(head))
        return sorted(int(tail) for tail in tails if tail.isdecimal())

    def following(self, current: str) -> str:
        """Name of a collection to come after one."""
        return f"{self.place.name}-{int(current.rpartition('-')[2]) + 1}"

    def drop(self, collection: str) -> None:
        """Remove a collection with all that is in it."""
        with self.using() as client:
            client.delete_collection(collection)

    def put(self, collection: str, points: Iterable[models.PointStruct]) -> None:
        """Store points, a few at a time; each answer of the server means that they are kept."""
        waiting: list[models.PointStruct] = []
        with self.using() as client:
            for point in points:
                waiting.append(point)
                if len(waiting) == _AT_ONCE:
                    client.upsert(collection, waiting, wait=True)
                    waiting = []
            if waiting:
                client.upsert(collection, waiting, wait=True)

    def pages(
        self,
        collection: str,
        fields: Sequence[str],
        where: models.Filter | None = None,
        *,
        with_vectors: bool = False,
    ) -> Iterator[list[Point]]:
        """All points that meet a filter, page by page, with some fields of their payloads."""
        offset: Any = None
        while True:
            with self.using() as client:
                points, offset = client.scroll(
                    collection,
                    scroll_filter=where,
                    limit=_PAGE,
                    offset=offset,
                    with_payload=list(fields),
                    with_vectors=with_vectors,
                )
            if points:
                yield points
            if offset is None:
                return

    def some(
        self, collection: str, ids: Sequence[str], fields: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, Point]:
        """The points of these numbers that are there, by number."""
        found: dict[str, Point] = {}
        with self.using() as client:
            for start in range(0, len(ids), _PAGE):
                asked = list(ids[start : start + _PAGE])
                points = client.retrieve(
                    collection, asked, with_payload=list(fields), with_vectors=with_vectors
                )
                found.update((str(point.id), point) for point in points)
        return found

    def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Delete points; their bytes may stay on the disk."""
        with self.using() as client:
            for start in range(0, len(ids), _PAGE):
                chosen = models.PointIdsList(points=list(ids[start : start + _PAGE]))
                client.delete(collection, chosen, wait=True)

    def _index_payload(self, client: QdrantClient, collection: str) -> None:
        for name in KEYWORDS:
            client.create_payload_index(collection, name, models.PayloadSchemaType.KEYWORD, wait=True)
        for name, kind in _NUMBERS.items():
            client.create_payload_index(collection, name, kind, wait=True)

    def _open(self) -> QdrantClient:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> QdrantClient:
        place = self.place
        if place.url is not None:
            return QdrantClient(url=place.url, api_key=place.key, check_compatibility=False, timeout=60)
        if place.folder is None:
            return QdrantClient(":memory:")
        try:
            return QdrantClient(path=str(place.folder), force_disable_check_same_thread=True)
        except RuntimeError as error:
            raise GalleryInUseError(
                f"{place.folder} is in use by another process: without a server, one process at a time "
                "can open it"
            ) from error


def emptied(of: Collection, collection: str, model: str | None = None, dimension: int = 0) -> Collection:
    """The metadata of a collection to come after one: of the same model and calibration, or of another."""
    if model is None:
        return replace(of, collection=collection, index=None, has_deleted=False)
    return Collection(collection, model, dimension)
