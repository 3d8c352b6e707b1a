"""Cutting a long list of tracklets where their own names say, so that a change moves no distant cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from tapetum.ingest.items import Draft


def name_hash(name: str) -> int:
    """64 bits of a digest of a name; two of a hundred million names agree in one case of some thousands."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def cut(drafts: Iterable[Draft], size: int) -> Iterator[list[Draft]]:
    """The tracklets in their order, `size` at a time on average, at least half and at most twice that.

    After `size / 2` tracklets, a piece ends with the first whose name has a digest divisible by about
    `size / 2`. One tracklet more or less changes the piece it is in, seldom the next.

    Raises:
        ValueError: `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"shard size is {size}; expected at least 1")
    least = max(1, size // 2)
    divisor = size - least + 1
    piece: list[Draft] = []
    for draft in drafts:
        piece.append(draft)
        ends = len(piece) >= least and name_hash(draft.name) % divisor == 0
        if ends or len(piece) >= 2 * size:
            yield piece
            piece = []
    if piece:
        yield piece


class Names:
    """Names that were met, eight bytes each, to find one that occurs twice."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.uint64]] = []

    def add(self, names: Iterable[str]) -> None:
        """Take the names of a piece, in their order."""
        self._parts.append(np.fromiter((name_hash(name) for name in names), np.uint64))

    def twice(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Piece and place where a name was met first, and where it was met again; None: no name was."""
        if not self._parts:
            return None
        every = np.concatenate(self._parts)
        order = np.argsort(every, kind="stable")
        same = np.flatnonzero(every[order][1:] == every[order][:-1])
        if not len(same):
            return None
        at = int(same[np.argmin(order[same + 1])])
        return self._place(int(order[at])), self._place(int(order[at + 1]))

    def _place(self, number: int) -> tuple[int, int]:
        ends = np.cumsum([len(part) for part in self._parts])
        piece = int(np.searchsorted(ends, number, side="right"))
        return piece, number - int(ends[piece] - len(self._parts[piece]))
