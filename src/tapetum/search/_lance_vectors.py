"""The nearest rows of a table: by vectors held in memory where they fit, else by reading the column."""

from __future__ import annotations

import os
from threading import BoundedSemaphore, Lock

import numpy as np
from numpy.typing import NDArray

from tapetum.search._lance_snapshot import Snapshot
from tapetum.search._nearest import Indices, Vectors, candidate_rows, product_error, ranked
from tapetum.search._vector_cache import Bounds, ByteBlock, FloatBlock, HeldVectors, VectorCache
from tapetum.search.query import Filter

MEMORY_BYTES = 1 << 30
"""So much memory may be taken to hold vectors, unless told otherwise."""

_SMALL = 16 << 20
"""Vectors of so many bytes are held as they are."""

_FEW = 2000
"""If bytes leave more rows than this open, embeddings are too alike for them: then floats are held."""

_OVERSAMPLING = 8
"""An index is asked for so many times more rows than wanted; all are compared again by their true vectors."""

Nearest = tuple[Indices, NDArray[np.float64]]


class TableVectors:
    """Answers from the vectors of a table, which it holds in memory from the first question on."""

    def __init__(self, memory_bytes: int) -> None:
        """Hold nothing yet, and later at most so much."""
        self._memory_bytes = memory_bytes
        self._filling = Lock()
        self._scanning = BoundedSemaphore(os.cpu_count() or 1)
        self._bytes_suffice = True
        self._cache: tuple[tuple[str, type], VectorCache] | None = None
        self._held: tuple[Snapshot, bool, HeldVectors | None] | None = None

    def exact(self, snapshot: Snapshot, query: Vectors, top: int, kept: NDArray[np.bool_]) -> Nearest:
        """The `top` rows nearest to a query among those kept, each of which is compared; their products."""
        held = self._hold(snapshot)
        with self._scanning:  # more scans at once than processors would only hold each other up
            found = _read_products(snapshot, query, kept) if held is None else held.scan(query, kept)
        rows = candidate_rows(found.products, found.errors, top)
        vectors = None if held is None else held.vectors(rows)
        if vectors is None:
            self._bytes_suffice &= len(rows) <= top + _FEW
            vectors = read_vectors(snapshot, rows)
        return ranked(rows, vectors, query, top)

    def approximate(
        self, snapshot: Snapshot, query: Vectors, top: int, where: Filter | None, effort: int
    ) -> Nearest:
        """About the `top` nearest rows, found by the index and ranked by their true products."""
        rows = snapshot.approximate(query, where, effort, top * _OVERSAMPLING)
        return ranked(rows, read_vectors(snapshot, rows), query, top)

    def _hold(self, snapshot: Snapshot) -> HeldVectors | None:
        """The vectors of a table in memory; None where they are too many."""
        with self._filling:
            known = self._held
            if known is None or known[0] is not snapshot or known[1] != self._bytes_suffice:
                known = self._held = (snapshot, self._bytes_suffice, self._filled(snapshot))
            return known[2]

    def _filled(self, snapshot: Snapshot) -> HeldVectors | None:
        kind = self._kind(len(snapshot) * snapshot.of.dimension)
        if kind is None:
            self._cache = None
            return None
        key = (snapshot.of.table, kind)
        if self._cache is None or self._cache[0] != key:
            self._held = self._cache = None
            self._cache = (key, VectorCache(snapshot.of.dimension, kind))
        return self._cache[1].update(snapshot.sequence, snapshot.revision, snapshot.read_vectors)

    def _kind(self, entries: int) -> type[FloatBlock] | type[ByteBlock] | None:
        """How so many entries of vectors are held: bytes are scanned sooner, and true vectors then read."""
        floats = 4 * entries <= min(self._memory_bytes, _SMALL if self._bytes_suffice else self._memory_bytes)
        if floats:
            return FloatBlock
        return ByteBlock if entries <= self._memory_bytes else None


def read_vectors(snapshot: Snapshot, rows: Indices) -> Vectors:
    """The vectors `[n, D]` of some rows, which rise."""
    found = np.empty((len(rows), snapshot.of.dimension), dtype=np.float32)
    for places, vectors in snapshot.read_vectors(rows):
        found[places] = vectors
    return found


def _read_products(snapshot: Snapshot, query: Vectors, kept: NDArray[np.bool_]) -> Bounds:
    """Products of the rows that are kept, read block by block."""
    rows = np.flatnonzero(kept)
    products = np.full(len(snapshot), -np.inf, dtype=np.float32)
    for places, vectors in snapshot.read_vectors(rows):
        products[rows[places]] = vectors @ query
    return Bounds(products, np.full(len(snapshot), product_error(len(query)), dtype=np.float32))
