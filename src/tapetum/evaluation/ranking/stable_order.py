"""Rows of distances in order, equal distances by their columns: the order of every ranking here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation._identities import IntArray

COLUMN = 0xFFFFFFFF
"""The bits of a stable key that hold its column."""


def stable_order(distance: NDArray[np.floating]) -> IntArray:
    """`[r, G]` columns by ascending distance, equal distances in their order; no NaN allowed.

    Example:
        >>> stable_order(np.array([[0.5, -0.0, 0.5, 0.0, -1.0]], dtype=np.float32)).tolist()
        [[4, 1, 3, 0, 2]]
    """
    if distance.dtype != np.float32:
        return np.argsort(distance, axis=1, kind="stable")
    bits = _monotone(distance)  # by the lower half, then by the upper: numpy sorts 16 bits by digits
    order = np.argsort(bits.astype(np.uint16), axis=1, kind="stable")
    upper = np.take_along_axis((bits >> 16).astype(np.int16), order, axis=1)
    return np.take_along_axis(order, np.argsort(upper, axis=1, kind="stable"), axis=1)


def stable_keys(distance: NDArray[np.float32]) -> IntArray:
    """`[r, G]` integers in the stable order of each row; the bits of COLUMN name the column."""
    keys: IntArray = (_monotone(distance).astype(np.int64) << 32) | np.arange(distance.shape[1])
    return keys


def _monotone(distance: NDArray[np.float32]) -> NDArray[np.int32]:
    """Integers in the order of the numbers."""
    bits = (distance + np.float32(0.0)).view(np.int32)  # adding zero makes -0.0 the equal of 0.0
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
