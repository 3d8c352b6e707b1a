"""How many distances of a row are smaller than a value, for many rows and values at once.

This is where scoring spends its time, so there are two ways on a processor, both exact: comparing the row
with each value in turn, or sorting the row's values and searching. Which one is faster depends on the number
of values and, up to seven-fold, on how fast the processor sorts; the ratio is measured once in a process. On
an accelerator rows are sorted and searched there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum.evaluation._identities import IntArray

FloatArray = NDArray[np.floating]
_CHUNK_ROWS = 16
_TILE_COLUMNS = 1 << 14  # 16 x 16,384 float32 are 1 MiB: they stay in a core's second-level cache
_RUN_BYTES = 1 << 10
_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_BYTE = np.uint64(8)


def count_below(distance: Tensor, values: FloatArray) -> tuple[IntArray, IntArray]:
    """Per row: how many distances are smaller than each value, and how many are equal to it.

    Args:
        distance: `[b, G]` without NaN.
        values: `[b, P]` of the same floating type, ascending in each row.

    Returns:
        Two int64 arrays `[b, P]`; what stands at a value of +inf means nothing.
    """
    if distance.device.type != "cpu":
        return _search_on_device(distance, values)
    rows = distance.numpy()
    count = _by_sorting if values.shape[1] > _sort_to_scan_ratio() else _by_scanning
    below = np.zeros(values.shape, dtype=np.int64)
    equal = np.zeros(values.shape, dtype=np.int64)

    def work(first: int) -> None:
        chunk = slice(first, first + _CHUNK_ROWS)
        finite = int((values[chunk] < np.inf).sum(axis=1).max())
        below[chunk, :finite], equal[chunk, :finite] = count(rows[chunk], values[chunk, :finite])

    _for_chunks(work, len(rows))
    return below, equal


def count_people_below(distance: Tensor, starts: IntArray, values: FloatArray) -> IntArray:
    """Per row: how many people have a distance smaller than the row's value.

    Args:
        distance: `[b, G]` in person order.
        starts: `[E + 1]` first column of each person, and G at the end.
        values: `[b]`.
    """
    if distance.device.type == "cpu":
        nearest = np.minimum.reduceat(distance.numpy(), starts[:-1], axis=1)
        return np.asarray((nearest < values[:, None]).sum(axis=1))
    return _people_below_on_device(distance, starts, values)


def _people_below_on_device(distance: Tensor, starts: IntArray, values: FloatArray) -> IntArray:
    person = torch.from_numpy(np.repeat(np.arange(len(starts) - 1), np.diff(starts))).to(distance.device)
    nearest = distance.new_full((len(distance), len(starts) - 1), float("inf"))
    nearest.scatter_reduce_(1, person.expand_as(distance), distance, "amin")
    limit = torch.from_numpy(values).to(distance.device)
    return (nearest < limit[:, None]).sum(dim=1).cpu().numpy()


def _for_chunks(work: Callable[[int], None], rows: int) -> None:
    """Call `work` with the first row of every chunk, on torch's number of threads (numpy frees the lock)."""
    threads = min(torch.get_num_threads(), -(-rows // _CHUNK_ROWS))
    firsts = range(0, rows, _CHUNK_ROWS)
    if threads < 2:
        for first in firsts:
            work(first)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, firsts))


def _by_scanning(rows: FloatArray, values: FloatArray) -> tuple[IntArray, IntArray]:
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
    return counts[0], counts[1]


def _true_entries(masks: NDArray[np.bool_]) -> IntArray:
    """`[2, b]` how many entries of each row of `masks` `[2, b, W]` are true; W is a multiple of 1,024.

    Rows are added as words of eight 0/1 bytes. A byte holds up to 255, so runs of 1,024 bytes are added
    first; then neighbouring bytes are paired into 16 bits and the 128 words of a run are added.
    """
    words = masks.view(np.uint64).reshape(2, masks.shape[1], -1, _RUN_BYTES // 8).sum(axis=2)
    pairs = ((words & _EVEN_BYTES) + ((words >> _BYTE) & _EVEN_BYTES)).sum(axis=2)
    counts: IntArray = pairs.view(np.uint16).reshape(2, -1, 4).sum(axis=2, dtype=np.int64)
    return counts


def _by_sorting(rows: FloatArray, values: FloatArray) -> tuple[IntArray, IntArray]:
    """Sort every row's values, then search for its own."""
    ordered = torch.from_numpy(np.sort(rows, axis=1))
    return _search(ordered, torch.from_numpy(np.ascontiguousarray(values)))


def _search_on_device(distance: Tensor, values: FloatArray) -> tuple[IntArray, IntArray]:
    ordered = distance.sort(dim=1).values
    return _search(ordered, torch.from_numpy(np.ascontiguousarray(values)).to(distance.device))


def _search(ordered: Tensor, values: Tensor) -> tuple[IntArray, IntArray]:
    below = torch.searchsorted(ordered, values)
    through = torch.searchsorted(ordered, values, right=True)
    return below.cpu().numpy(), (through - below).cpu().numpy()


@lru_cache(maxsize=1)
def _sort_to_scan_ratio() -> float:
    """How many values can be scanned for in the time of one sort, on this processor."""
    rows: NDArray[np.float32] = (
        np.random.default_rng(0).standard_normal((_CHUNK_ROWS, 1 << 14)).astype(np.float32)
    )
    values = rows[:, :4].copy()
    sort = min(_seconds(lambda: np.sort(rows, axis=1)) for _ in range(3))
    scan = min(_seconds(lambda: _by_scanning(rows, values)) for _ in range(3)) / values.shape[1]
    return float(sort / scan)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
