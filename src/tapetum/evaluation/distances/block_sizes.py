"""How much of a matrix of all distances is held at a time."""

from __future__ import annotations

_MOST_ROWS = 128
_MOST_ENTRIES = 1 << 24  # distances of a block
_IN_FLIGHT = 3 << 23  # distances held by all cores together
_ROW_STEP = 16


def rows_at_a_time(gallery: int) -> int:
    """How many queries are compared with a gallery of this size at a time."""
    rows = min(_MOST_ROWS, _MOST_ENTRIES // max(1, gallery))
    return max(1, rows // _ROW_STEP) * _ROW_STEP


def blocks_at_a_time(gallery: int) -> int:
    """How many blocks of `rows_at_a_time` queries may be worked on at the same time."""
    return max(1, _IN_FLIGHT // (rows_at_a_time(gallery) * max(1, gallery)))
