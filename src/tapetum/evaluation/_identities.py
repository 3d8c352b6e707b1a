"""Identifiers become codes; the gallery is put into person order once, so a person's columns are a slice."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from tapetum.types import Id

if TYPE_CHECKING:
    from torch import Tensor

Ids: TypeAlias = "Sequence[Id | None] | NDArray[np.generic] | Tensor"
"""Integer or text identifiers; None where unknown."""

IntArray = NDArray[np.int64]


def as_ids(ids: Ids, what: str) -> list[Id | None]:
    """The identifiers as plain Python integers and texts.

    Raises:
        ValueError: An array that is not one-dimensional.
        TypeError: An identifier that is neither an integer, a text nor None.
    """
    if is_tensor(ids):
        ids = ids.detach().cpu().numpy()
    if isinstance(ids, np.ndarray):
        if ids.ndim != 1:
            raise ValueError(f"{what} have shape {ids.shape}; expected one dimension")
        found: Iterable[object] = ids.tolist()
    else:
        found = (i.item() if isinstance(i, np.generic) or is_tensor(i) else i for i in ids)
    return [_checked(i, what) for i in found]


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Whether it is a tensor, which it cannot be where torch was never imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _checked(value: object, what: str) -> Id | None:
    if value is None or isinstance(value, int | str):
        return value
    raise TypeError(f"{what} hold {value!r} of type {type(value).__name__}; expected integers, texts or None")


def shared_codes(query: Sequence[Id | None], gallery: Sequence[Id | None]) -> tuple[IntArray, IntArray]:
    """Codes of both lists `[Q]`, `[G]`: equal exactly where the identifiers are equal and known.

    Gallery codes are 0..E-1 in order of first appearance; every unknown gallery entry gets a code of its
    own. A query whose identifier is unknown or not in the gallery gets -1.
    """
    known: dict[Id, int] = {}
    codes = np.empty(len(gallery), dtype=np.int64)
    total = 0
    for column, identifier in enumerate(gallery):
        if identifier is None or identifier not in known:
            codes[column] = total
            total += 1
            if identifier is not None:
                known[identifier] = total - 1
        else:
            codes[column] = known[identifier]
    wanted = [-1 if i is None else known.get(i, -1) for i in query]
    return np.asarray(wanted, dtype=np.int64), codes


@dataclass(frozen=True, slots=True)
class GalleryOrder:
    """The gallery in person order.

    Attributes:
        codes: `[G]` person code of each gallery item, in gallery order.
        order: `[G]` gallery item at each column of the person order.
        starts: `[E + 1]` first column of each person, and G at the end.
    """

    codes: IntArray
    order: IntArray
    starts: IntArray

    @classmethod
    def of(cls, codes: IntArray) -> GalleryOrder:
        """Group a gallery by its person codes 0..E-1; items of a person keep their order."""
        order = np.argsort(codes, kind="stable")
        people = int(codes.max()) + 1 if len(codes) else 0
        starts = np.searchsorted(codes[order], np.arange(people + 1))
        return cls(codes, order, starts)

    @property
    def people(self) -> int:
        """E, the number of people."""
        return len(self.starts) - 1

    def count_of(self, codes: IntArray) -> IntArray:
        """How many gallery items show each of the people with `codes`; 0 for the code -1."""
        count = np.append(np.diff(self.starts), 0)
        return count[codes]
