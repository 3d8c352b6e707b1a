"""Who is seen where in the layout of HITSZ-VCM: identities, their tracklets, cameras and frame numbers.

Every tracklet has its own branch of the seed, so that none depends on how many others there are, and
tracklets can be rendered in any order and in parallel with equal bytes.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.cameras import CAMERA_IDS, Shot, camera_modality, create_camera, sample_shot
from tapetum.data.synthetic.cast import Cast, Split, divide_people
from tapetum.data.synthetic.options import MIN_KEPT_FRAMES, WalkerOptions
from tapetum.data.synthetic.people import Person
from tapetum.data.synthetic.render import render_tracklet
from tapetum.types import Modality

#: Frame numbers of a data set grow by this (25 frames per second, every fifth is listed).
FRAME_STEP = 5

_PLAN_KEY, _LOOK_KEY, _SHOT_KEY = 5, 6, 7
_MODALITY_KEY = {Modality.VISIBLE: 0, Modality.INFRARED: 1}


@dataclass(frozen=True, slots=True)
class TrackletPlan:
    """One tracklet before it is rendered.

    Args:
        split: "train" or "test".
        index: place of the identity within the split, from 0.
        person_id: number of the identity in the data set.
        modality: of the camera.
        camera_id: 1..12.
        tracklet_number: within identity and camera, from 1.
        frame_numbers: of the listed frames, growing by `FRAME_STEP`.
        order: place of the tracklet among those of this identity and modality.
    """

    split: Split
    index: int
    person_id: int
    modality: Modality
    camera_id: int
    tracklet_number: int
    frame_numbers: tuple[int, ...]
    order: int


class Population(Cast):
    """A seeded set of walkers and all their tracklets.

    Args:
        seed: of everything, at least 0.
        identities: people in all, at least 4.
        options: how they are drawn.
        test_identities: how many of them are test identities, at least 2; None means a third.

    Raises:
        ValueError: if there are too few people.
    """

    def __init__(
        self,
        seed: int,
        identities: int,
        options: WalkerOptions | None = None,
        test_identities: int | None = None,
    ) -> None:
        train, test = divide_people(
            identities, test_identities, fewest_train=2, fewest_test=2, name="hitsz-vcm"
        )
        counts: dict[Split, int] = {"train": train, "test": test}
        super().__init__(seed, counts, options if options is not None else WalkerOptions())

    def person_id(self, split: Split, index: int) -> int:
        """Number of an identity: 1, 3, 4, ... with the test identities after a gap, as in the true data.

        Args:
            split: "train" or "test".
            index: place within the split, from 0.
        """
        start = 1 if split == "train" else self.count("train") + 4
        return start + index + (1 if index else 0)

    def worn(self, plan: TrackletPlan) -> Person:
        """The person as dressed in one tracklet."""
        return self.dressed(plan.split, plan.index, _LOOK_KEY, _MODALITY_KEY[plan.modality], plan.order)

    def shot(self, plan: TrackletPlan) -> Shot:
        """Where from and how one tracklet is seen."""
        camera = create_camera(plan.camera_id, self.seed, self.options)
        rng = self.rng(plan.split, plan.index, _SHOT_KEY, _MODALITY_KEY[plan.modality], plan.order)
        return sample_shot(rng, camera, len(plan.frame_numbers), self.options)

    def render(self, plan: TrackletPlan) -> NDArray[np.uint8]:
        """Frames of one tracklet, `[N, H, W, 3]`."""
        return render_tracklet(self.worn(plan), self.shot(plan), self.options.frame_size)

    def plan(self, split: Split) -> list[TrackletPlan]:
        """All tracklets of a split, by identity, visible first, by camera and number."""
        plans = []
        for index in range(self.count(split)):
            for modality in (Modality.VISIBLE, Modality.INFRARED):
                plans += self._plan_identity(split, index, modality)
        return plans

    def _plan_identity(self, split: Split, index: int, modality: Modality) -> list[TrackletPlan]:
        rng = self.rng(split, index, _PLAN_KEY, _MODALITY_KEY[modality])
        first = index == 0
        lengths = _draw_lengths(rng, self.options, first)
        cameras = _draw_cameras(rng, modality, len(lengths), first)
        seen: dict[int, tuple[int, int]] = {}
        plans = []
        for order, (length, camera) in enumerate(zip(lengths, cameras, strict=True)):
            number, start = seen.get(camera, (0, 1 + FRAME_STEP * int(rng.integers(0, 40))))
            frames = tuple(range(start, start + FRAME_STEP * length, FRAME_STEP))
            seen[camera] = (number + 1, frames[-1] + FRAME_STEP * int(rng.integers(1, 12)))
            plans.append(
                TrackletPlan(
                    split, index, self.person_id(split, index), modality, camera, number + 1, frames, order
                )
            )
        return sorted(plans, key=lambda plan: (plan.camera_id, plan.tracklet_number))


def _draw_lengths(rng: np.random.Generator, options: WalkerOptions, forced: bool) -> list[int]:
    """Frames per tracklet; the last may be a short one, and is if `forced`, as is an odd length."""
    low, high = options.tracklet_length
    fewest, most = options.tracklets_per_modality
    lengths = [
        int(length) for length in rng.integers(low, high + 1, size=int(rng.integers(fewest, most + 1)))
    ]
    short = int(rng.integers(4, MIN_KEPT_FRAMES))
    if forced:
        odd = [length for length in range(low, high + 1) if all(length % size for size in (6, 8, 10))]
        return [odd[0] if odd else lengths[0], *lengths[1:], 11]
    return [*lengths, short] if rng.uniform() < options.short_tracklet_share else lengths


@lru_cache(maxsize=2)
def _cameras_of(modality: Modality) -> tuple[int, ...]:
    return tuple(camera for camera in CAMERA_IDS if camera_modality(camera) is modality)


def _draw_cameras(rng: np.random.Generator, modality: Modality, count: int, repeat: bool) -> list[int]:
    """Different cameras, but one in five tracklets follows another in the same view; `repeat` forces one."""
    order = [int(camera) for camera in rng.permutation(_cameras_of(modality))]
    cameras = [order[position % len(order)] for position in range(count)]
    for position in range(1, count):
        if rng.uniform() < 0.2 or (repeat and position == count - 1):
            cameras[position] = cameras[position - 1]
    return cameras
