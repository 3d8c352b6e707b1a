"""Vectors of a table's rows in memory, followed as rows come and go.

Rows are known by sequence and revision. What is new goes behind what is there; nothing that is there is
written over, so what a search holds stays as it was. Vectors are kept as float32, or as whole numbers of
eight bits with what this loses at most, so that exact answers are still found (see `Bounds`): that is a
quarter of the memory, and a processor that waits for memory scans it sooner.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.search._nearest import Indices, Vectors, product_error, scan_block

Mask = NDArray[np.bool_]
Fetch = Callable[[Indices], Iterator[tuple[Indices, Vectors]]]
"""Gives the vectors of some rows, in parts: places in the list that was asked for, and their vectors."""

BLOCK_ROWS = 8192
_LEVELS = 127
_CONVERTED_ROWS = 1024
"""Rows that are made float32 at a time: they fit into the processor's cache."""

_WASTE = 0.3
"""What is no longer needed may take this share of what is, before all is copied together."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Products with a query: the true one of row i lies within `products[i]` +- `errors[i]`.

    Attributes:
        products: float32 `[N]`; -inf for rows that are not looked at.
        errors: float32 `[N]`.
    """

    products: Vectors
    errors: Vectors


class Block(ABC):
    """Vectors of up to `BLOCK_ROWS` rows."""

    @abstractmethod
    def put(self, places: Indices, vectors: Vectors) -> None:
        """Keep vectors at these places, where nothing was kept before."""

    @abstractmethod
    def scan(self, query: Vectors, kept: Mask, into: Bounds) -> None:
        """Write the products of the first rows, as many as `kept` has, and their largest errors."""


class FloatBlock(Block):
    """Vectors as they are."""

    def __init__(self, dimension: int) -> None:
        """A block without vectors."""
        self.vectors = np.empty((BLOCK_ROWS, dimension), dtype=np.float32)

    def put(self, places: Indices, vectors: Vectors) -> None:
        """Keep vectors; see `Block.put`."""
        self.vectors[places] = vectors

    def scan(self, query: Vectors, kept: Mask, into: Bounds) -> None:
        """Write products and errors; see `Block.scan`."""
        scan_block(self.vectors[: len(kept)], query, kept, into.products)
        into.errors[:] = product_error(len(query))


class ByteBlock(Block):
    """Vectors in steps of a 127th of their largest entry, and how far each is from that."""

    def __init__(self, dimension: int) -> None:
        """A block without vectors."""
        self.codes = np.empty((BLOCK_ROWS, dimension), dtype=np.int8)
        self.step = np.empty(BLOCK_ROWS, dtype=np.float32)
        self.lost = np.empty(BLOCK_ROWS, dtype=np.float32)

    def put(self, places: Indices, vectors: Vectors) -> None:
        """Keep vectors; see `Block.put`."""
        step = np.abs(vectors).max(axis=1) / np.float32(_LEVELS)
        codes = np.rint(vectors / step[:, None])
        rest = vectors.astype(np.float64) - codes.astype(np.float64) * step.astype(np.float64)[:, None]
        self.codes[places] = codes
        self.step[places] = step
        self.lost[places] = np.nextafter(np.linalg.norm(rest, axis=1).astype(np.float32), np.float32(np.inf))

    def scan(self, query: Vectors, kept: Mask, into: Bounds) -> None:
        """Write products and errors; see `Block.scan`."""
        rows = np.flatnonzero(kept)
        products = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), _CONVERTED_ROWS):
            part = rows[start : start + _CONVERTED_ROWS]
            is_whole = part[-1] - part[0] + 1 == len(part)
            codes = self.codes[part[0] : part[-1] + 1] if is_whole else self.codes[part]
            np.matmul(codes.astype(np.float32), query, out=products[start : start + len(part)])
        into.products[:] = -np.inf
        into.products[rows] = products * self.step[rows]
        into.errors[:] = self.lost[: len(kept)] + np.float32(2 * product_error(len(query)))


@dataclass(frozen=True, slots=True)
class HeldVectors:
    """The vectors of a table's rows at one moment.

    Attributes:
        blocks: What is kept, `BLOCK_ROWS` rows each.
        slots: int64 `[N]`, where each row's vector is.
    """

    blocks: tuple[Block, ...]
    slots: Indices

    def scan(self, query: Vectors, kept: Mask) -> Bounds:
        """Products of the rows that are kept.

        Args:
            query: `[D]`, of length 1.
            kept: bool `[N]`.
        """
        size = int(self.slots.max()) + 1 if len(self.slots) else 0
        wanted = np.zeros(size, dtype=np.bool_)
        wanted[self.slots[kept]] = True
        found = Bounds(np.empty(size, dtype=np.float32), np.empty(size, dtype=np.float32))
        for number, block in enumerate(self.blocks):
            here = slice(number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS)
            if here.start < size:
                block.scan(query, wanted[here], Bounds(found.products[here], found.errors[here]))
        return Bounds(found.products[self.slots], found.errors[self.slots])

    def vectors(self, rows: Indices) -> Vectors | None:
        """The vectors `[n, D]` of some rows; None where they are not kept as they were."""
        kept = [block for block in self.blocks if isinstance(block, FloatBlock)]
        if len(kept) != len(self.blocks) or not kept:
            return None
        slots = self.slots[rows]
        found = np.empty((len(rows), kept[0].vectors.shape[1]), dtype=np.float32)
        for place, slot in enumerate(slots):
            found[place] = kept[slot // BLOCK_ROWS].vectors[slot % BLOCK_ROWS]
        return found


class VectorCache:
    """Keeps vectors between the states of a table; for one thread at a time."""

    def __init__(self, dimension: int, kind: type[FloatBlock] | type[ByteBlock]) -> None:
        """A cache without vectors."""
        self._dimension = dimension
        self._kind = kind
        self._reset()

    def _reset(self) -> None:
        self._blocks: list[Block] = []
        self._used = 0
        self._sequence = self._revision = self._slots = np.zeros(0, dtype=np.int64)

    def update(self, sequence: Indices, revision: Indices, fetch: Fetch) -> HeldVectors:
        """The vectors of a table's rows now; those that are not here yet are fetched.

        Args:
            sequence: int64 `[N]`, of each row, rising.
            revision: int64 `[N]`.
            fetch: Gives vectors of rows.
        """
        slots = self._known(sequence, revision)
        if self._used - (slots >= 0).sum() > _WASTE * len(slots) + BLOCK_ROWS:
            self._reset()
            slots[:] = -1
        missing = np.flatnonzero(slots < 0)
        slots[missing] = self._used + np.arange(len(missing))
        while len(self._blocks) * BLOCK_ROWS < self._used + len(missing):
            self._blocks.append(self._kind(self._dimension))
        if len(missing):
            for places, vectors in fetch(missing):
                self._put(slots[missing[places]], vectors)
        self._used += len(missing)
        self._sequence, self._revision, self._slots = sequence, revision, slots
        return HeldVectors(tuple(self._blocks), slots)

    def _known(self, sequence: Indices, revision: Indices) -> Indices:
        """Slots of the rows that are here; -1 for the others."""
        if not len(self._sequence):
            return np.full(len(sequence), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self._sequence, sequence), len(self._sequence) - 1)
        same = (self._sequence[place] == sequence) & (self._revision[place] == revision)
        return np.where(same, self._slots[place], -1)

    def _put(self, slots: Indices, vectors: Vectors) -> None:
        numbers = slots // BLOCK_ROWS
        for number in np.unique(numbers):
            here = numbers == number
            self._blocks[int(number)].put(slots[here] % BLOCK_ROWS, vectors[here])
