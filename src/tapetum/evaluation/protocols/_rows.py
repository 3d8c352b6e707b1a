"""Rows of test tracklets, chosen by part and modality; a choice of nobody says what there is instead."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tapetum.types import Modality, TrackletSet

Rows = NDArray[np.int64]

TEST_PARTS = ("query", "gallery")


def rows_of(
    protocol: str,
    tracklets: TrackletSet,
    *,
    part: str | None = None,
    modality: Modality | None = None,
    known: bool = False,
) -> Rows:
    """int64, rows of the test tracklets of a part and a modality, in their order.

    Args:
        protocol: Name of the protocol that asks, for the message.
        tracklets: What to choose from; training tracklets are never chosen.
        part: "query" or "gallery"; None: both.
        modality: None: both.
        known: Choose only tracklets whose person is known.

    Raises:
        ValueError: There is none.
    """
    rows = [
        row
        for row, t in enumerate(tracklets)
        if t.part in ((part,) if part else TEST_PARTS)
        and (modality is None or t.modality is modality)
        and not (known and t.person_id is None)
    ]
    if not rows:
        wanted = " ".join(filter(None, (modality and modality.value, part or "test", "tracklets")))
        of = " of known persons" if known else ""
        raise ValueError(f"{protocol} needs {wanted}{of}; {tracklets.name} has {_describe(tracklets)}")
    return np.asarray(rows, dtype=np.int64)


def _describe(tracklets: TrackletSet) -> str:
    found = Counter(f"{t.modality.value} {t.part}" for t in tracklets)
    return ", ".join(f"{count} {what}" for what, count in found.items()) or "no tracklets"
