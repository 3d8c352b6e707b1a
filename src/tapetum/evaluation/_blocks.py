"""Some queries at a time against the whole gallery: what the ranks are counted from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tapetum.evaluation._camera_rules import CameraRules
from tapetum.evaluation._identities import GalleryOrder, IntArray
from tapetum.evaluation._products import NegativeProducts, rows_at_a_time
from tapetum.evaluation._vectors import FloatArray


@dataclass(frozen=True, slots=True)
class Block:
    """Some queries against the whole gallery.

    Attributes:
        distance: `[b, G]`, finite; +inf where a pair is left out.
        columns: `[b, P]` columns of the query's person, padded with one of them.
        present: bool `[b, P]`, false for padding.
        place: `[G]` place in the gallery of each column.
    """

    distance: Tensor
    columns: Tensor
    present: Tensor
    place: IntArray


def distance_blocks(
    matrix: Tensor,
    removed: Tensor | None,
    query_codes: IntArray,
    gallery: GalleryOrder,
    *,
    by_person: bool = False,
) -> Iterator[Block]:
    """Blocks of a distance matrix, all queries in order.

    Args:
        matrix: `[Q, G]`, finite, in gallery order.
        removed: bool `[Q, G]`, pairs that are left out; None: no pair.
        query_codes: Person codes `[Q]`.
        gallery: The gallery's people.
        by_person: Whether columns of blocks are in person order; else they are in gallery order.
    """
    own = _OwnColumns(gallery, query_codes, by_person, matrix.device)
    order = torch.from_numpy(gallery.order).to(matrix.device) if by_person else None
    for rows in block_rows(len(query_codes), len(gallery.codes)):
        distance = _in_order(matrix[rows], order)
        if removed is not None:
            distance = distance.masked_fill(_in_order(removed[rows], order), float("inf"))
        yield Block(distance, *own(rows), own.place)


def embedding_blocks(
    vectors: tuple[FloatArray, FloatArray],
    asked: IntArray,
    query_codes: IntArray,
    gallery: GalleryOrder,
    rules: CameraRules,
    *,
    by_person: bool,
    block: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Iterator[Block]:
    """Blocks of the negative dot products of query and gallery `vectors` (`[Q, D]`, `[G, D]`).

    Args:
        vectors: Of the queries and of the gallery.
        asked: Which queries, in which order; each of a person that the gallery knows.
        query_codes: Person codes `[Q]`.
        gallery: The gallery's people.
        rules: What is left out, in gallery order.
        by_person: Whether columns of blocks are in person order; else they are in gallery order.
        block: Most queries at a time.
        device: Where the products are computed.
        dtype: float32 or float64.
    """
    own = _OwnColumns(gallery, query_codes[asked], by_person, device)
    items = vectors[1][gallery.order] if by_person else vectors[1]
    queries = torch.from_numpy(np.require(vectors[0], requirements=["C", "W"])).to(device, dtype)
    products = NegativeProducts(
        torch.from_numpy(np.require(items, requirements=["C", "W"])).to(device, dtype)
    )
    leave_out = _LeaveOut(rules.reordered(own.place), asked, device)
    chosen = torch.from_numpy(asked).to(device)
    for rows in block_rows(len(asked), len(gallery.codes), block):
        distance = products(queries.index_select(0, chosen[rows]))
        columns, present = own(rows)
        leave_out(distance, rows, columns)
        yield Block(distance, columns, present, own.place)


class _OwnColumns:
    """The columns of each query's own person, on the device.

    Attributes:
        place: `[G]` place in the gallery of each column.
    """

    def __init__(self, gallery: GalleryOrder, codes: IntArray, by_person: bool, device: torch.device) -> None:
        self.place = gallery.order if by_person else np.arange(len(gallery.codes))
        self._count = gallery.count_of(codes)
        first = torch.from_numpy(gallery.starts[np.maximum(codes, 0)] if len(gallery.codes) else codes)
        self._first = first.to(device)
        self._counts = torch.from_numpy(self._count).to(device)
        self._order = None if by_person else torch.from_numpy(gallery.order).to(device)

    def __call__(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Columns `[b, P]` of queries, padded with the last one, and which are no padding."""
        width = max(1, int(self._count[rows].max(initial=0)))
        slot = torch.arange(width, device=self._first.device)
        count = self._counts[rows, None]
        columns = self._first[rows, None] + torch.minimum(slot, (count - 1).clamp_min(0))
        return (columns if self._order is None else self._order[columns]), slot < count


class _LeaveOut:
    """Camera rules on the device: sets what they leave out to +inf."""

    def __init__(self, rules: CameraRules, asked: IntArray, device: torch.device) -> None:
        self._cameras: tuple[Tensor, Tensor] | None = None
        if rules.cameras is not None:
            query, gallery = rules.cameras
            self._cameras = torch.from_numpy(query[asked]).to(device), torch.from_numpy(gallery).to(device)
        view = rules.view[asked]
        self._hides = view > 0
        self._view = torch.from_numpy(view).to(device)
        self._hidden = torch.from_numpy(rules.hidden).to(device)

    def __call__(self, distance: Tensor, rows: slice, columns: Tensor) -> None:
        """Change the `distance` of the queries `rows`; `columns` are those of their own people."""
        if self._cameras is not None:
            same_camera = self._cameras[1][columns] == self._cameras[0][rows, None]
            own = distance.gather(1, columns).masked_fill_(same_camera, float("inf"))
            distance.scatter_(1, columns, own)
        if self._hides[rows].any():
            distance.masked_fill_(self._hidden[self._view[rows]], float("inf"))


def _in_order(matrix: Tensor, order: Tensor | None) -> Tensor:
    return matrix if order is None else matrix.index_select(1, order)


def block_rows(queries: int, gallery: int, most: int | None = None) -> Iterator[slice]:
    """Row ranges of the queries, short where the gallery is large, at most `most`; none for an empty one."""
    rows = max(1, min(most or gallery, rows_at_a_time(gallery)))
    for first in range(0, queries if gallery else 0, rows):
        yield slice(first, min(first + rows, queries))
