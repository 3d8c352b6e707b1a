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
_CHUNK_ROWS = 16  # 16 x 20,000 float32 stay in a core's second-level cache
_BYTE_SUMS = 255  # that many 0/1 bytes add up without overflow


def count_below(distance: Tensor, values: FloatArray) -> tuple[IntArray, IntArray]:
    """Per row: how many distances are smaller than each value, and how many are equal to it.

    Args:
        distance: `[b, G]` without NaN.
        values: `[b, P]` of the same floating type, ascending in each row.

    Returns:
        Two int64 arrays `[b, P]`.
    """
    if distance.device.type != "cpu":
        return _search_on_device(distance, values)
    rows = distance.numpy()
    count = _by_sorting if values.shape[1] > _sort_to_scan_ratio() else _by_scanning
    below = np.empty(values.shape, dtype=np.int64)
    equal = np.empty(values.shape, dtype=np.int64)

    def work(first: int) -> None:
        chunk = slice(first, first + _CHUNK_ROWS)
        below[chunk], equal[chunk] = count(rows[chunk], values[chunk])

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
    person = torch.from_numpy(np.repeat(np.arange(len(starts) - 1), np.diff(starts))).to(distance.device)
    nearest_there = distance.new_full((len(distance), len(starts) - 1), float("inf"))
    nearest_there.scatter_reduce_(1, person.expand_as(distance), distance, "amin")
    limit = torch.from_numpy(values).to(distance.device)
    return (nearest_there < limit[:, None]).sum(dim=1).cpu().numpy()


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
    """Compare every row with each of its values in turn."""
    padded, lanes = _padded_width(rows.shape[1])
    mask = np.zeros((len(rows), padded), dtype=np.bool_)
    inside = mask[:, : rows.shape[1]]
    below = np.empty(values.shape, dtype=np.int64)
    equal = np.empty(values.shape, dtype=np.int64)
    for slot in range(values.shape[1]):
        value = values[:, slot : slot + 1]
        np.less(rows, value, out=inside)
        below[:, slot] = _row_sums(mask, lanes)
        np.equal(rows, value, out=inside)
        equal[:, slot] = _row_sums(mask, lanes)
    return below, equal


def _padded_width(width: int) -> tuple[int, int]:
    """The least width that splits into at most 255 equal runs of `lanes` words of 8 bytes, and `lanes`."""
    words = -(-width // 8)
    lanes = -(-words // _BYTE_SUMS)
    return -(-words // lanes) * lanes * 8, lanes


def _row_sums(mask: NDArray[np.bool_], lanes: int) -> IntArray:
    """How many entries of each row are true; eight bytes are added at a time."""
    words = mask.view(np.uint64).reshape(len(mask), -1, lanes).sum(axis=1)
    sums: IntArray = words.view(np.uint8).sum(axis=1, dtype=np.int64)
    return sums


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
