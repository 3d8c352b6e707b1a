"""Some queries at a time against the whole gallery, in person order: what the ranks are counted from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum.evaluation._camera_rules import CameraRules
from tapetum.evaluation._identities import GalleryOrder, IntArray
from tapetum.evaluation._products import NegativeProducts, rows_at_a_time


@dataclass(frozen=True, slots=True)
class Block:
    """Some queries against the whole gallery, in person order.

    Attributes:
        distance: `[b, G]`; +inf where a pair is left out.
        codes: `[b]` person code of each query, -1 where nobody in the gallery is that person.
        columns: `[b, P]` columns of the query's person, padded.
        kept: `[b, P]` false for padding and for pairs left out.
        left_out: Rows of the block -> bool `[r, G]`, the pairs left out.
    """

    distance: Tensor
    codes: IntArray
    columns: IntArray
    kept: NDArray[np.bool_]
    left_out: Callable[[IntArray], NDArray[np.bool_]]


def distance_blocks(
    matrix: Tensor, removed: Tensor | None, query_codes: IntArray, gallery: GalleryOrder
) -> Iterator[Block]:
    """Blocks of a distance matrix `[Q, G]` with the pairs `removed` (bool `[Q, G]` or None) left out.

    Raises:
        ValueError: A distance is NaN; the query's row is named.
    """
    size = len(gallery.codes)
    order = torch.from_numpy(gallery.order).to(matrix.device)
    for rows in block_rows(len(query_codes), size):
        codes = query_codes[rows]
        distance = matrix[rows].index_select(1, order)
        _refuse_nan(distance, rows.start)
        columns, kept = gallery.columns_of(codes)
        if removed is None:
            yield Block(
                distance, codes, columns, kept, lambda chosen: np.zeros((len(chosen), size), np.bool_)
            )
            continue
        mask = removed[rows].index_select(1, order)
        distance.masked_fill_(mask, float("inf"))
        left_out = mask.cpu().numpy()
        kept &= ~np.take_along_axis(left_out, columns, axis=1)
        yield Block(distance, codes, columns, kept, left_out.__getitem__)


def embedding_blocks(
    vectors: tuple[NDArray[np.float32], NDArray[np.float32]],
    query_codes: IntArray,
    gallery: GalleryOrder,
    rules: CameraRules,
    block: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Iterator[Block]:
    """Blocks of the negative dot products of query and gallery `vectors` (`[Q, D]`, `[G, D]`).

    Args:
        vectors: Of the queries and of the gallery.
        query_codes: Person codes `[Q]`.
        gallery: The gallery's people.
        rules: What is left out, in gallery order.
        block: Most queries at a time.
        device: Where the products are computed.
        dtype: float32 or float64.
    """
    queries = torch.from_numpy(np.require(vectors[0], requirements=["C", "W"])).to(device, dtype)
    products = NegativeProducts(torch.from_numpy(vectors[1][gallery.order]).to(device, dtype))
    rules = rules.reordered(gallery.order)
    for rows in block_rows(len(query_codes), len(gallery.codes), block):
        codes = query_codes[rows]
        distance = products(queries[rows])
        columns, kept = gallery.columns_of(codes)
        members = np.arange(rows.start, rows.stop)
        out = rules.of_own_columns(members, columns)
        row, slot = np.nonzero(kept & out)
        where = torch.from_numpy(row).to(device), torch.from_numpy(columns[row, slot]).to(device)
        distance[where] = float("inf")
        _hide(distance, rules, members)
        yield Block(distance, codes, columns, kept & ~out, _PairsOut(rules, members))


@dataclass(frozen=True, slots=True)
class _PairsOut:
    """What the rules leave out for the queries `members`, asked by their rows in the block."""

    rules: CameraRules
    members: IntArray

    def __call__(self, rows: IntArray) -> NDArray[np.bool_]:
        return self.rules(self.members[rows])


def _hide(distance: Tensor, rules: CameraRules, rows: IntArray) -> None:
    """Set to +inf what is hidden from the queries `rows`, the rows of `distance`."""
    view = rules.view[rows]
    for seen in np.unique(view[view > 0]):
        members = torch.from_numpy(np.flatnonzero(view == seen)).to(distance.device)
        columns = torch.from_numpy(np.flatnonzero(rules.hidden[seen])).to(distance.device)
        distance[members[:, None], columns] = float("inf")


def block_rows(queries: int, gallery: int, most: int | None = None) -> Iterator[slice]:
    """Row ranges of the queries, short where the gallery is large, at most `most`; none for an empty one."""
    rows = max(1, min(most or gallery, rows_at_a_time(gallery)))
    for first in range(0, queries if gallery else 0, rows):
        yield slice(first, min(first + rows, queries))


def _refuse_nan(distance: Tensor, first: int) -> None:
    bad = torch.isnan(distance.amin(dim=1))  # the minimum of a row with a NaN is NaN
    if bad.any():
        row = first + int(bad.nonzero()[0, 0])
        raise ValueError(f"distance holds NaN in row {row} (query {row})")
