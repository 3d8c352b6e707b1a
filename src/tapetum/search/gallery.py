"""Galleries: tracklets with their embeddings, kept somewhere and searched by filter and nearness."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from numpy.typing import ArrayLike

from tapetum.search.query import Filter, SearchResult, without
from tapetum.types import Embeddings, Id, TrackletSet

if TYPE_CHECKING:
    from tapetum.evaluation.calibration.calibration import Calibration
    from tapetum.search.replacement import Replacement

Age = Literal["seen", "stored"]
"""What a tracklet's age counts from: when it was seen (stored, where unknown), or when it was stored."""


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """What a gallery holds.

    Attributes:
        uri: Where it is.
        storage: How it is stored: "memory", "numpy", "lancedb" or "qdrant".
        model: Fingerprint of the model of its embeddings; None before the first are stored.
        dimension: Length of an embedding; None before the first are stored.
        count: Number of tracklets.
        modalities: Tracklets of each modality, by its name.
        cameras: Its cameras, integers first.
        first_time: Earliest known time in seconds; None where no time is known.
        last_time: Latest known time in seconds.
        exact: Whether all its searches are exact.
        recall: Where not, the share of true nearest tracklets that its index was found to find.
    """

    uri: str
    storage: str
    model: str | None
    dimension: int | None
    count: int
    modalities: dict[str, int]
    cameras: tuple[Id, ...]
    first_time: float | None
    last_time: float | None
    exact: bool
    recall: float | None = None


