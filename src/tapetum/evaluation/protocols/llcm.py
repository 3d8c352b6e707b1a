"""LLCM: all images of one modality against a drawn gallery of the other (Zhang and Wang, CVPR 2023).

Ten draws of one image of each person in each camera, as in `_draws`. Each of the nine cameras sees in both
modalities: gallery images of the query's own person in the query's own camera are left out. Ranks count
people.

Visible to infrared exists in two versions. "llcm" is what the paper says and the authors' training script
does: visible images search for drawn infrared ones. "llcm/swapped" is what the authors' test script does
under the same name: the drawn infrared images search for all visible ones, a higher rank-1 and a lower mAP.
The two do not compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tapetum.evaluation.protocols._base import Protocol, Trial
from tapetum.evaluation.protocols._draws import Folders, all_images, draw_seeds, drawn_images, image_folders
from tapetum.evaluation.protocols._rows import Rows
from tapetum.types import Modality, TrackletSet

CAMERAS = {Modality.VISIBLE: (1, 2, 3, 4, 5, 6, 7, 8, 9), Modality.INFRARED: (1, 2, 4, 5, 6, 7, 8, 9)}


class Llcm(Protocol):
    """I2V, then V2I, ten draws of the gallery each."""

    name = "llcm"
    about = "all images against one drawn image per person and camera, ten draws, both directions"

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """Twenty trials, "I2V 1" to "V2I 10".

        Args:
            tracklets: Test images; `tracklet_id` ends in the file's name, `camera_id` is 1 to 9.
            seed: 0: the published draws.
            root: Changes nothing.

        Raises:
            ValueError: A camera or modality that the data set does not have, or none of one modality.
        """
        folders = image_folders(self.name, tracklets, CAMERAS)
        return [
            trial
            for direction, modality in (("I2V", Modality.INFRARED), ("V2I", Modality.VISIBLE))
            for trial in self._direction(direction, folders, modality, seed)
        ]

    def _direction(
        self, name: str, folders: Mapping[Modality, Folders], modality: Modality, seed: int
    ) -> list[Trial]:
        query, other = _all_images(self.name, folders, modality), modality.other
        return [
            _trial(name, number, query, drawn_images(self.name, folders[other], CAMERAS[other], s))
            for number, s in enumerate(draw_seeds(seed), start=1)
        ]


class LlcmSwapped(Protocol):
    """The drawn infrared images search for all visible ones, ten draws."""

    name = "llcm/swapped"
    about = "drawn infrared images search for all visible ones: the authors' test script in its mode [2, 1]"

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """Ten trials, "V2I swapped 1" to "V2I swapped 10"; arguments and errors as for "llcm"."""
        folders = image_folders(self.name, tracklets, CAMERAS)
        gallery = _all_images(self.name, folders, Modality.VISIBLE)
        infrared = Modality.INFRARED
        return [
            _trial(
                "V2I swapped",
                number,
                drawn_images(self.name, folders[infrared], CAMERAS[infrared], s),
                gallery,
            )
            for number, s in enumerate(draw_seeds(seed), start=1)
        ]


VARIANTS = (Llcm(), LlcmSwapped())


def _all_images(protocol: str, folders: Mapping[Modality, Folders], modality: Modality) -> Rows:
    return all_images(protocol, folders[modality], CAMERAS[modality])


def _trial(direction: str, number: int, query: Rows, gallery: Rows) -> Trial:
    return Trial(f"{direction} {number}", query, gallery, False, "identities", direction=direction)
