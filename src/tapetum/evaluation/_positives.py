"""The positions of the true items in a ranked gallery, without ranking the gallery.

A true item stands at 1 + the number of kept items that come before it: those with a smaller distance, and
those with an equal distance and an earlier place in the gallery. Counting the first kind is enough unless a
true item has exactly the distance of another person's item; such rows are ordered in full, stably.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tapetum.evaluation._blocks import Block
from tapetum.evaluation._counting import FloatArray, count_below, count_people_below
from tapetum.evaluation._identities import GalleryOrder, IntArray

_TIED_ROWS = 32  # rows ordered in full at a time
COLUMN = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class BlockRanks:
    """Where the true items of each query stand, counted from 1.

    Attributes:
        positions: `[b, P]` ascending; only the first `matches` of a row mean something.
        matches: `[b]` number of true items.
        people_rank: `[b]` 1 + other people whose first item stands before the first true one, or None.
    """

    positions: IntArray
    matches: IntArray
    people_rank: IntArray | None


def rank_block(block: Block, gallery: GalleryOrder, count_people: bool) -> BlockRanks:
    """Positions of the true items of every query of a block, ties by gallery order."""
    values = _true_distances(block)
    matches = block.kept.sum(axis=1)
    valid = np.arange(values.shape[1]) < matches[:, None]
    below, equal = count_below(block.distance, values)
    run_start, run_length = _runs(values)
    positions = below + np.arange(values.shape[1]) - run_start + 1
    people = None
    if count_people:
        people = 1 + count_people_below(block.distance, gallery.starts, values[:, 0])
    ranks = BlockRanks(positions, matches, people)
    tied = (valid & ((equal > run_length) | np.isposinf(values))).any(axis=1)
    _rank_tied_rows(block, gallery, np.flatnonzero(tied), ranks)
    return ranks


def _true_distances(block: Block) -> FloatArray:
    """`[b, P]` distances of the true items, ascending, +inf beyond the last."""
    columns = torch.from_numpy(block.columns).to(block.distance.device)
    values: FloatArray = block.distance.gather(1, columns).cpu().numpy()
    values[~block.kept] = np.inf
    values.sort(axis=1)
    return values


def _runs(values: FloatArray) -> tuple[IntArray, IntArray]:
    """For ascending rows: where the run of equal values that an entry belongs to starts, and its length."""
    width = values.shape[1]
    slot = np.arange(width)
    change = np.ones((len(values), width + 1), dtype=np.bool_)
    change[:, 1:-1] = values[:, 1:] != values[:, :-1]
    start = np.maximum.accumulate(np.where(change[:, :-1], slot, 0), axis=1)
    end = np.minimum.accumulate(np.where(change[:, 1:], slot, width)[:, ::-1], axis=1)[:, ::-1]
    return start, end - start + 1


def _rank_tied_rows(block: Block, gallery: GalleryOrder, rows: IntArray, ranks: BlockRanks) -> None:
    """Put the stable positions of `rows` into `ranks`."""
    for first in range(0, len(rows), _TIED_ROWS):
        chosen = rows[first : first + _TIED_ROWS]
        distance = block.distance[torch.from_numpy(chosen).to(block.distance.device)].cpu().numpy()
        order = stable_order(distance[:, gallery.column])
        left_out = block.left_out(chosen)[:, gallery.column]
        kept = ~np.take_along_axis(left_out, order, axis=1)
        position = np.cumsum(kept, axis=1)
        true = kept & (gallery.codes[order] == block.codes[chosen, None])
        slots = np.arange(ranks.positions.shape[1]) < ranks.matches[chosen, None]
        found = ranks.positions[chosen]
        found[slots] = position[true]
        ranks.positions[chosen] = found
        if ranks.people_rank is not None:
            earliest = _first_positions(np.where(kept, position, position.shape[1] + 1), order, gallery)
            ranks.people_rank[chosen] = 1 + (earliest < found[:, :1]).sum(axis=1)


def _first_positions(position: IntArray, order: IntArray, gallery: GalleryOrder) -> IntArray:
    """`[r, E]` position of each person's first item, from positions in ranked order."""
    by_item = np.empty_like(position)
    np.put_along_axis(by_item, order, position, axis=1)
    return np.minimum.reduceat(by_item[:, gallery.order], gallery.starts[:-1], axis=1)


def stable_order(distance: FloatArray) -> IntArray:
    """`[r, G]` columns by ascending distance, equal distances in their order; no NaN allowed.

    Example:
        >>> stable_order(np.array([[0.5, -0.0, 0.5, 0.0, -1.0]], dtype=np.float32)).tolist()
        [[4, 1, 3, 0, 2]]
    """
    if distance.dtype != np.float32:
        return np.argsort(distance, axis=1, kind="stable")
    keys = stable_keys(distance)
    keys.sort(axis=1)
    return keys & COLUMN


def stable_keys(distance: FloatArray) -> IntArray:
    """`[r, G]` integers in the stable order of each row of float32; the bits of COLUMN name the column."""
    bits = (distance + np.float32(0.0)).view(np.int32)  # adding zero makes -0.0 the equal of 0.0
    monotone = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    keys: IntArray = (monotone << 32) | np.arange(distance.shape[1])
    return keys
