"""The nearest rows of a matrix, exactly and with stable ties.

A fast float32 product finds every row that may be among the nearest, by the largest error that it can have.
These few are compared again in float64, each row by the same operations in the same order, so equal rows tie
exactly and one query alone or among others finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Indices = NDArray[np.int64]
_UNIT_ROUNDOFF = 2.0**-24
_SELECTIVE = 4  # rows are gathered first where fewer than one in four is wanted


def nearest(
    vectors: Vectors, query: Vectors, top: int, kept: NDArray[np.bool_] | None
) -> tuple[Indices, NDArray[np.float64]]:
    """Rows of the `top` largest products with `query`, largest first, ties by row, and the products.

    Args:
        vectors: `[N, D]`, of length 1.
        query: `[D]`, of length 1.
        top: At most this many rows.
        kept: bool `[N]`, the rows to look at; None: all.
    """
    candidates = candidate_rows(scan([vectors], query, kept), top, len(query))
    return ranked(candidates, vectors[candidates], query, top)


def scan(blocks: Sequence[Vectors], query: Vectors, kept: NDArray[np.bool_] | None) -> Vectors:
    """float32 products `[N]` of all rows with the query; -inf for those that are not kept.

    Args:
        blocks: Rows `[n, D]` each, N together, of length 1.
        query: `[D]`, of length 1.
        kept: bool `[N]`, the rows to look at; None: all.
    """
    products = np.full(sum(map(len, blocks)), -np.inf, dtype=np.float32)
    start = 0
    for block in blocks:
        here = slice(start, start + len(block))
        _scan_block(block, query, None if kept is None else kept[here], products[here])
        start += len(block)
    return products


def _scan_block(block: Vectors, query: Vectors, kept: NDArray[np.bool_] | None, into: Vectors) -> None:
    if kept is None:
        np.matmul(block, query, out=into)
    elif int(kept.sum()) * _SELECTIVE > len(kept):
        np.matmul(block, query, out=into)
        into[~kept] = -np.inf
    else:
        rows = np.flatnonzero(kept)
        into[rows] = block[rows] @ query


def candidate_rows(products: Vectors, top: int, dimension: int) -> Indices:
    """Rows, ascending, whose true product may be among the `top` largest; -inf marks rows not wanted."""
    finite = products > -np.inf
    if top >= len(products):
        return np.flatnonzero(finite)
    least = float(np.partition(products, len(products) - top)[len(products) - top])
    error = 1.01 * dimension * _UNIT_ROUNDOFF  # of a float32 product of two vectors of length 1
    return np.flatnonzero(finite & (products >= least - 2 * error))


def ranked(rows: Indices, vectors: Vectors, query: Vectors, top: int) -> tuple[Indices, NDArray[np.float64]]:
    """The `top` of some rows with the largest products, largest first, ties in their order; the products.

    Args:
        rows: `[n]`, their numbers.
        vectors: `[n, D]`, of length 1.
        query: `[D]`, of length 1.
        top: At most this many.
    """
    products = (vectors.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    order = np.argsort(-products, kind="stable")[:top]
    return rows[order], products[order]
