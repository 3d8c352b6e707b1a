"""A manifest: all test tracklets of one modality against all of the other, for data of one's own.

Whether a tracklet is listed as query or as gallery plays no part. Gallery items of the query's own person
and camera are left out; ranks count images. A tracklet of unknown person stays in the gallery, where it is
nobody's match, and is no query.
"""

from __future__ import annotations

from pathlib import Path

from tapetum.evaluation.protocols._base import Protocol, Trial
from tapetum.evaluation.protocols._rows import rows_of
from tapetum.types import Modality, TrackletSet


class Manifest(Protocol):
    """I2V: infrared test tracklets search the visible ones. V2I: the other way round."""

    name = "manifest"
    about = "test tracklets of one modality against those of the other, both directions, own camera left out"

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """The two directions, I2V first; `seed` and `root` change nothing.

        Raises:
            ValueError: There are no test tracklets of one of the modalities, or none of a known person.
        """
        return [
            Trial(
                direction,
                rows_of(self.name, tracklets, modality=modality, known=True),
                rows_of(self.name, tracklets, modality=modality.other),
            )
            for direction, modality in (("I2V", Modality.INFRARED), ("V2I", Modality.VISIBLE))
        ]


VARIANTS = (Manifest(),)
