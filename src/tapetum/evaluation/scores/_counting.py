"""At which places of their ranked rows some items stand, without ranking the rows.

An item's position is 1 + the number of items with a smaller distance, and of those with an equal distance and
an earlier place in the gallery. This is where scoring spends its time. There are two ways, both exact: to
compare the row with each value in turn, or to sort it by coarse keys and look closer where a key is shared.
How many values make the second one faster is measured once in a process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation._identities import IntArray
from tapetum.evaluation.ranking.stable_order import stable_order

FloatArray = NDArray[np.floating]

_CHUNK_ENTRIES = 1 << 18  # 1 MiB of float32: they stay in a core's second-level cache
_MOST_ROWS = 128
_TILE_COLUMNS = 1 << 14
_SAMPLE_ROWS = 8
_USUAL_RATIO = 16
_RUN_BYTES = 1 << 10
_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_BYTE = np.uint64(8)
_KEYS = np.iinfo(np.int16)
_CROWDED = 2  # candidates per item of a row beyond which looking closer costs more than a full order


def rank_rows(distance: FloatArray, values: FloatArray, places: IntArray, place: IntArray) -> IntArray:
    """Position of some items of each row among all of its items.

    Args:
        distance: `[b, G]` without NaN.
        values: `[b, P]` distances of the items of the same row, ascending; +inf beyond the last.
        places: `[b, P]` their places in the gallery.
        place: `[G]` place in the gallery of each column.

    Returns:
        int64 `[b, P]`, counted from 1; what stands at a value of +inf means nothing.
    """
    positions = np.ones(values.shape, dtype=np.int64)
    step = min(_MOST_ROWS, max(1, _CHUNK_ENTRIES // max(1, distance.shape[1])))
    for first in range(0, len(distance), step):
        chunk = slice(first, first + step)
        finite = int((values[chunk] < np.inf).sum(axis=1).max())
        if finite:
            count = _by_keys if finite > _most_to_scan(distance.shape[1]) else _by_scanning
            positions[chunk, :finite] = count(
                distance[chunk], values[chunk, :finite], places[chunk, :finite], place
            )
    return positions


def count_people_before(
    distance: FloatArray, starts: IntArray, values: FloatArray, places: IntArray, place: IntArray
) -> IntArray:
    """How many people have an item before the item of each row that has a given distance and place.

    Args:
        distance: `[b, G]` in person order.
        starts: `[E + 1]` first column of each person, and G at the end.
        values: `[b]` distances of the items, each the nearest of its own person.
        places: `[b]` their places in the gallery.
        place: `[G]` place in the gallery of each column.
    """
    nearest = np.minimum.reduceat(distance, starts[:-1], axis=1)
    people = np.asarray((nearest < values[:, None]).sum(axis=1))
    equal = (nearest == values[:, None]).sum(axis=1)
    for row in np.flatnonzero((equal > 1) & (values < np.inf)):
        same = np.flatnonzero(distance[row] == values[row])
        earlier = np.searchsorted(starts, same[place[same] < places[row]], side="right") - 1
        people[row] += np.unique(earlier[nearest[row, earlier] == values[row]]).size
    return people


def _by_scanning(rows: FloatArray, values: FloatArray, places: IntArray, place: IntArray) -> IntArray:
    """Compare every row with each of its values in turn, a tile of columns at a time."""
    counts = np.zeros((2, *values.shape), dtype=np.int64)
    for first in range(0, rows.shape[1], _TILE_COLUMNS):
        tile = rows[:, first : first + _TILE_COLUMNS]
        width = -(-tile.shape[1] // _RUN_BYTES) * _RUN_BYTES
        masks = np.zeros((2, len(rows), width), dtype=np.bool_)
        smaller, same = masks[:, :, : tile.shape[1]]
        for slot in range(values.shape[1]):
            value = values[:, slot : slot + 1]
            np.less(tile, value, out=smaller)
            np.equal(tile, value, out=same)
            counts[:, :, slot] += _true_entries(masks)
    positions: IntArray = counts[0] + 1
    equal = counts[1]
    for row, slot in np.argwhere((equal > 1) & (values < np.inf)):
        ties = place[np.flatnonzero(rows[row] == values[row, slot])]
        positions[row, slot] += np.count_nonzero(ties < places[row, slot])
    return positions


def _true_entries(masks: NDArray[np.bool_]) -> IntArray:
    """`[2, b]` how many entries of each row of `masks` `[2, b, W]` are true; W is a multiple of 1,024.

    Rows are added as words of eight 0/1 bytes. A byte holds up to 255, so runs of 1,024 bytes are added
    first; then neighbouring bytes are paired into 16 bits and the 128 words of a run are added.
    """
    words = masks.view(np.uint64).reshape(2, masks.shape[1], -1, _RUN_BYTES // 8).sum(axis=2)
    pairs = ((words & _EVEN_BYTES) + ((words >> _BYTE) & _EVEN_BYTES)).sum(axis=2)
    counts: IntArray = pairs.view(np.uint16).reshape(2, -1, 4).sum(axis=2, dtype=np.int64)
    return counts


def _by_keys(rows: FloatArray, values: FloatArray, places: IntArray, place: IntArray) -> IntArray:
    """Order every row by 16-bit keys, which numpy sorts by digits; compare exactly where a key is shared."""
    low, scale = _key_range(values)
    keys = _coarse_keys(rows, low, scale)
    order = np.argsort(keys, axis=1, kind="stable")
    asked = np.minimum(_coarse_keys(values, low, scale), _KEYS.max - 1)  # the highest is of none in the row
    asked = np.concatenate([asked, asked + np.int16(1)], axis=1)
    edges = np.stack(
        [np.searchsorted(k, a, sorter=o) for k, a, o in zip(keys, asked, order, strict=True)]
    ).reshape(len(rows), 2, -1)
    first, last = edges[:, 0], np.where(values < np.inf, edges[:, 1], edges[:, 0])
    crowded = (last - first).sum(axis=1) > _CROWDED * rows.shape[1]
    last[crowded] = first[crowded]
    positions: IntArray = first + 1 + _earlier_candidates(rows, values, places, place, order, first, last)
    if crowded.any():
        positions[crowded] = _by_ordering(rows[crowded], places[crowded], place)
    return positions


def _key_range(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of each row `[b, 1]`: the value of the second lowest key, and the keys to a unit; both finite."""
    limits = np.finfo(values.dtype)
    low, high = values[:, :1], np.where(values < np.inf, values, -np.inf).max(axis=1, keepdims=True)
    low, high = np.where(low < np.inf, low, 0), np.where(low < np.inf, high, 0)
    with np.errstate(over="ignore"):
        span = np.clip(high - low, limits.tiny * 2**20, limits.max)
    return low, (_KEYS.max - _KEYS.min - 3) / span


