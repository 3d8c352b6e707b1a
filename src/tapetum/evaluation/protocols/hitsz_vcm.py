"""HITSZ-VCM: infrared tracklets against visible ones and the other way round (Lin et al., CVPR 2022).

One fixed split, no draws. The second direction is the first with the roles swapped. Gallery items of the
query's own person and camera are left out, as in the authors' code; where no camera sees in both modalities
that removes nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation.protocols._base import Protocol, Trial
from tapetum.types import Modality, TrackletSet


class HitszVcm(Protocol):
    """I2V: the infrared query part searches the visible gallery part. V2I: the other way round."""

    name = "hitsz-vcm"
    about = "infrared queries against the visible gallery, and swapped"

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """The two directions, I2V first; `seed` and `root` change nothing."""
        infrared = _part(tracklets, "query", Modality.INFRARED)
        visible = _part(tracklets, "gallery", Modality.VISIBLE)
        return [Trial("I2V", infrared, visible), Trial("V2I", visible, infrared)]


VARIANTS = (HitszVcm(),)


def _part(tracklets: TrackletSet, part: str, modality: Modality) -> NDArray[np.int64]:
    rows = [row for row, tracklet in enumerate(tracklets) if tracklet.part == part]
    if not rows:
        counts = {p: sum(t.part == p for t in tracklets) for p in ("train", "query", "gallery")}
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise ValueError(f"hitsz-vcm needs query and gallery tracklets; {tracklets.name} has {found}")
    other = [tracklets[row].tracklet_id for row in rows if tracklets[row].modality is not modality]
    if other:
        raise ValueError(
            f"hitsz-vcm expects {modality.value} {part} tracklets only; {len(other)} of {len(rows)} in "
            f"{tracklets.name} are {modality.other.value}, the first is {other[0]}"
        )
    return np.asarray(rows, dtype=np.int64)
