"""What is drawn in one go: the pictures of one person by one camera on one visit.

A visit is either one pass of several frames, a tracklet, or several passes of one frame each, independent
pictures. Two sensors at one place may see the same visit.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.cameras import (
    Mount,
    Shot,
    mount_camera,
    sample_shot,
    see_aligned,
    see_beside,
)
from tapetum.data.synthetic.cast import Cast, Split
from tapetum.data.synthetic.render import render_shots
from tapetum.types import Modality

Partner = Literal["none", "aligned", "beside"]

_LOOK_KEY, _SHOT_KEY, _SENSOR_KEY = 9, 10, 11


@dataclass(frozen=True, slots=True)
class Take:
    """Pictures of one person by one camera, before they are drawn.

    Args:
        split: part of the cast.
        index: place of the person within the part, from 0.
        mount: the camera.
        shots: passes.
        frames: of each pass.
        visit: tells several takes of a person by one camera apart.
        partner: whether the camera's other sensor sees the same visit: "none"; "aligned", through the same
            lens, pixel on pixel; "beside", from a step aside.
    """

    split: Split
    index: int
    mount: Mount
    shots: int = 1
    frames: int = 1
    visit: int = 0
    partner: Partner = "none"


def draw_take(cast: Cast, take: Take) -> NDArray[np.uint8]:
    """Frames of a take, `[shots x frames, H, W, 3]`, pass after pass."""
    person = cast.dressed(take.split, take.index, _LOOK_KEY, *_visit(take))
    return render_shots(person, sample_take(cast, take), cast.options.frame_size)


def sample_take(cast: Cast, take: Take) -> list[Shot]:
    """The passes of a take as its camera sees them."""
    camera = mount_camera(take.mount, cast.seed, cast.options)
    shots = []
    for number in range(take.shots):
        rng = cast.rng(take.split, take.index, _SHOT_KEY, *_visit(take), number)
        shot = sample_shot(rng, camera, take.frames, cast.options)
        own = cast.rng(take.split, take.index, _SENSOR_KEY, *_visit(take), _sensor(take), number)
        if take.partner == "aligned":
            shot = see_aligned(shot, own, cast.options)
        elif take.partner == "beside" and take.mount.modality is Modality.INFRARED:
            shot = see_beside(shot, own, cast.options)
        shots.append(shot)
    return shots


def _visit(take: Take) -> tuple[int, int, int]:
    """Key of a visit; both sensors of a camera have the same where they see it together."""
    return take.mount.camera_id, take.visit, _sensor(take) if take.partner == "none" else 0


def _sensor(take: Take) -> int:
    return 2 if take.mount.modality is Modality.INFRARED else 1
