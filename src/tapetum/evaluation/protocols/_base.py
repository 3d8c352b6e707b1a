"""What a protocol answers, and how one is found by name.

A protocol is pure: from tracklets (no pixels) and a seed to trials. All directions and all trials of a data
set's rule are trials of one protocol.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation._camera_rules import CameraRules
from tapetum.evaluation._identities import shared_codes
from tapetum.registry import load, names, unknown
from tapetum.types import Id, TrackletSet

_PACKAGE = "tapetum.evaluation.protocols"


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One search to score: who is searched for, among whom, by which rules.

    Attributes:
        name: The direction, and the number of the draw, from 1, where there are several ("I2V 3").
        query: int64, rows of the queries.
        gallery: int64, rows of the gallery, in gallery order.
        same_camera: Whether gallery items of a query's own person and own camera are kept.
        count: What CMC counts: "images" or "identities".
        hidden_cameras: Pairs (query camera, gallery camera): for a query of the first camera, gallery items
            of the second are left out, whoever they show.
        direction: Trials of the same direction are averaged; "" means that the name is the direction.
    """

    name: str
    query: NDArray[np.int64]
    gallery: NDArray[np.int64]
    same_camera: bool = False
    count: Literal["images", "identities"] = "images"
    hidden_cameras: tuple[tuple[Id, Id], ...] = ()
    direction: str = ""

    def left_out(self, tracklets: TrackletSet) -> NDArray[np.bool_]:
        """Bool `[Q, G]`, the pairs that the camera rules leave out, as `score_distances` takes them.

        Args:
            tracklets: What the trial's rows are rows of.
        """
        query, gallery = ([tracklets[int(row)] for row in rows] for rows in (self.query, self.gallery))
        people = shared_codes([t.person_id for t in query], [t.person_id for t in gallery])
        rules = CameraRules.of(people, query, gallery, self.same_camera, self.hidden_cameras)
        return rules(np.arange(len(query)))


class Protocol(ABC):
    """A data set's rule of evaluation, in one variant.

    Attributes:
        name: As users write it: the data set's name, with "/variant" behind it where it is not the usual one.
        about: One sentence: what this variant does, and where it is used.
    """

    name: str
    about: str = ""

    @abstractmethod
    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """The trials, in the order in which results are reported.

        Args:
            tracklets: Test tracklets; rows of the trials are rows of these.
            seed: For protocols that draw their galleries: 0 gives the published draws, any other as many
                others, none of them twice.
            root: Folder of the data set, for variants whose draws are listed in one of its files.

        Raises:
            ValueError: The tracklets do not have the parts that the protocol needs.
        """


def protocol_names() -> list[str]:
    """Names of all protocols, every variant: "sysu-mm01", "sysu-mm01/indoor-single-drawn", ..."""
    return [name for entry in names(_PACKAGE) for name in _variants(entry)]


def create_protocol(name: str) -> Protocol:
    """The protocol `name`.

    Raises:
        ValueError: No such protocol or no such variant; close names are listed.
    """
    variants = _variants(name.partition("/")[0])
    if name not in variants:
        raise ValueError(unknown("protocol", name, list(variants)))
    return variants[name]


def _variants(entry: str) -> Mapping[str, Protocol]:
    """What the file of a protocol calls its VARIANTS: the usual one first, by full name."""
    listed: tuple[Protocol, ...] = load(_PACKAGE, entry, "protocol").VARIANTS
    return {protocol.name: protocol for protocol in listed}
