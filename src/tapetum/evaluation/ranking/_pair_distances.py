"""The nearest neighbours of every vector among all, exactly, without ever holding a matrix of all pairs.

Squared distances come from float32 products, some rows at a time. Where float32 cannot tell which vectors are
among the nearest, float64 decides, and equal distances are taken in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation._identities import IntArray
from tapetum.evaluation.distances.block_sizes import rows_at_a_time

FloatArray = NDArray[np.floating]

_TOLERANCE = 8e-6  # far above the rounding of a float32 product, relative to squared lengths
_ENTRIES = 1 << 20  # numbers of vectors gathered at a time


class PairDistances:
    """Squared Euclidean distances between all pairs of vectors, in units of the longest squared length.

    Lengths are measured from the mean of all vectors: distances do not change, and rounding is least there.
    Products are numpy's here; `SquaredDistances` has quicker ones, by torch.
    """

    def __init__(self, vectors: FloatArray) -> None:
        """Prepare `vectors` `[N, D]`, all finite."""
        centred = vectors - vectors.mean(axis=0, dtype=np.float64)
        longest = np.sqrt(np.einsum("nd,nd->n", centred, centred).max())
        if longest > 0:
            centred /= longest
        self._given = vectors
        self._vectors: NDArray[np.float32] = centred.astype(np.float32)
        self._squares: NDArray[np.float32] = np.einsum("nd,nd->n", self._vectors, self._vectors)

    def __len__(self) -> int:
        return len(self._given)

    @property
    def parts(self) -> list[slice]:
        """Rows of the blocks."""
        return list(_slices(len(self), rows_at_a_time(len(self))))

    def block(self, rows: slice) -> Any:
        """Squared distances `[b, N]` of some rows, of the kind that the other methods take."""
        squared = self._vectors[rows] @ self._vectors.T
        squared *= np.float32(-2)
        squared += self._squares
        squared += self._squares[rows, None]
        return np.maximum(squared, 0, out=squared)

    def largest(self, squared: Any) -> NDArray[np.float32]:
        """The largest of each row of a block, `[b]`."""
        found: NDArray[np.float32] = squared.max(axis=1)
        return found

    def as_array(self, squared: Any) -> NDArray[np.float32]:
        """A block, or a part of one, as an array."""
        found: NDArray[np.float32] = squared
        return found

    def of_pairs(self, first: IntArray, second: IntArray) -> NDArray[np.float32]:
        """`[p]` squared distances of vectors `first` `[p]` to vectors `second` `[p]`."""
        products = np.empty(len(first), dtype=np.float32)
        for part in _slices(len(first), max(1, _ENTRIES // self._vectors.shape[1])):
            pairs = self._vectors[first[part]], self._vectors[second[part]]
            products[part] = np.einsum("pd,pd->p", *pairs)
        squared: NDArray[np.float32] = self._squares[first] + self._squares[second] - 2 * products
        np.maximum(squared, 0, out=squared)
        return squared

    def nearest(self, first: int, squared: Any, sizes: Sequence[int]) -> IntArray:
        """`[b, k]` nearest vectors of the rows of a block, themselves among them; k is the largest size.

        For every one of the `sizes` a the first a columns are the a nearest, ties by order; the order inside
        of these sets means nothing.

        Args:
            first: First row of the block.
            squared: `[b, N]` its squared distances, as `block` gave them.
            sizes: 1..N each.
        """
        total, count = squared.shape[1], max(sizes)
        near, columns = self._smallest(squared, min(total, count + 1))
        rounding = _TOLERANCE * (self._squares[first : first + len(near), None] + near)
        reach = np.full(len(near), -np.inf, dtype=np.float32)  # float64 has to choose among what is nearer
        for size in sizes:
            edge = near[:, size - 1] + rounding[:, size - 1]
            if size < total:
                np.maximum(reach, edge, out=reach, where=near[:, size] <= edge)
        unclear = np.flatnonzero(reach >= 0)
        for row, candidates in zip(unclear, self._within(squared, unclear, reach[unclear]), strict=True):
            ordered = self._in_order(first + int(row), np.flatnonzero(candidates))[: columns.shape[1]]
            columns[row, : len(ordered)] = ordered
        return columns[:, :count]

    def _smallest(self, squared: Any, count: int) -> tuple[NDArray[np.float32], IntArray]:
        """The `count` smallest of each row, ascending, and their columns."""
        columns = np.argpartition(squared, count - 1, axis=1)[:, :count]
        near = np.take_along_axis(squared, columns, axis=1)
        order = near.argsort(axis=1, kind="stable")
        return np.take_along_axis(near, order, axis=1), np.take_along_axis(columns, order, axis=1)

    def _within(self, squared: Any, rows: IntArray, reach: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Bool `[r, N]`, what lies within the reach `[r]` of some rows of a block."""
        found: NDArray[np.bool_] = squared[rows] <= reach[:, None]
        return found

    def _in_order(self, row: int, columns: IntArray) -> IntArray:
        """`columns`, given in ascending order, by their exact distance to the vector `row`; stable."""
        squared = np.empty(len(columns))
        for part in _slices(len(columns), max(1, _ENTRIES // self._given.shape[1])):
            difference = self._given[columns[part]].astype(np.float64) - self._given[row]
            squared[part] = np.einsum("cd,cd->c", difference, difference)
        return columns[np.argsort(squared, kind="stable")]


def _slices(total: int, step: int) -> Iterator[slice]:
    for first in range(0, total, step):
        yield slice(first, min(first + step, total))
