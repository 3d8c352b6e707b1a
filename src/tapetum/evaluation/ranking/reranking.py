"""K-reciprocal re-ranking, sparse: only the result and a few neighbours of each vector are ever held.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. Queries and
gallery are ranked together, as N = Q + G vectors. d(i, j) is the squared Euclidean distance over the largest
one of i, so that it lies in 0..1.

- R(i): the reciprocal neighbours of i, that is those j where each is among the k1 + 1 nearest of the other,
  itself included.
- R*(i): R(i) and, for every c in R(i), the reciprocal neighbours of c for k1 / 2, if more than two thirds of
  these are in R(i).
- V(i, j): exp(-d(i, j)) over its sum for the j in R*(i), and 0 for others; then V(i) becomes the mean of V
  over the k2 nearest of i.
- J(i, j) = 1 - S / (2 - S) with S = sum over c of min(V(i, c), V(j, c)).
- The result is (1 - lambda) J + lambda d.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tapetum.evaluation._identities import IntArray
from tapetum.evaluation.distances.block_sizes import blocks_at_a_time
from tapetum.evaluation.distances.vectors import (
    FloatArray,
    Vectors,
    as_vectors,
    refuse_other_lengths,
    refuse_other_models,
)
from tapetum.evaluation.distances.workers import map_on_cores
from tapetum.evaluation.ranking._pair_distances import PairDistances

if TYPE_CHECKING:
    import torch

Distance = Literal["squared", "fourth-power"]

_ENTRIES = 1 << 19  # pairs that a part of the work holds
_MOST_PARTS = 8  # at a time


def rerank(
    query: Vectors,
    gallery: Vectors,
    *,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    distance: Distance = "squared",
    device: torch.device | str | None = None,
) -> NDArray[np.float32]:
    """Distances `[Q, G]` after k-reciprocal re-ranking, in 0..1; lower is nearer.

    Args:
        query: `[Q, D]`, embeddings or their vectors.
        gallery: `[G, D]`.
        k1: Neighbours that may be reciprocal; one that is above N - 1 is as good as N - 1.
        k2: Neighbours over which weights are averaged; 1 averages nothing.
        lambda_value: Share of the distance itself, 0..1.
        distance: "squared": squared Euclidean distances, as in the paper. "fourth-power": their squares; this
            is what implementations compute that square the distances they are given, given squared ones.
        device: Where products are computed; None: the processor, by numpy where there is no torch.

    Raises:
        ValueError: A setting out of its range, lengths that differ, no query, no gallery item, or a vector
            that is not finite or, of embeddings, zero (its row is named).
        ModelMismatchError: Query and gallery were made by different models.

    Example:
        Queries 0 and 1; the gallery has a neighbour of each:

        >>> found = rerank([[0.0, 1.0], [1.0, 0.0]], [[0.2, 0.9], [0.9, 0.1]], k1=1, k2=1)
        >>> [[f"{distance:.2f}" for distance in row] for row in found]
        [['0.03', '0.94'], ['0.92', '0.01']]
    """
    if not 0 <= lambda_value <= 1:
        raise ValueError(f"lambda_value is {lambda_value}; expected 0..1")
    for name, value in (("k1", k1), ("k2", k2)):
        if value < 1:
            raise ValueError(f"{name} is {value}; expected at least 1")
    if distance not in get_args(Distance):
        raise ValueError(f"unknown distance {distance!r}; known: {', '.join(get_args(Distance))}")
    vectors, queries = _together(query, gallery)
    pairs = _pairs_of(vectors, device)
    near = _look_at_all(pairs, queries, k1, k2)
    square = distance == "fourth-power"
    weights = _averaged(_weights(pairs, near, square), near.for_mean)
    mixed = near.of_queries
    mixed /= near.largest[:queries, None]
    if square:
        mixed *= mixed
    mixed *= lambda_value
    _add_jaccard(mixed, weights[:queries], weights[queries:].tocsc(), 1 - lambda_value)
    return mixed


def _pairs_of(vectors: FloatArray, device: torch.device | str | None) -> PairDistances:
    """Distances by torch; by numpy where it is not installed, and no device is asked for."""
    try:
        import torch

        from tapetum.evaluation.ranking._neighbours import SquaredDistances
    except ModuleNotFoundError as error:
        if error.name != "torch" or device is not None:
            raise
        return PairDistances(vectors)
    return SquaredDistances(vectors, torch.device(device or "cpu"))


def _together(query: Vectors, gallery: Vectors) -> tuple[FloatArray, int]:
    """Vectors of queries, then gallery `[N, D]`, and the number of queries."""
    refuse_other_models(query, gallery)
    first, second = as_vectors(query, "query"), as_vectors(gallery, "gallery")
    refuse_other_lengths(first, second)
    return np.concatenate([first, second]), len(first)


@dataclass(frozen=True, slots=True)
class _Near:
    """What one look at all pairs leaves.

    Attributes:
        reciprocal: Sparse `[N, N]`, ones where both are among the k1 + 1 nearest of each other.
        closer: The same for half of k1.
        for_mean: `[N, k2]` nearest of each.
        largest: float32 `[N]` largest squared distance of each; 1 where all are zero.
        of_queries: float32 `[Q, G]` squared distances.
    """

    reciprocal: sparse.csr_array
    closer: sparse.csr_array
    for_mean: IntArray
    largest: NDArray[np.float32]
    of_queries: NDArray[np.float32]


def _look_at_all(pairs: PairDistances, queries: int, k1: int, k2: int) -> _Near:
    total = len(pairs)
    wide, narrow, mean = (min(k, total) for k in (k1 + 1, round(k1 / 2) + 1, k2))
    nearest = np.empty((total, max(wide, mean)), dtype=np.int64)
    largest = np.empty(total, dtype=np.float32)
    of_queries = np.empty((queries, total - queries), dtype=np.float32)

    def look(rows: slice) -> None:
        squared = pairs.block(rows)
        nearest[rows] = pairs.nearest(rows.start, squared, (wide, narrow, mean))
        largest[rows] = pairs.largest(squared)
        part = squared[: max(0, queries - rows.start), queries:]
        of_queries[rows.start : rows.start + len(part)] = pairs.as_array(part)

    map_on_cores(look, pairs.parts, blocks_at_a_time(total))
    largest[largest == 0] = 1
    return _Near(
        _reciprocal(nearest[:, :wide]),
        _reciprocal(nearest[:, :narrow]),
        nearest[:, :mean],
        largest,
        of_queries,
    )


def _reciprocal(nearest: IntArray) -> sparse.csr_array:
    """Sparse `[N, N]`, ones where both are among the nearest of each other."""
    forward = _ones(nearest)
    return forward.multiply(forward.T).tocsr()


def _ones(columns: IntArray) -> sparse.csr_array:
    """Sparse `[N, N]` with ones at the `columns` `[N, k]` of each row."""
    total, count = columns.shape
    starts = np.arange(0, total * count + 1, count)
    ones = np.ones(total * count, dtype=np.float32)
    return sparse.csr_array((ones, columns.ravel(), starts), shape=(total, total))


def _weights(pairs: PairDistances, near: _Near, square: bool) -> sparse.csr_array:
    """Sparse `[N, N]`, V of every vector before the mean."""
    counts = near.reciprocal @ np.diff(near.closer.indptr)
    parts = map_on_cores(partial(_weights_of, pairs, near, square), _slices_of_work(counts), _MOST_PARTS)
    return sparse.vstack(parts, format="csr")


def _slices_of_work(work: NDArray[np.floating] | IntArray) -> list[slice]:
    """Rows in slices of about equal work, `_ENTRIES` at most where a row alone is not more."""
    done = np.cumsum(work)
    first, found = 0, []
    while first < len(done):
        limit = _ENTRIES + (done[first - 1] if first else 0)
        last = max(first + 1, int(np.searchsorted(done, limit, side="right")))
        found.append(slice(first, last))
        first = last
    return found


def _weights_of(pairs: PairDistances, near: _Near, square: bool, rows: slice) -> sparse.csr_array:
    own = near.reciprocal[rows]
    shared = (
        (own @ near.closer.T).multiply(own).tocoo()
    )  # of every c in R(i): how many of its own are in R(i)
    sizes = np.diff(near.closer.indptr)
    taken = 3 * shared.data > 2 * sizes[shared.col]
    chosen = sparse.csr_array((shared.data[taken], (shared.row[taken], shared.col[taken])), shape=own.shape)
    found = (own + chosen @ near.closer).tocsr()
    row = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
    far = pairs.of_pairs(row + rows.start, found.indices) / near.largest[row + rows.start]
    weight = np.exp(-(far * far if square else far))
    weight /= np.bincount(row, weight, minlength=found.shape[0])[row]
    return sparse.csr_array((weight.astype(np.float32), found.indices, found.indptr), shape=found.shape)


def _averaged(weights: sparse.csr_array, neighbours: IntArray) -> sparse.csr_array:
    """The mean of `weights` over the `neighbours` `[N, k2]` of each row; of one, the weights as they are."""
    count = neighbours.shape[1]
    return weights if count == 1 else (_ones(neighbours) / np.float32(count)) @ weights


def _add_jaccard(
    mixed: NDArray[np.float32], queries: sparse.csr_array, gallery: sparse.csc_array, share: float
) -> None:
    """Add a share of the Jaccard distances to `mixed` `[Q, G]`."""
    sharing = np.diff(gallery.indptr)[queries.indices]
    pairs = np.diff(np.append(0, np.cumsum(sharing))[queries.indptr])

    def add(rows: slice) -> None:
        mixed[rows] += np.float32(share) * _jaccard_of(queries[rows], gallery)

    map_on_cores(add, _slices_of_work(pairs + gallery.shape[0]), _MOST_PARTS)


def _jaccard_of(queries: sparse.csr_array, gallery: sparse.csc_array) -> NDArray[np.float32]:
    rows, size = queries.shape[0], gallery.shape[0]
    count = np.diff(gallery.indptr)[queries.indices]  # gallery items that share each neighbour of a query
    place = np.repeat(gallery.indptr[queries.indices] - np.cumsum(count) + count, count)
    place += np.arange(len(place), dtype=place.dtype)
    row = np.repeat(np.repeat(np.arange(rows), np.diff(queries.indptr)), count)
    smaller = np.minimum(np.repeat(queries.data, count), gallery.data[place])
    shared = np.bincount(row * size + gallery.indices[place], smaller, minlength=rows * size)
    jaccard = 1 - shared / (2 - shared)
    return jaccard.reshape(rows, size).astype(np.float32)
