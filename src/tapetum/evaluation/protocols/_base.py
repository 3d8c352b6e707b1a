"""What a protocol answers, and how one is found by name.

A protocol is pure: from tracklets (no pixels) and a seed to trials. All directions and all trials of a data
set's rule are trials of one protocol.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tapetum.registry import load, names
from tapetum.types import TrackletSet

_PACKAGE = "tapetum.evaluation.protocols"


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One search to score: who is searched for, among whom, by which rules.

    Attributes:
        name: The direction, and the number of the draw where there are several.
        query: int64, rows of the queries.
        gallery: int64, rows of the gallery, in gallery order.
        same_camera: Whether gallery items of a query's own person and own camera are kept.
        count: What CMC counts: "images" or "identities".
    """

    name: str
    query: NDArray[np.int64]
    gallery: NDArray[np.int64]
    same_camera: bool = False
    count: Literal["images", "identities"] = "images"


class Protocol(ABC):
    """A data set's rule of evaluation."""

    name: ClassVar[str]

    @abstractmethod
    def trials(self, tracklets: TrackletSet, seed: int = 0) -> list[Trial]:
        """The trials, in the order in which results are reported.

        Args:
            tracklets: Test tracklets; rows of the trials are rows of these.
            seed: For protocols that draw their galleries.

        Raises:
            ValueError: The tracklets do not have the parts that the protocol needs.
        """


def protocol_names() -> list[str]:
    """Names of all protocols."""
    return names(_PACKAGE)


def create_protocol(name: str) -> Protocol:
    """The protocol `name`.

    Raises:
        ValueError: No such protocol; close names are listed.
    """
    module = load(_PACKAGE, name, "protocol")
    found: list[type[Protocol]] = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Protocol) and getattr(value, "name", None) == name
    ]
    return found[0]()
