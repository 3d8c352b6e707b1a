"""Galleries: tracklets with their embeddings, kept somewhere and searched by filter and nearness."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.errors import ModelMismatchError
from tapetum.search.query import Filter, SearchResult
from tapetum.types import Embeddings, Id, TrackletSet

MEMORY = "memory:"
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """What a gallery holds.

    Attributes:
        uri: Where it is.
        storage: How it is stored: "memory" or "numpy".
        model: Fingerprint of the model of its embeddings; None before the first are stored.
        dimension: Length of an embedding; None before the first are stored.
        count: Number of tracklets.
        modalities: Tracklets of each modality, by its name.
        cameras: Its cameras, integers first.
        first_time: Earliest known time in seconds; None where no time is known.
        last_time: Latest known time in seconds.
        exact: Whether its searches are exact.
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
            uri: "memory:" for an empty one that ends with the process, or a folder.
            create: Whether a folder that does not exist (or is empty) is a new, empty gallery; it is written
                with the first tracklets. If false, it is an error.

        Raises:
            ValueError: The address names a store that this version does not have.
            FileNotFoundError: There is no gallery in the folder, and `create` is false.
            DataError: The folder holds something else, or a damaged gallery.
        """
        from tapetum.search.folder_gallery import FolderGallery
        from tapetum.search.memory_gallery import MemoryGallery

        address = str(uri)
        if address == MEMORY:
            return MemoryGallery()
        _refuse_other_stores(address)
        return FolderGallery(Path(uri), create=create)

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
            raise FileExistsError(f"{uri}: there is a gallery already; open it, or choose another place")
        return gallery

    @abstractmethod
    def upsert(self, embeddings: Embeddings) -> int:
        """Store embeddings and return how many tracklets are new; one that is there already is replaced.

        Nothing is stored unless everything can be. The first embeddings decide model and dimension.

        Raises:
            ModelMismatchError: They are of another model than those stored.
            ValueError: Another dimension, an embedding that is zero or not finite, or an identifier twice.
        """

    @abstractmethod
    def delete(self, tracklet_ids: Iterable[str]) -> int:
        """Remove tracklets and return how many there were; identifiers that are not there are passed over."""

    @abstractmethod
    def get(self, tracklet_ids: Sequence[str]) -> Embeddings:
        """The tracklets of these identifiers with their embeddings, in this order.

        Raises:
            KeyError: One is not there; it is named.
        """

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
        """Use no more memory and disk than needed; answers stay as they are."""

    @abstractmethod
    def info(self) -> GalleryInfo:
        """What the gallery holds."""

    def count(self, where: Filter | None = None) -> int:
        """Number of tracklets that pass; of all without a filter."""
        return len(self.filter(where))

    def similar_to(self, tracklet_id: str, *, top: int = 20, where: Filter | None = None) -> SearchResult:
        """The tracklets nearest to one of the gallery, itself left out; `searched` does not count it.

        Raises:
            KeyError: It is not in the gallery.
            ValueError: `top` is below 1.
        """
        if top < 1:
            raise ValueError(f"top is {top}; expected at least 1")
        query = self.get([tracklet_id])
        found = self.search(query, top=top + 1, where=where)
        counts_itself = where is None or where.accepts(query.tracklets[0])
        hits = [hit for hit in found if hit.tracklet.tracklet_id != tracklet_id][:top]
        ranked = tuple(
            type(hit)(hit.tracklet, hit.similarity, rank) for rank, hit in enumerate(hits, start=1)
        )
        return SearchResult(ranked, found.exact, found.searched - counts_itself, found.recall)


def as_query(query: ArrayLike | Embeddings, model: str | None, dimension: int | None) -> NDArray[np.float32]:
    """The vector `[D]` of a query, of length 1.

    Args:
        query: A vector, or embeddings of one row.
        model: Fingerprint that embeddings must have; None: any.
        dimension: Length that it must have; None: any.

    Raises:
        ValueError: Not one vector of that length, zero, or not finite.
        ModelMismatchError: Embeddings of another model.
    """
    if isinstance(query, Embeddings):
        refuse_other_model(query.model, model)
        if len(query) != 1:
            raise ValueError(f"the query has {len(query)} rows; expected one")
        query = query.vectors[0]
    vector: NDArray[np.float32] = np.asarray(query, dtype=np.float32)
    if vector.ndim != 1:
        raise ValueError(f"the query has shape {vector.shape}; expected one vector")
    if dimension is not None and len(vector) != dimension:
        raise ValueError(f"the query has dimension {len(vector)}; the gallery has {dimension}")
    unit: NDArray[np.float32] = unit_rows(vector[None], ["the query"])[0]
    return unit


def unit_rows(vectors: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float32]:
    """Rows of length 1; those that are already, to rounding, stay as they are.

    Raises:
        ValueError: A row is zero or not finite; its name is given.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise ValueError(f"{names[int(bad[0])]} is zero or not finite; it has no direction")
    off = np.abs(lengths - 1) > _TOLERANCE
    if not off.any():
        return vectors
    found = vectors.copy()
    found[off] = vectors[off] / lengths[off, None]
    return found


def refuse_other_model(given: str, stored: str | None) -> None:
    """Nothing, or an error where embeddings of `given` meet those of another model.

    Raises:
        ModelMismatchError: The fingerprints differ.
    """
    if stored is not None and given != stored:
        raise ModelMismatchError(
            f"these embeddings are of model {given or '(unknown)'}, those of the gallery of model "
            f"{stored or '(unknown)'}; they cannot be compared: index the gallery anew"
        )


def _refuse_other_stores(address: str) -> None:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", address)  # one letter is a drive
    if scheme:
        raise ValueError(
            f"{address!r}: there is no store {scheme[1]!r} in this version; give a folder, or {MEMORY!r}"
        )
    if not address.strip():
        raise ValueError(f"the gallery's address is empty; give a folder, or {MEMORY!r}")
