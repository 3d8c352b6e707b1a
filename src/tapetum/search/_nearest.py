"""The nearest rows of a matrix, exactly and with stable ties.

A fast float32 product finds every row that may be among the nearest, by the largest error that it can have.
These few are compared again in float64, each row by the same operations in the same order, so equal rows tie
exactly and one query alone or among others finds the same.
"""

from __future__ import annotations

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
    products = np.empty(len(vectors), dtype=np.float32)
    scan_block(vectors, query, kept, products)
    candidates = candidate_rows(products, product_error(len(query)), top)
    return ranked(candidates, vectors[candidates], query, top)


def scan_block(block: Vectors, query: Vectors, kept: NDArray[np.bool_] | None, into: Vectors) -> None:
    """Write float32 products `[N]` of all rows with the query; -inf for those that are not kept.

    Args:
        block: `[N, D]`, of length 1.
        query: `[D]`, of length 1.
        kept: bool `[N]`, the rows to look at; None: all.
        into: float32 `[N]`.
    """
    if kept is None or int(kept.sum()) * _SELECTIVE > len(kept):
        np.matmul(block, query, out=into)
        if kept is not None:
            into[~kept] = -np.inf
    else:
        rows = np.flatnonzero(kept)
        into[:] = -np.inf
        into[rows] = block[rows] @ query


def product_error(dimension: int) -> float:
    """How far a float32 product of two vectors of length 1 may be from the true one."""
    return (1.01 * dimension + 4) * _UNIT_ROUNDOFF  # and what adding it to a product loses


def candidate_rows(products: Vectors, errors: Vectors | float, top: int) -> Indices:
    """Rows, ascending, whose true product may be among the `top` largest.

    Args:
        products: float32 `[N]`; -inf marks rows not wanted.
        errors: How far each may be from the true one.
        top: How many are wanted.
    """
    rows: Indices = np.flatnonzero(products > -np.inf)  # many equal values would slow the partition down
    if top >= len(rows):
        return rows
    found, error = products[rows], errors if isinstance(errors, float) else errors[rows]
    least = np.partition(found - error, len(rows) - top)[len(rows) - top]
    near: Indices = rows[found + error >= least]
    return near


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
