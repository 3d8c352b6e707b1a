"""Frames that share a folder and differ by a number: paths are made when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class NumberedFrames(Sequence[str]):
    """Paths `folder/<name><number>.jpg`: an array slice instead of texts, so millions of frames stay small.

    >>> list(NumberedFrames("Train/0001/rgb/D3", np.array([1, 6], dtype=np.int32)))
    ['Train/0001/rgb/D3/1.jpg', 'Train/0001/rgb/D3/6.jpg']
    """

    __slots__ = ("folder", "name", "numbers")

    def __init__(self, folder: str, numbers: NDArray[np.int32], name: str = "") -> None:
        self.folder = folder
        self.numbers = numbers
        self.name = name

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> NumberedFrames: ...
    def __getitem__(self, index: int | slice) -> str | NumberedFrames:
        if isinstance(index, slice):
            return NumberedFrames(self.folder, self.numbers[index], self.name)
        return f"{self.folder}/{self.name}{self.numbers[index]}.jpg"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NumberedFrames):
            return NotImplemented
        same_place = (self.folder, self.name) == (other.folder, other.name)
        return same_place and np.array_equal(self.numbers, other.numbers)

    def __hash__(self) -> int:
        return hash((self.folder, self.name, self.numbers.tobytes()))

    def __repr__(self) -> str:
        name = f", {self.name!r}" if self.name else ""
        return f"NumberedFrames({self.folder!r}, {self.numbers.tolist()}{name})"
