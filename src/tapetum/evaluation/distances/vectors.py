"""Vectors to compare, checked: what cannot be ranked is refused with its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.errors import ModelMismatchError
from tapetum.evaluation._identities import is_tensor
from tapetum.types import Embeddings

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = NDArray[np.floating]
Vectors: TypeAlias = "Embeddings | ArrayLike | Tensor"


def as_vectors(vectors: Vectors, what: str) -> FloatArray:
    """The vectors `[N, D]` as float32 or float64, all finite.

    Raises:
        TypeError: They are not numbers.
        ValueError: Not two dimensions, no vector at all, or a vector that is not finite; of embeddings, also
            one that is zero. The row is named, of embeddings also the tracklet.
    """
    found = _as_floats(vectors.vectors if isinstance(vectors, Embeddings) else vectors, what)
    if found.ndim != 2 or not found.size:
        raise ValueError(f"{what} vectors have shape {found.shape}; expected (vectors, length), neither 0")
    if isinstance(vectors, Embeddings):
        refuse_unusable(vectors, what)
        return found
    bad = ~np.isfinite(found).all(axis=1)
    if bad.any():
        raise ValueError(f"{what} vector {int(bad.argmax())} holds a value that is not finite")
    return found


def _as_floats(vectors: ArrayLike | Tensor, what: str) -> FloatArray:
    if is_tensor(vectors):
        tensor = vectors.detach().cpu()
        is_double = tensor.is_floating_point() and tensor.element_size() == np.dtype(np.float64).itemsize
        vectors = (tensor if is_double else tensor.float()).numpy()
    array = np.asarray(vectors)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} vectors hold {array.dtype}; expected numbers")
    return array.astype(
        np.float32 if array.dtype.itemsize <= 4 and array.dtype.kind == "f" else np.float64, copy=False
    )


def refuse_other_models(query: Vectors, gallery: Vectors) -> None:
    """Refuse embeddings of two models that are known to differ.

    Raises:
        ModelMismatchError: They do.
    """
    if isinstance(query, Embeddings) and isinstance(gallery, Embeddings):
        models = query.model, gallery.model
        if all(models) and models[0] != models[1]:
            raise ModelMismatchError(f"queries are of model {models[0]}, the gallery of model {models[1]}")


def refuse_other_lengths(query: FloatArray, gallery: FloatArray) -> None:
    """Refuse vectors of different lengths.

    Raises:
        ValueError: They differ.
    """
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"query embeddings have length {query.shape[1]}, gallery embeddings {gallery.shape[1]}"
        )


def refuse_unusable(embeddings: Embeddings, what: str) -> None:
    """Refuse an embedding that is zero, not finite, or so long that its products would not be finite.

    Raises:
        ValueError: There is one; its row and tracklet are named.
    """
    vectors = embeddings.vectors
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("nd,nd->n", vectors, vectors)
    for row in np.flatnonzero(~(np.isfinite(squares) & (squares > 0))):
        vector = vectors[row]
        if not np.isfinite(vector).all():
            fault = "holds a value that is not finite"
        elif not vector.any():
            fault = "is zero: it is near to nothing"
        elif squares[row] > 0:
            fault = f"is too long: its largest value is {np.abs(vector).max():.3g}; expected length 1"
        else:
            continue  # so short that its square is zero, but it has a direction
        name = embeddings.tracklets[int(row)].tracklet_id
        raise ValueError(f"{what} embedding {row} (tracklet {name}) {fault}")
