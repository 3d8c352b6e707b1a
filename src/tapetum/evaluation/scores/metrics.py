"""CMC, mean average precision and mean inverse negative penalty.

For one query the gallery is ranked by ascending distance, ties by gallery order; pairs left out are removed.
Let the R true items stand at positions p1 < ... < pR of what is kept. Then AP = (1/R) sum_j j / p_j
(not interpolated), INP = R / p_R (Ye et al., "Deep Learning for Person Re-identification: A Survey and
Outlook", arXiv 2001.04193), and the query's first rank is p1 or, counted over people, 1 + the number of other
people of whom an item stands before p1. A query without a true item is skipped, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tapetum.errors import NoMatchError
from tapetum.evaluation._camera_rules import CameraRules, HiddenCameras
from tapetum.evaluation._identities import GalleryOrder, Ids, IntArray, as_ids, shared_codes
from tapetum.evaluation.distances.blocks import BlockSource, DistanceBlocks, EmbeddingBlocks
from tapetum.evaluation.distances.vectors import refuse_other_lengths, refuse_other_models, refuse_unusable
from tapetum.evaluation.scores.positives import BlockRanks, rank_blocks
from tapetum.types import Embeddings

Count = Literal["images", "identities"]


class MatchCurve:
    """What has a cumulative match curve (CMC), float64 `[max_rank]`: of one ranking or of several."""

    __slots__ = ()
    cmc: NDArray[np.float64]

    def rank(self, r: int) -> float:
        """CMC at rank `r`: the share of valid queries with a hit among the first `r`.

        Raises:
            ValueError: `r` is below 1 or above the length of the CMC.
        """
        if not 1 <= r <= len(self.cmc):
            raise ValueError(f"rank {r} is outside 1..{len(self.cmc)}")
        return float(self.cmc[r - 1])


@dataclass(frozen=True, slots=True, eq=False)
class Scores(MatchCurve):
    """What a ranking is worth; every share is a fraction 0..1.

    Attributes:
        cmc: float64 `[max_rank]`, `cmc[r - 1]` is the share of valid queries with a hit among the first r.
        mean_ap: Mean average precision over valid queries.
        mean_inp: Mean inverse negative penalty over valid queries.
        queries: Number of valid queries.
        skipped: Number of queries without a true item in the gallery; they are in no mean.
        average_precision: float64 `[Q]`, nan where skipped.
        inp: float64 `[Q]`, nan where skipped.
        first_rank: int64 `[Q]`, rank of the first true item counted from 1; 0 where skipped.
    """

    cmc: NDArray[np.float64]
    mean_ap: float
    mean_inp: float
    queries: int
    skipped: int
    average_precision: NDArray[np.float64]
    inp: NDArray[np.float64]
    first_rank: IntArray

    def to_json(self) -> dict[str, object]:
        """The means and the CMC as plain numbers, ready for `json.dumps` (nothing per query)."""
        return {
            "mean_ap": self.mean_ap,
            "mean_inp": self.mean_inp,
            "cmc": self.cmc.tolist(),
            "queries": self.queries,
            "skipped": self.skipped,
        }


def score_distances(
    distance: ArrayLike | Tensor,
    query_ids: Ids,
    gallery_ids: Ids,
    *,
    leave_out: ArrayLike | Tensor | None = None,
    count: Count = "images",
    max_rank: int = 20,
) -> Scores:
    """Scores of a distance matrix.

    Args:
        distance: `[Q, G]`, finite, lower is nearer. Floating types are compared as they are, nothing is
            rounded.
        query_ids: `[Q]` integers or texts. None means unknown: such a query is skipped.
        gallery_ids: `[G]`. An item that is nobody's true match (a distractor) stays in the list; give it an
            identifier that no query has (-1, say, is one like any other) or None, which never matches.
            Counted over identities, every None is a person of its own.
        leave_out: bool `[Q, G]`, pairs that are removed from the ranking; None removes nothing.
        count: What CMC counts: "images", or "identities": each person once, at the nearest item.
        max_rank: Length of the CMC; shorter lists repeat their last value.

    Raises:
        ValueError: Shapes that do not fit, a distance that is NaN or infinite (its query row is named), or an
            unknown `count`.
        TypeError: `leave_out` is not boolean, or an identifier is neither integer nor text.
        NoMatchError: No query has a true match in the gallery, so there is nothing to average.

    Example:
        A query of person 7 ranks 3, 7, 7, 5, so its true items stand at 2 and 3:

        >>> s = score_distances([[1.0, 2.0, 3.0, 4.0]], [7], [3, 7, 7, 5], max_rank=3)
        >>> s.cmc.tolist(), round(s.mean_ap, 4), round(s.mean_inp, 4)
        ([0.0, 1.0, 1.0], 0.5833, 0.6667)
    """
    _check_settings(count, max_rank)
    matrix = _as_matrix(distance)
    query_codes, gallery = _codes(query_ids, gallery_ids)
    _check_shape(matrix, (len(query_codes), len(gallery.codes)), "distance")
    removed = None if leave_out is None else _as_mask(leave_out, matrix)
    _refuse_not_finite(matrix)
    by_person = count == "identities" and matrix.device.type == "cpu"
    blocks = DistanceBlocks(matrix, removed, query_codes, gallery, by_person=by_person)
    asked = np.arange(len(query_codes))
    return _score(blocks, matrix.device, asked, len(asked), count, max_rank)


def score_embeddings(
    query: Embeddings,
    gallery: Embeddings,
    *,
    same_camera: bool = False,
    hidden_cameras: HiddenCameras = (),
    count: Count = "images",
    max_rank: int = 20,
    block: int = 128,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Scores:
    """Scores of embeddings; equal to `score_distances` on their distances, but never holds `[Q, G]`.

    The distance is the negative dot product; for L2-normalised rows it ranks as cosine and Euclidean distance
    do. Other distractors and unknown identities are treated as in `score_distances`.

    Args:
        query: Q embeddings.
        gallery: G embeddings of the same model.
        same_camera: Whether gallery items of the query's own person and own camera are kept. False, the
            usual rule, leaves them out; an unknown camera is equal to none.
        hidden_cameras: Pairs (query camera, gallery camera): for queries of the first camera, gallery
            items of the second are left out, whoever they show.
        count: "images" or "identities", see `score_distances`.
        max_rank: Length of the CMC.
        block: Queries that are compared with the gallery at a time; less where the gallery is large.
        device: Where to compute; None: the processor.
        dtype: float32 or float64, the type of the products.

    Raises:
        ValueError: Lengths of the embeddings differ, or one of them is zero or not finite (its row and
            tracklet are named).
        ModelMismatchError: Query and gallery were made by different models.
        NoMatchError: No query has a true match in the gallery, so there is nothing to average.
    """
    _check_settings(count, max_rank)
    _check_embeddings(query, gallery)
    query_codes, order = _codes(
        [t.person_id for t in query.tracklets], [t.person_id for t in gallery.tracklets]
    )
    people = query_codes, order.codes
    rules = CameraRules.of(people, query.tracklets, gallery.tracklets, same_camera, hidden_cameras)
    where = torch.device(device or "cpu")
    asked = _askable(order.count_of(query_codes))
    blocks = EmbeddingBlocks(
        (query.vectors, gallery.vectors),
        asked,
        query_codes,
        order,
        rules,
        by_person=count == "identities" and where.type == "cpu",
        block=block,
        device=where,
        dtype=dtype,
    )
    return _score(blocks, where, asked, len(query), count, max_rank)


def _askable(true: IntArray) -> IntArray:
    """Queries of people that the gallery shows; those with equally many true items are asked together."""
    order = np.argsort(true, kind="stable")
    return order[true[order] > 0]


def _codes(query_ids: Ids, gallery_ids: Ids) -> tuple[IntArray, GalleryOrder]:
    query, gallery = shared_codes(as_ids(query_ids, "query_ids"), as_ids(gallery_ids, "gallery_ids"))
    return query, GalleryOrder.of(gallery)


def _as_matrix(distance: ArrayLike | Tensor) -> Tensor:
    """The distances as a floating tensor where they are; integers as float64, half precision as float32."""
    if not isinstance(distance, Tensor):
        array = np.asarray(distance)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"distance holds {array.dtype}; expected numbers")
        if array.dtype not in (np.float16, np.float32, np.float64):
            array = array.astype(np.float64)
        distance = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    distance = distance.detach()
    if distance.dtype in (torch.float32, torch.float64):
        return distance
    return distance.to(torch.float32 if distance.is_floating_point() else torch.float64)


def _as_mask(leave_out: ArrayLike | Tensor, matrix: Tensor) -> Tensor:
    mask = leave_out if isinstance(leave_out, Tensor) else np.asarray(leave_out)
    if mask.dtype not in (torch.bool, np.bool_):
        raise TypeError(f"leave_out holds {mask.dtype}; expected bool")
    _check_shape(mask, tuple(matrix.shape), "leave_out")
    if not isinstance(mask, Tensor):
        mask = torch.from_numpy(np.require(mask, requirements=["C", "W"]))
    return mask.to(matrix.device)


def _check_shape(matrix: Tensor | NDArray[np.bool_], expected: tuple[int, ...], what: str) -> None:
    if tuple(matrix.shape) != expected:
        raise ValueError(
            f"{what} has shape {tuple(matrix.shape)}; expected (queries, gallery items) = {expected}"
        )


def _refuse_not_finite(matrix: Tensor) -> None:
    if not matrix.numel():
        return
    for found in (matrix.amin(dim=1), matrix.amax(dim=1)):  # both are NaN where the row holds one
        bad = ~torch.isfinite(found)
        if bad.any():
            row = int(bad.nonzero()[0, 0])
            raise ValueError(
                f"distance holds {float(found[row])} in row {row} (query {row}); expected finite"
            )


def _check_embeddings(query: Embeddings, gallery: Embeddings) -> None:
    refuse_other_models(query, gallery)
    refuse_other_lengths(query.vectors, gallery.vectors)
    refuse_unusable(query, "query")
    refuse_unusable(gallery, "gallery")


def _check_settings(count: Count, max_rank: int) -> None:
    if count not in get_args(Count):
        raise ValueError(f"unknown count {count!r}; known: {', '.join(get_args(Count))}")
    if max_rank < 1:
        raise ValueError(f"max_rank is {max_rank}; expected at least 1")


def _score(
    blocks: BlockSource,
    device: torch.device,
    asked: IntArray,
    queries: int,
    count: Count,
    max_rank: int,
) -> Scores:
    """Scores of `queries` of which `asked` are in the blocks, in that order; the others have no true item."""
    parts = rank_blocks(blocks, device, count == "identities", _score_block)
    if not any((first > 0).any() for *_, first in parts):
        raise NoMatchError(
            f"none of {queries} queries has a true match among {len(blocks.gallery.codes)} gallery items"
        )
    average_precision, inp = np.full((2, queries), np.nan)
    first_rank = np.zeros(queries, dtype=np.int64)
    for whole, column in zip((average_precision, inp, first_rank), zip(*parts, strict=True), strict=True):
        whole[asked] = np.concatenate(column)
    return summarise(average_precision, inp, first_rank, max_rank)


def _score_block(ranks: BlockRanks) -> tuple[NDArray[np.float64], NDArray[np.float64], IntArray]:
    """AP, INP and first rank of each query of a block."""
    slot = np.arange(1, ranks.positions.shape[1] + 1)
    valid = ranks.matches > 0
    matches = np.where(valid, ranks.matches, 1)
    row = np.arange(len(matches))
    precisions = np.cumsum(slot / ranks.positions, axis=1)[
        row, matches - 1
    ]  # one by one: padding adds nothing
    last = ranks.positions[row, matches - 1]
    first = ranks.positions[:, 0] if ranks.people_rank is None else ranks.people_rank
    average_precision = np.where(valid, precisions / matches, np.nan)
    return average_precision, np.where(valid, matches / last, np.nan), np.where(valid, first, 0)


def summarise(
    average_precision: NDArray[np.float64], inp: NDArray[np.float64], first_rank: IntArray, max_rank: int
) -> Scores:
    """Scores of queries whose AP, INP (nan where skipped) and first rank (0 where skipped) are known."""
    valid = first_rank > 0
    queries = int(valid.sum())
    hits = np.bincount(first_rank[valid], minlength=max_rank + 1)[1 : max_rank + 1]
    return Scores(
        cmc=np.cumsum(hits) / queries,
        mean_ap=float(average_precision[valid].mean()),
        mean_inp=float(inp[valid].mean()),
        queries=queries,
        skipped=len(first_rank) - queries,
        average_precision=average_precision,
        inp=inp,
        first_rank=first_rank,
    )