def _coarse_keys(values: FloatArray, low: FloatArray, scale: FloatArray) -> NDArray[np.int16]:
    """Integers that never decrease where values grow: every step of the arithmetic keeps the order."""
    with np.errstate(over="ignore"):
        steps = values - low
        steps *= scale
    steps += _KEYS.min + 1
    np.clip(steps, _KEYS.min, _KEYS.max, out=steps)
    return steps.astype(np.int16)


def _earlier_candidates(
    rows: FloatArray,
    values: FloatArray,
    places: IntArray,
    place: IntArray,
    order: IntArray,
    first: IntArray,
    last: IntArray,
) -> IntArray:
    """`[b, P]` how many of the items `first` to `last` of the order by keys stand before each asked item."""
    length = (last - first).ravel()
    slot = np.repeat(np.arange(length.size), length)
    row = slot // values.shape[1]
    step = np.arange(slot.size) - np.repeat(np.cumsum(length) - length, length)
    column = order[row, np.repeat(first.ravel(), length) + step]
    found, wanted = rows[row, column], values.ravel()[slot]
    earlier = found < wanted
    ties = np.flatnonzero(found == wanted)
    earlier[ties] = place[column[ties]] < places.ravel()[slot[ties]]
    return np.bincount(slot[earlier], minlength=length.size).reshape(first.shape)


def _by_ordering(rows: FloatArray, places: IntArray, place: IntArray) -> IntArray:
    """Order the rows in full."""
    order = stable_order(rows[:, np.argsort(place)])
    positions = np.empty_like(order)
    np.put_along_axis(positions, order, np.arange(1, order.shape[1] + 1)[None], axis=1)
    return np.take_along_axis(positions, places, axis=1)


def _most_to_scan(width: int) -> float:
    """For how many values of a row of this width scanning is the faster way."""
    return _keys_to_scan_ratio() if width >= _TILE_COLUMNS else _USUAL_RATIO


@lru_cache(maxsize=1)
def _keys_to_scan_ratio() -> float:
    """How many values can be scanned for in the time of one sort by keys, on this processor."""
    place = np.arange(_TILE_COLUMNS)
    rows = np.random.default_rng(0).standard_normal((_SAMPLE_ROWS, _TILE_COLUMNS), dtype=np.float32)
    places = np.argsort(rows, axis=1)[:, ::1024]
    values = np.take_along_axis(rows, places, axis=1)
    keys, scan = (
        min(_seconds(partial(way, rows, values, places, place)) for _ in range(3))
        for way in (_by_keys, _by_scanning)
    )
    return float(keys / scan * values.shape[1])


def _seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start
