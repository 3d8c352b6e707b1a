"""RegDB: every test image of one modality against all of the other (Nguyen et al., Sensors 17(3), 2017).

The data set divides its people in ten ways, ten "trials", of which tracklets are one. A model is trained
for each, and numbers are averaged over models: score one model per trial, then average (`combine`). The
test people of one trial are training people of others; `evaluate` refuses to score a model there. No camera
rule: there is one camera of each kind.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from tapetum.evaluation.protocols._base import Protocol, Trial
from tapetum.evaluation.protocols._rows import rows_of
from tapetum.types import Modality, TrackletSet

_TRIAL = re.compile(r"[?&]trial=(\d+)")


class RegDb(Protocol):
    """V2I, the authors' default, then I2V; ranks count images, or people in the variant of that name."""

    def __init__(self, name: str, about: str, count: Literal["images", "identities"]) -> None:
        """Choose a variant by what its ranks count."""
        self.name, self.about, self.count = name, about, count

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """Both directions of one trial, whose number is in their names; `seed` and `root` change nothing.

        Raises:
            ValueError: There are no test tracklets of one of the modalities.
        """
        visible = rows_of(self.name, tracklets, modality=Modality.VISIBLE)
        thermal = rows_of(self.name, tracklets, modality=Modality.INFRARED)
        number = _TRIAL.search(tracklets.name)
        suffix = f" {number[1]}" if number else ""
        return [
            Trial(f"{direction}{suffix}", query, gallery, True, self.count, direction=direction)
            for direction, query, gallery in (("V2I", visible, thermal), ("I2V", thermal, visible))
        ]


VARIANTS = (
    RegDb("regdb", "all test images of one modality against all of the other, both directions", "images"),
    RegDb("regdb/by-person", "the same, ranks count people (MPANet): kinder from rank-5 on", "identities"),
)
