"""Ranked lists of single queries, to look at: the same order, distances and rules as the scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation._identities import IntArray
from tapetum.evaluation.distances.trial_pairs import PairBlock, pair_blocks
from tapetum.evaluation.protocols._base import Trial
from tapetum.evaluation.ranking.stable_order import COLUMN, stable_keys
from tapetum.types import Embeddings

_ENTRIES = 1 << 20  # pairs that are ordered at a time
_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class RankedList:
    """What a query finds; rows are rows of the embeddings that were ranked.

    Attributes:
        query: Row of the query.
        gallery: int64 `[top]`, rows of the nearest gallery items, nearest first.
        distances: float32 `[top]`, their distances: minus the dot product.
        is_match: bool `[top]`, whether each is of the query's person.
        left_out: int64, rows of gallery items that the trial's camera rules removed from the ranking.
    """

    query: int
    gallery: NDArray[np.int64]
    distances: NDArray[np.float32]
    is_match: NDArray[np.bool_]
    left_out: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RankedBlock:
    """What some queries of a trial find, as arrays.

    Attributes:
        positions: int64 `[b]`, places of the queries in `trial.query`.
        columns: int64 `[b, top]`, places of the nearest items in `trial.gallery`, nearest first.
        distances: float32 `[b, top]`, minus the dot product.
        is_match: bool `[b, top]`.
        lengths: int64 `[b]`, how many of the `top` mean something: fewer where rules leave fewer items.
        pairs: What was ranked.
    """

    positions: IntArray
    columns: IntArray
    distances: NDArray[np.float32]
    is_match: NDArray[np.bool_]
    lengths: IntArray
    pairs: PairBlock


def ranked_lists(
    embeddings: Embeddings, trial: Trial, queries: Sequence[int], top: int | None = 10
) -> list[RankedList]:
    """The `top` nearest gallery items of some queries of a trial; ties by gallery order, as scored.

    Args:
        embeddings: What the trial's rows are rows of.
        trial: The gallery and the camera rules.
        queries: Rows of `embeddings` (not positions in `trial.query`), one list each.
        top: Longest list; a shorter gallery gives a shorter one. None: the whole gallery.

    Raises:
        ValueError: `top` is below 1, or a row is not a query of the trial.
    """
    place = {int(row): position for position, row in enumerate(trial.query)}
    strangers = sorted(set(queries) - set(place))
    if strangers:
        raise ValueError(f"row {strangers[0]} is not a query of the trial {trial.name}")
    positions = np.array([place[row] for row in queries], dtype=np.int64)
    blocks = ranked_blocks(embeddings, trial, top=top, positions=positions)
    return [ranked for block in blocks for ranked in _as_lists(trial, block)]


def ranked_blocks(
    embeddings: Embeddings, trial: Trial, *, top: int | None = 10, positions: IntArray | None = None
) -> Iterator[RankedBlock]:
    """The `top` nearest gallery items of a trial's queries, block by block; ties by gallery order, as scored.

    Args:
        embeddings: What the trial's rows are rows of.
        trial: Queries, gallery and camera rules.
        top: Longest list; None: the whole gallery.
        positions: Places in `trial.query`; None: all queries.

    Raises:
        ValueError: `top` is below 1.
    """
    if top is not None and top < 1:
        raise ValueError(f"top is {top}; expected at least 1")
    size = len(trial.gallery)
    longest = size if top is None else min(top, size)
    for pairs in pair_blocks(embeddings, trial, positions):
        columns = nearest_columns(pairs.distance, pairs.left_out, longest)
        yield RankedBlock(
            positions=pairs.positions,
            columns=columns,
            distances=np.take_along_axis(pairs.distance, columns, axis=1),
            is_match=np.take_along_axis(pairs.same, columns, axis=1),
            lengths=np.minimum(longest, size - pairs.left_out.sum(axis=1)),
            pairs=pairs,
        )


def nearest_columns(
    distance: NDArray[np.float32], left_out: NDArray[np.bool_], top: int
) -> NDArray[np.int64]:
    """`[b, top]` columns of each row by ascending distance, ties in their order; those left out come last.

    Args:
        distance: `[b, G]` without NaN.
        left_out: bool `[b, G]`.
        top: At most G.

    Example:
        >>> nearest_columns(np.array([[3, 1, 1, 2]], np.float32), np.array([[0, 0, 1, 0]], bool), 3).tolist()
        [[1, 3, 0]]
    """
    rows, size = distance.shape
    columns = np.empty((rows, top), dtype=np.int64)
    step = max(1, _ENTRIES // max(1, size))
    for first in range(0, rows, step):
        part = slice(first, first + step)
        keys = stable_keys(distance[part])
        np.copyto(keys, _LAST - COLUMN + np.arange(size), where=left_out[part])
        nearest = keys if top == size else np.partition(keys, top - 1, axis=1)[:, :top]
        columns[part] = np.sort(nearest, axis=1) & COLUMN
    return columns


def _as_lists(trial: Trial, block: RankedBlock) -> Iterator[RankedList]:
    for row, (position, length) in enumerate(zip(block.positions, block.lengths, strict=True)):
        yield RankedList(
            query=int(trial.query[position]),
            gallery=trial.gallery[block.columns[row, :length]],
            distances=block.distances[row, :length],
            is_match=block.is_match[row, :length],
            left_out=trial.gallery[block.pairs.left_out[row]],
        )