class Gallery(ABC):
    """Embedded tracklets that can be searched. All of one model; a tracklet's identifier occurs once.

    Order is the order in which identifiers were first stored; ties in a search are broken by it. A gallery
    may be used from several threads.
    """

    uri: str

    @staticmethod
    def open(uri: str | Path, *, create: bool = True) -> Gallery:
        """The gallery at `uri`.

        Args:
            uri: "memory:" for an empty one that ends with the process; a folder; "numpy:FOLDER" for the
                reference gallery in a folder; "qdrant://HOST:PORT/NAME" for a collection on a Qdrant server;
                "qdrant:FOLDER" or "qdrant::memory:" for one without a server, for trials.
            create: Whether a place where nothing is becomes a new, empty gallery; it is written with the
                first tracklets. If false, it is an error.

        Raises:
            ValueError: The address names a store that this version does not have.
            FileNotFoundError: There is no gallery, and `create` is false.
            DataError: The place holds something else, or a damaged gallery.
            GalleryVersionError: The gallery is of a newer version.
            MissingExtraError: The store needs a package that is not installed.
            OSError: A server does not answer.
        """
        from tapetum.search.addresses import open_gallery

        return open_gallery(uri, create=create)

    @staticmethod
    def create(uri: str | Path) -> Gallery:
        """A new, empty gallery at `uri`.

        Raises:
            FileExistsError: There is a gallery already.
            ValueError: As `open`.
            DataError: As `open`.
        """
        gallery = Gallery.open(uri)
        if gallery.info().model is not None:
            gallery.close()
            raise FileExistsError(f"{uri}: there is a gallery already; open it, or choose another place")
        return gallery

    @abstractmethod
    def upsert(
        self,
        embeddings: Embeddings,
        *,
        thumbnails: Sequence[Sequence[bytes]] | None = None,
        contents: Sequence[str | None] | None = None,
    ) -> int:
        """Store embeddings and return how many tracklets are new; one that is there already is replaced.

        Nothing is stored unless everything can be. The first embeddings decide model and dimension.

        Args:
            embeddings: What to store.
            thumbnails: Pictures of each tracklet, JPEG files' bytes, the best first; None: none.
            contents: What each tracklet was made from, such as a digest of its frames; None: unknown.

        Raises:
            ModelMismatchError: They are of another model than those stored.
            ValueError: Another dimension, an embedding that is zero or not finite, an identifier twice, or
                another number of thumbnails or contents than of embeddings.
            OSError: They could not be written; what was stored before is untouched.
        """

    @abstractmethod
    def delete(self, tracklet_ids: Iterable[str]) -> int:
        """Remove tracklets and return how many there were; identifiers that are not there are passed over.

        No answer shows them any more. Their bytes may stay on the disk until `optimise`; see `erase`.
        """

    @abstractmethod
    def get(self, tracklet_ids: Sequence[str]) -> Embeddings:
        """The tracklets of these identifiers with their embeddings, in this order.

        Raises:
            KeyError: One is not there; it is named.
        """

    @abstractmethod
    def thumbnails(self, tracklet_id: str) -> list[bytes]:
        """Pictures of a tracklet, each a JPEG file's bytes, the best first; none where none were stored.

        Raises:
            KeyError: It is not there.
        """

    @abstractmethod
    def contents(self, tracklet_ids: Iterable[str] | None = None) -> dict[str, str]:
        """What tracklets were made from, by identifier, where it is known; of all, or of those given."""

    @abstractmethod
    def filter(self, where: Filter | None = None) -> TrackletSet:
        """The tracklets that pass, in gallery order; all without a filter."""

    @abstractmethod
    def search(
        self, query: ArrayLike | Embeddings, *, top: int = 20, where: Filter | None = None
    ) -> SearchResult:
        """The tracklets nearest to a query among those that pass the filter.

        The filter is applied before the search: fewer than `top` hits means that no more tracklets pass.

        Args:
            query: A vector `[D]` (normalised here where needed), or embeddings of one row, whose model is
                checked.
            top: At most this many hits.
            where: Which tracklets are looked at; None: all.

        Raises:
            ValueError: Another dimension, a query that is zero or not finite, several rows, `top` below 1.
            ModelMismatchError: The query is of another model than the gallery.
        """

    @abstractmethod
    def optimise(self) -> None:
        """Use no more memory and disk than needed, and make large galleries quick to search.

        Exact answers stay as they are; what was deleted leaves the disk.
        """

    @abstractmethod
    def info(self) -> GalleryInfo:
        """What the gallery holds."""

    @abstractmethod
    def calibration(self) -> Calibration | None:
        """What the distances of the gallery's model mean; None where none was stored for that model."""

    @abstractmethod
    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store what distances mean, for every later answer; None removes it.

        Raises:
            ModelMismatchError: It is of another model than the gallery.
            ValueError: Nothing was stored in the gallery yet.
        """

    @abstractmethod
    def replacement(self, model: str) -> Replacement:
        """A place to gather the gallery's tracklets embedded by another model, which then replaces it.

        An attempt that was cut off is gone on with, where the store keeps it; one for another model is
        dropped.

        Raises:
            ValueError: The gallery is empty, or it is of `model` already.
        """

    def count(self, where: Filter | None = None) -> int:
        """Number of tracklets that pass; of all without a filter."""
        return len(self.filter(where))

    def page(
        self, where: Filter | None = None, *, offset: int = 0, limit: int = 50
    ) -> tuple[TrackletSet, int]:
        """A stretch of the tracklets that pass, in gallery order, and how many pass in all.

        Args:
            where: Which tracklets are looked at; None: all.
            offset: How many of them to pass over.
            limit: At most so many are given.

        Raises:
            ValueError: `offset` is below 0, or `limit` below 1.
        """
        refuse_bad_stretch(offset, limit)
        passing = self.filter(where)
        return TrackletSet(passing.name, passing.tracklets[offset : offset + limit]), len(passing)

    def similar_to(self, tracklet_id: str, *, top: int = 20, where: Filter | None = None) -> SearchResult:
        """The tracklets nearest to one of the gallery, itself left out; `searched` does not count it.

        Raises:
            KeyError: It is not in the gallery.
            ValueError: `top` is below 1.
        """
        refuse_bad_top(top)
        query = self.get([tracklet_id])
        found = self.search(query, top=top + 1, where=where)
        return without(found, query.tracklets, top=top, where=where)

    def erase(
        self,
        *,
        person_ids: Id | Iterable[Id] | None = None,
        tracklet_ids: str | Iterable[str] | None = None,
    ) -> int:
        """Remove people or tracklets for good, from the disk too, and return how many tracklets there were.

        It may be called again after it was cut off: bytes of what is deleted already leave the disk then.

        Args:
            person_ids: Whose tracklets; compared as texts, like those of a `Filter`.
            tracklet_ids: Which tracklets.

        Raises:
            ValueError: Neither is given.
            OSError: The disk could not be written; no answer shows them any more, but bytes may be left.
        """
        if person_ids is None and tracklet_ids is None:
            raise ValueError("nothing to erase: give person_ids or tracklet_ids")
        gone = {tracklet_ids} if isinstance(tracklet_ids, str) else set(tracklet_ids or ())
        if person_ids is not None:
            gone |= {t.tracklet_id for t in self.filter(Filter(persons=person_ids))}
        erased = self.delete(sorted(gone))
        self.optimise()
        return erased

    def purge(self, older_than: float, *, by: Age = "seen") -> int:
        """Remove what is older than an instant, from the disk too, and return how many tracklets it was.

        Args:
            older_than: The instant; what is as old as it stays. In Unix seconds, and so must times of
                tracklets be.
            by: "seen": by the tracklets' own times, and where those are unknown by when they were stored;
                "stored": by when they were stored, also for times that count from another epoch.

        Raises:
            ValueError: The instant is not finite, or `by` is unknown.
            OSError: As `erase`.
        """
        purged = self.delete(self.older_than(older_than, by=by))
        self.optimise()
        return purged

    def older_than(self, instant: float, *, by: Age = "seen") -> list[str]:
        """The tracklets that `purge` would remove, in any order.

        Raises:
            ValueError: The instant is not finite, or `by` is unknown.
        """
        if not math.isfinite(instant):
            raise ValueError(f"older_than is {instant}; expected a time in seconds")
        if by not in ("seen", "stored"):
            raise ValueError(f"by is {by!r}; expected 'seen' or 'stored'")
        return self._older_than(instant, by)

    def close(self) -> None:
        """Let go of files and connections that are held open; the gallery is not used afterwards."""
        return

    @abstractmethod
    def _older_than(self, instant: float, by: Age) -> list[str]:
        """Tracklets whose age is before an instant; those of unknown age are not."""


def refuse_bad_top(top: int) -> None:
    """Nothing, or an error where no hit is asked for.

    Raises:
        ValueError: `top` is below 1.
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected at least 1")


def refuse_bad_stretch(offset: int, limit: int) -> None:
    """Nothing, or an error where a stretch of tracklets cannot be.

    Raises:
        ValueError: `offset` is below 0, or `limit` below 1.
    """
    if offset < 0 or limit < 1:
        raise ValueError(f"offset is {offset} and limit {limit}; expected at least 0 and 1")
