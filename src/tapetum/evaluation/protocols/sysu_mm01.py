"""SYSU-MM01: infrared images against a gallery of visible ones, drawn ten times (Wu et al., ICCV 2017).

Queries are all infrared images (cameras 3 and 6). The gallery holds one image ("single") or ten ("multi")
of each person in each visible camera: 1, 2, 4 and 5 ("all") or 1 and 2 ("indoor"). Cameras 2 and 3 stand in
the same place, so for queries of camera 3 all of camera 2 is left out, whoever is seen. Ranks count people.

There are two ways to draw, with different galleries and so different numbers. "drawn": by Python's
generator, seeded with the number of the trial (AGW and nearly all that came after; see `_draws`);
multi-shot that way is `random.sample` after the same seeding, as some of those projects have it.
"official": the permutations that the authors published (their own evaluation, MPANet). A person with fewer
images in a camera than shots is an error in both.
"""

from __future__ import annotations

from pathlib import Path

from tapetum.errors import DataError
from tapetum.evaluation.protocols._base import Protocol, Trial
from tapetum.evaluation.protocols._draws import (
    DRAWS,
    Folders,
    all_images,
    draw_seeds,
    drawn_images,
    file_name,
    image_folders,
    some_rows,
)
from tapetum.evaluation.protocols._rows import Rows
from tapetum.evaluation.protocols._sysu_permutations import Permutations
from tapetum.types import Modality, TrackletSet

CAMERAS = {Modality.VISIBLE: (1, 2, 4, 5), Modality.INFRARED: (3, 6)}
GALLERY_CAMERAS = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
SHOTS = {"single": 1, "multi": 10}
SAME_PLACE = ((3, 2),)
"""(query camera, gallery camera) that stand in one room."""

_WHOSE = {
    ("drawn", "single"): "seeded draw (AGW and most others)",
    ("drawn", "multi"): "seeded draw (a few projects; the usual code has no multi-shot)",
    ("official", "single"): "official permutations (authors, MPANet)",
    ("official", "multi"): "official permutations (authors, MPANet)",
}


class SysuMm01(Protocol):
    """I2V, ten trials, in one of eight variants."""

    def __init__(self, search: str, shot: str, draw: str, name: str = "") -> None:
        """Choose a variant.

        Args:
            search: "all" or "indoor": which cameras the gallery is from.
            shot: "single" or "multi": one or ten images of a person in a camera.
            draw: "drawn" or "official": who chooses them.
            name: Where it is not the three parts.
        """
        self.name = name or f"sysu-mm01/{search}-{shot}-{draw}"
        self.cameras, self.shots, self.is_official = GALLERY_CAMERAS[search], SHOTS[shot], draw == "official"
        self.about = f"{search}-search, {shot}-shot, ten trials, {_WHOSE[draw, shot]}"

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """Ten trials, "I2V 1" to "I2V 10".

        Args:
            tracklets: Test images; `tracklet_id` ends in the file's name, `camera_id` is 1 to 6.
            seed: 0: the published draws. Official permutations are what they are: there is no other seed.
            root: Folder that holds `exp/rand_perm_cam.mat`, for official permutations.

        Raises:
            ValueError: A camera or modality that the data set does not have, too few images of a person, or a
                seed or a missing root that the variant does not go with.
            FileNotFoundError: There is no file of official permutations below `root`.
            DataError: The permutations do not fit the images; file, person and camera are named.
        """
        folders = image_folders(self.name, tracklets, CAMERAS)
        query = all_images(self.name, folders[Modality.INFRARED], CAMERAS[Modality.INFRARED])
        visible = folders[Modality.VISIBLE]
        if self.is_official:
            galleries = self._official(tracklets, visible, seed, root)
        else:
            seeds = draw_seeds(seed)
            galleries = [drawn_images(self.name, visible, self.cameras, s, self.shots) for s in seeds]
        return [
            Trial(
                f"I2V {number}",
                query,
                gallery,
                same_camera=True,
                count="identities",
                hidden_cameras=SAME_PLACE,
                direction="I2V",
            )
            for number, gallery in enumerate(galleries, start=1)
        ]

    def _official(self, tracklets: TrackletSet, folders: Folders, seed: int, root: Path | None) -> list[Rows]:
        if root is None:
            raise ValueError(
                f"{self.name} needs the data set's folder (root=, --root) for its exp/rand_perm_cam.mat"
            )
        if seed:
            raise ValueError(f"{self.name} draws nothing; seed is {seed}, expected 0")
        permutations = Permutations.read(root)
        return [self._listed(tracklets, folders, permutations, trial) for trial in range(DRAWS)]

    def _listed(self, tracklets: TrackletSet, folders: Folders, listed: Permutations, trial: int) -> Rows:
        """A gallery as listed: by camera, then person, then as permuted."""
        rows: list[int] = []
        for camera in self.cameras:
            for person, _ in (folder for folder in folders if folder[1] == camera):
                images = {_number(tracklets[row].tracklet_id): row for row in folders[person, camera]}
                wanted = listed.images(camera, int(person), trial, self.shots)
                if missing := [number for number in wanted if number not in images]:
                    raise DataError(
                        f"{listed.path}: trial {trial + 1} asks for image {missing[0]} of person {person} in "
                        f"camera {camera}; {tracklets.name} has {len(images)} others"
                    )
                rows += [images[number] for number in wanted]
        return some_rows(self.name, rows, self.cameras)


def _number(tracklet_id: str) -> int:
    stem = file_name(tracklet_id).partition(".")[0]
    if not stem.isdecimal():
        raise ValueError(f"sysu-mm01: {tracklet_id} is not named by a number, as the permutations need")
    return int(stem)


VARIANTS = (
    SysuMm01("all", "single", "drawn", name="sysu-mm01"),
    *(
        SysuMm01(search, shot, draw)
        for search in GALLERY_CAMERAS
        for shot in SHOTS
        for draw in ("drawn", "official")
    ),
)
