"""Some queries at a time against the whole gallery: what the ranks are counted from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tapetum.evaluation._camera_rules import CameraRules
from tapetum.evaluation._identities import GalleryOrder, IntArray
from tapetum.evaluation.distances.products import NegativeProducts, rows_at_a_time
from tapetum.evaluation.distances.vectors import FloatArray


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


class BlockSource(ABC):
    """All blocks of some queries, to be made in any order, also at the same time.

    Attributes:
        gallery: The gallery's people.
        parts: Rows of the blocks: ranges of the queries.
    """

    gallery: GalleryOrder
    parts: list[slice]

    @abstractmethod
    def __call__(self, rows: slice) -> Block:
        """The block of the queries `rows`."""

    def __iter__(self) -> Iterator[Block]:
        return map(self, self.parts)


class DistanceBlocks(BlockSource):
    """Blocks of a distance matrix, all queries in order."""

    def __init__(
        self,
        matrix: Tensor,
        removed: Tensor | None,
        query_codes: IntArray,
        gallery: GalleryOrder,
        *,
        by_person: bool = False,
    ) -> None:
        """Prepare the blocks.

        Args:
            matrix: `[Q, G]`, finite, in gallery order.
            removed: bool `[Q, G]`, pairs that are left out; None: no pair.
            query_codes: Person codes `[Q]`.
            gallery: The gallery's people.
            by_person: Whether columns of blocks are in person order; else they are in gallery order.
        """
        self.gallery = gallery
        self.parts = list(block_rows(len(query_codes), len(gallery.codes)))
        self._matrix, self._removed = matrix, removed
        self._own = _OwnColumns(gallery, query_codes, by_person, matrix.device)
        self._order = torch.from_numpy(gallery.order).to(matrix.device) if by_person else None

    def __call__(self, rows: slice) -> Block:
        """The block of the queries `rows`."""
        distance = self._in_order(self._matrix[rows])
        if self._removed is not None:
            distance = distance.masked_fill(self._in_order(self._removed[rows]), float("inf"))
        return Block(distance, *self._own(rows), self._own.place)

    def _in_order(self, matrix: Tensor) -> Tensor:
        return matrix if self._order is None else matrix.index_select(1, self._order)


class EmbeddingBlocks(BlockSource):
    """Blocks of the negative dot products of embeddings."""

    def __init__(
        self,
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
    ) -> None:
        """Prepare the blocks.

        Args:
            vectors: Of the queries `[Q, D]` and of the gallery `[G, D]`.
            asked: Which queries, in which order; each of a person that the gallery knows.
            query_codes: Person codes `[Q]`.
            gallery: The gallery's people.
            rules: What is left out, in gallery order.
            by_person: Whether columns of blocks are in person order; else they are in gallery order.
            block: Most queries at a time.
            device: Where the products are computed.
            dtype: float32 or float64.
        """
        self.gallery = gallery
        self.parts = list(block_rows(len(asked), len(gallery.codes), block))
        items = vectors[1][gallery.order] if by_person else vectors[1]
        self._own = _OwnColumns(gallery, query_codes[asked], by_person, device)
        self._queries = _as_tensor(vectors[0]).to(device, dtype)
        self._products = NegativeProducts(_as_tensor(items).to(device, dtype))
        self._leave_out = _LeaveOut(rules.reordered(self._own.place), asked, device)
        self._asked = torch.from_numpy(asked).to(device)

    def __call__(self, rows: slice) -> Block:
        """The block of the asked queries `rows`."""
        distance = self._products(self._queries.index_select(0, self._asked[rows]))
        columns, present = self._own(rows)
        self._leave_out(distance, rows, columns)
        return Block(distance, columns, present, self._own.place)


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


def _as_tensor(vectors: FloatArray) -> Tensor:
    return torch.from_numpy(np.require(vectors, requirements=["C", "W"]))


def block_rows(queries: int, gallery: int, most: int | None = None) -> Iterator[slice]:
    """Row ranges of the queries, short where the gallery is large, at most `most`; none for an empty one."""
    rows = max(1, min(most or gallery, rows_at_a_time(gallery)))
    for first in range(0, queries if gallery else 0, rows):
        yield slice(first, min(first + rows, queries))
