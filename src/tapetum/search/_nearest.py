"""The nearest rows of a matrix, exactly and with stable ties.

A fast float32 product finds every row that may be among the nearest, by the largest error that it can have.
These few are compared again in float64, each row by the same operations in the same order, so equal rows tie
exactly and one query alone or among others finds the same.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_UNIT_ROUNDOFF = 2.0**-24
_SELECTIVE = 4  # rows are gathered first where fewer than one in four is wanted


def nearest(
    vectors: Vectors, query: Vectors, top: int, kept: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of the `top` largest products with `query`, largest first, ties by row, and the products.

    Args:
        vectors: `[N, D]`, of length 1.
        query: `[D]`, of length 1.
        top: At most this many rows.
        kept: bool `[N]`, the rows to look at; None: all.
    """
    rows = None if kept is None or kept.sum() * _SELECTIVE > len(kept) else np.flatnonzero(kept)
    scanned = (vectors if rows is None else vectors[rows]) @ query
    if rows is None and kept is not None:
        scanned[~kept] = -np.inf
    candidates = _candidates(scanned, top, vectors.shape[1])
    if rows is not None:
        candidates = rows[candidates]
    products = (vectors[candidates].astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    order = np.argsort(-products, kind="stable")[:top]
    return candidates[order], products[order]


def _candidates(scanned: Vectors, top: int, dimension: int) -> NDArray[np.int64]:
    """Rows, ascending, whose true product may be among the `top` largest; -inf marks rows not wanted."""
    finite = scanned > -np.inf
    if top >= len(scanned):
        return np.flatnonzero(finite)
    least = float(torch.from_numpy(scanned).topk(top).values[-1])
    error = 1.01 * dimension * _UNIT_ROUNDOFF  # of a float32 product of two vectors of length 1
    return np.flatnonzero(finite & (scanned >= least - 2 * error))
