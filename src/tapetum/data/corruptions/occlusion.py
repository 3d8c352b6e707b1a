"""Something stands before the person: at one place in a tracklet, moving slowly as the person does."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tapetum.data.corruptions._base import Corruption, Filter, Frame, Moment, Scene
from tapetum.types import Modality

_ASPECT = (0.5, 2.0)
"""Height / width of a box, drawn on a logarithmic scale."""
_SWAY = 0.08
"""How far a box moves to either side, as a share of the frame's side."""
_PERIODS = (0.12, 0.24)
"""From one stripe to the next, as a share of the frame's height."""
_LEAN = math.radians(12)
"""How far stripes lean from the vertical."""


def box_occlusion(scene: Scene, share: float) -> Filter:
    """Covers a box of `share` of the frame's area, in one colour; place, shape and colour are drawn."""
    height, width = _box_sides(scene, share)
    colour = _colour(scene)
    room = np.array([scene.height - height, scene.width - width])
    place = scene.generator.random(2) * room
    sways = [scene.drift(_SWAY * side) for side in (scene.height, scene.width)]

    def through(frame: Frame, moment: Moment) -> Frame:
        moved = place + [sway(moment.time) for sway in sways]
        top, left = np.rint(np.clip(moved, 0, room)).astype(int)
        result = frame.copy()
        result[:, top : top + height, left : left + width] = colour
        return result

    return through


def stripe_occlusion(scene: Scene, share: float) -> Filter:
    """Covers `share` of the frame by stripes, such as bars of a fence; period, lean and colour are drawn."""
    period = scene.generator.uniform(*_PERIODS) * scene.height
    lean = math.tan(scene.generator.uniform(-_LEAN, _LEAN))
    phase, sway = scene.generator.random(), scene.drift(0.5)
    colour = _colour(scene)
    rows, columns = np.mgrid[: scene.height, : scene.width]
    across = (columns + lean * rows) / period

    def through(frame: Frame, moment: Moment) -> Frame:
        covered = (across + phase + sway(moment.time)) % 1 < share
        return np.where(covered, colour, frame)

    return through


def _box_sides(scene: Scene, share: float) -> tuple[int, int]:
    """Height and width of a box of this share of the area, of drawn shape, inside the frame."""
    aspect = math.exp(scene.generator.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
    area = share * scene.height * scene.width
    height = min(math.sqrt(area * aspect), scene.height)
    width = min(area / height, scene.width)
    return max(1, round(area / width)), max(1, round(width))


def _colour(scene: Scene) -> NDArray[np.float32]:
    """`[3, 1, 1]`: any colour, a grey in infrared."""
    drawn = scene.generator.uniform(0, 255, 3).astype(np.float32)
    if scene.modality is Modality.INFRARED:
        drawn[:] = drawn[0]
    return drawn[:, None, None]


CORRUPTIONS = (
    Corruption(
        "box-occlusion",
        "occlusion",
        "A box of one colour stands before the person and moves slowly.",
        "share of the frame",
        (0.06, 0.12, 0.2, 0.3, 0.42),
        box_occlusion,
    ),
    Corruption(
        "stripe-occlusion",
        "occlusion",
        "Upright bars, such as those of a fence, which move slowly.",
        "share of the frame",
        (0.1, 0.18, 0.28, 0.4, 0.54),
        stripe_occlusion,
    ),
)
