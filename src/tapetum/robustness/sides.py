"""Which tracklets are corrupted: those of one side of a search, or of one modality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tapetum.data.corruptions import Corruption
from tapetum.evaluation.protocols import create_protocol
from tapetum.types import Modality, TrackletSet

Side = Literal["both", "query", "gallery", "visible", "infrared"]
"""Pictures that are corrupted: all, those that are searched for or among, or those of one modality."""
Rows = NDArray[np.int64]


def side_rows(
    tracklets: TrackletSet, side: Side, protocol: str, *, seed: int = 0, root: Path | None = None
) -> Rows:
    """Rows of the tracklets on a side, ascending; of queries and galleries those of any trial.

    Args:
        tracklets: All test tracklets.
        side: Which ones.
        protocol: Says what is searched for, and among what.
        seed: For protocols that draw their galleries.
        root: Folder of the data set, for protocols whose galleries are listed in one of its files.

    Raises:
        ValueError: Unknown protocol, or tracklets without the parts that it needs.
    """
    if side in ("query", "gallery"):
        trials = create_protocol(protocol).trials(tracklets, seed, root)
        listed = [trial.query if side == "query" else trial.gallery for trial in trials]
        found: Rows = np.unique(np.concatenate(listed))
        return found
    return np.flatnonzero([side == "both" or t.modality == side for t in tracklets])


def applicable(
    corruptions: Sequence[Corruption],
    tracklets: TrackletSet,
    side: Side,
    protocol: str,
    *,
    seed: int = 0,
    root: Path | None = None,
) -> tuple[Corruption, ...]:
    """The corruptions that happen to a modality of which there are tracklets on this side.

    Arguments and errors are those of `side_rows`.
    """
    rows = side_rows(tracklets, side, protocol, seed=seed, root=root)
    seen: set[Modality] = {tracklets[int(row)].modality for row in rows}
    return tuple(corruption for corruption in corruptions if corruption.modalities & seen)
