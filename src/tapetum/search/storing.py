"""What is stored: embeddings of a gallery's model, and what lies beside them that no search reads."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.errors import ModelMismatchError
from tapetum.search.query import as_texts
from tapetum.types import Embeddings, Id

if TYPE_CHECKING:
    from tapetum.evaluation.calibration.calibration import Calibration

_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Beside:
    """What is stored beside a tracklet and its embedding.

    Attributes:
        thumbnails: Pictures of the tracklet, each a JPEG file's bytes, the best first.
        content: Names what the tracklet was made from, such as the digest of its frames; None where unknown.
        stored_at: When it was stored, in Unix seconds; None where unknown.
    """

    thumbnails: tuple[bytes, ...] = ()
    content: str | None = None
    stored_at: float | None = None


@dataclass(frozen=True, slots=True)
class NewRows:
    """What is to be stored, checked: vectors of length 1, and as many entries beside them."""

    embeddings: Embeddings
    beside: tuple[Beside, ...]


def new_rows(
    embeddings: Embeddings,
    thumbnails: Sequence[Sequence[bytes]] | None,
    contents: Sequence[str | None] | None,
    *,
    model: str | None,
    dimension: int | None,
) -> NewRows:
    """What is to be stored into a gallery of `model` and `dimension` (None: not decided yet).

    Raises:
        ModelMismatchError: Another model.
        ValueError: Another dimension, a row without direction, an identifier twice, or another number of
            thumbnails or contents than of rows.
    """
    refuse_other_model(embeddings.model, model)
    given = int(embeddings.vectors.shape[1])
    if dimension is not None and given != dimension:
        raise ValueError(f"the embeddings have dimension {given}; the gallery has {dimension}")
    names = [t.tracklet_id for t in embeddings.tracklets]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"tracklet {twice[0]!r} occurs twice in what is to be stored")
    vectors = unit_rows(embeddings.vectors, [f"the embedding of tracklet {name}" for name in names])
    return NewRows(replace(embeddings, vectors=vectors), _beside(names, thumbnails, contents))


def _beside(
    names: Sequence[str],
    thumbnails: Sequence[Sequence[bytes]] | None,
    contents: Sequence[str | None] | None,
) -> tuple[Beside, ...]:
    for what, given in (("thumbnails", thumbnails), ("contents", contents)):
        if given is not None and len(given) != len(names):
            raise ValueError(f"{what} of {len(given)} tracklets were given for {len(names)}")
    now = time.time()
    pictures = [tuple(map(bytes, found)) for found in thumbnails] if thumbnails else [()] * len(names)
    digests = list(contents) if contents else [None] * len(names)
    return tuple(Beside(p, d, now) for p, d in zip(pictures, digests, strict=True))


def id_text(identifier: Id | np.generic | None) -> str | None:
    """An identifier as JSON; None where unknown."""
    if isinstance(identifier, np.generic):
        identifier = identifier.item()
    return None if identifier is None else json.dumps(identifier, ensure_ascii=False)


def id_of(text: str | None) -> Id | None:
    """The identifier that `id_text` made a text of."""
    return None if text is None else json.loads(text)


def in_order(identifiers: Iterable[Id]) -> tuple[Id, ...]:
    """Identifiers, integers first, each kind in order."""
    return tuple(sorted(identifiers, key=lambda i: (isinstance(i, str), i)))


def stored_forms(wanted: Id | Iterable[Id]) -> list[str]:
    """What `id_text` may have made of identifiers that are compared as texts: "3" names both 3 and "3".

    >>> stored_forms(3), stored_forms(["gate", "03"])
    (['"3"', '3'], ['"03"', '"gate"'])
    """
    texts = sorted(as_texts(wanted) or ())
    numbers = [text for text in texts if text.removeprefix("-").isdecimal() and str(int(text)) == text]
    return [str(id_text(text)) for text in texts] + numbers


def as_query(query: ArrayLike | Embeddings, model: str | None, dimension: int | None) -> NDArray[np.float32]:
    """The vector `[D]` of a query, of length 1.

    Args:
        query: A vector, or embeddings of one row.
        model: Fingerprint that embeddings must have; None: any.
        dimension: Length that it must have; None: any.

    Raises:
        ValueError: Not one vector of that length, zero, or not finite.
        ModelMismatchError: Embeddings of another model.
    """
    if isinstance(query, Embeddings):
        refuse_other_model(query.model, model)
        if len(query) != 1:
            raise ValueError(f"the query has {len(query)} rows; expected one")
        query = query.vectors[0]
    vector: NDArray[np.float32] = np.asarray(query, dtype=np.float32)
    if vector.ndim != 1:
        raise ValueError(f"the query has shape {vector.shape}; expected one vector")
    if dimension is not None and len(vector) != dimension:
        raise ValueError(f"the query has dimension {len(vector)}; the gallery has {dimension}")
    unit: NDArray[np.float32] = unit_rows(vector[None], ["the query"])[0]
    return unit


def unit_rows(vectors: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float32]:
    """Rows of length 1; those that are already, to rounding, stay as they are.

    Raises:
        ValueError: A row is zero or not finite; its name is given.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise ValueError(f"{names[int(bad[0])]} is zero or not finite; it has no direction")
    off = np.abs(lengths - 1) > _TOLERANCE
    if not off.any():
        return vectors
    found = vectors.copy()
    found[off] = vectors[off] / lengths[off, None]
    return found


def refuse_other_model(given: str, stored: str | None) -> None:
    """Nothing, or an error where embeddings of `given` meet those of another model.

    Raises:
        ModelMismatchError: The fingerprints differ.
    """
    if stored is not None and given != stored:
        raise ModelMismatchError(
            f"these embeddings are of model {given or '(unknown)'}, those of the gallery of model "
            f"{stored or '(unknown)'}; they cannot be compared: move the gallery to the other model "
            "(tapetum reindex), or index anew into another one"
        )


def refuse_foreign_calibration(calibration: Calibration | None, model: str | None) -> None:
    """Nothing, or an error where a calibration does not fit a gallery of `model`.

    Raises:
        ModelMismatchError: It is of another model.
        ValueError: The gallery has no model yet.
    """
    if calibration is None:
        return
    if model is None:
        raise ValueError("nothing was stored in the gallery yet, so it has no model to be calibrated")
    calibration.refuse_other_model(model)


def refuse_same_model(model: str, stored: str | None, count: int) -> None:
    """Nothing, or an error where a gallery cannot be moved to `model`.

    Raises:
        ValueError: It is empty, or of that model already.
    """
    if not count:
        raise ValueError("the gallery is empty: nothing can be moved to another model")
    if model == stored:
        raise ValueError(f"the gallery is of model {model} already")


def refuse_empty(left: int) -> None:
    """Nothing, or an error where a gallery would be empty after it was moved to another model.

    Raises:
        ValueError: It would.
    """
    if not left:
        raise ValueError("no tracklet is left that could be moved; the gallery stays as it was")
