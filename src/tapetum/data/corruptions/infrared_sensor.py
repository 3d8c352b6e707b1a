"""What cameras with a lamp of their own do at night; only infrared frames."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tapetum.data.corruptions._base import Corruption, Filter, Frame, Moment, Scene
from tapetum.types import Modality

_INFRARED = frozenset({Modality.INFRARED})
_PIXEL_SHARE = 0.5
"""Deviation of single pixels from their column's offset, as a share of the columns' deviation."""
_LAMP_MIDDLE = ((0.3, 0.6), (0.3, 0.7))
"""Where the lamp points: share of the height, then of the width."""
_SPOT_SIZE = (0.10, 0.18)
"""Standard deviation of a hot spot, as a share of the height."""
_SPOT_PLACE = ((0.15, 0.75), (0.2, 0.8))
_SPOT_SWAY = 0.05
_READ_SHARE = 0.35
"""Deviation of the reading noise, as a share of the photons' noise at white."""
_ROW_SHARE = 0.2
"""Deviation of whole rows, as the same share."""


def fixed_pattern_noise(scene: Scene, deviation: float) -> Filter:
    """Adds one offset to each column and one to each pixel, the same in all frames of the tracklet."""
    columns = scene.generator.standard_normal((1, scene.width), dtype=np.float32)
    pixels = scene.generator.standard_normal((scene.height, scene.width), dtype=np.float32)
    pattern = np.float32(deviation) * (columns + np.float32(_PIXEL_SHARE) * pixels)
    return lambda frame, _: np.add(frame, pattern)


def lamp_vignette(scene: Scene, falloff: float) -> Filter:
    """Divides by 1 + `falloff` d^2, d the distance from where the lamp points, in half heights."""
    row, column = _draw_place(scene, _LAMP_MIDDLE)
    distance = _distance(scene, row, column) / (scene.height / 2)
    gain = 1 / (1 + np.float32(falloff) * distance**2)
    return lambda frame, _: np.multiply(frame, gain)


def lamp_hot_spot(scene: Scene, brightness: float) -> Filter:
    """Adds a bright spot of the lamp's light, `brightness` grey levels in its middle; it moves slowly."""
    row, column = _draw_place(scene, _SPOT_PLACE)
    size = scene.generator.uniform(*_SPOT_SIZE) * scene.height
    down, across = scene.drift(_SPOT_SWAY * scene.height), scene.drift(_SPOT_SWAY * scene.height)

    def through(frame: Frame, moment: Moment) -> Frame:
        distance = _distance(scene, row + down(moment.time), column + across(moment.time))
        spot: Frame = np.float32(brightness) * np.exp(-0.5 * (distance / np.float32(size)) ** 2)
        return frame + spot

    return through


def gain_noise(scene: Scene, photons: float) -> Filter:
    """Amplifies few photons: noise of counting and of reading, and of whole rows, new in each frame.

    A white pixel gets `photons` of them; counts are taken as normal, with the variance of a Poisson count.
    """
    white = 255 / math.sqrt(photons)  # the deviation at white
    reading = np.float32((_READ_SHARE * white) ** 2)

    def through(frame: Frame, moment: Moment) -> Frame:
        light = frame.mean(axis=0, keepdims=True)
        deviation: Frame = np.sqrt(light * np.float32(white**2 / 255) + reading)
        pixels = moment.generator.standard_normal(light.shape, dtype=np.float32)
        rows = moment.generator.standard_normal((scene.height, 1), dtype=np.float32)
        result: Frame = frame + deviation * pixels + np.float32(_ROW_SHARE * white) * rows
        return result

    return through


def _draw_place(scene: Scene, ranges: tuple[tuple[float, float], tuple[float, float]]) -> tuple[float, float]:
    """A row and a column, drawn from these shares of height and width."""
    row, column = (float(scene.generator.uniform(low, high)) for low, high in ranges)
    return row * scene.height, column * scene.width


def _distance(scene: Scene, row: float, column: float) -> NDArray[np.float32]:
    """`[H, W]`: pixels from each pixel's middle to a place."""
    down = np.arange(scene.height, dtype=np.float32) + np.float32(0.5 - row)
    across = np.arange(scene.width, dtype=np.float32) + np.float32(0.5 - column)
    found: NDArray[np.float32] = np.hypot(down[:, None], across[None])
    return found


CORRUPTIONS = (
    Corruption(
        "fixed-pattern-noise",
        "infrared sensor",
        "Each column and each pixel has an offset of its own, the same in all frames.",
        "standard deviation of columns, grey levels",
        (5, 10, 17, 27, 40),
        fixed_pattern_noise,
        _INFRARED,
    ),
    Corruption(
        "lamp-vignette",
        "infrared sensor",
        "The lamp lights the middle of the frame and leaves its edges dark.",
        "falloff at half the height",
        (0.5, 1.1, 2.2, 4.5, 9),
        lamp_vignette,
        _INFRARED,
    ),
    Corruption(
        "lamp-hot-spot",
        "infrared sensor",
        "The lamp over-exposes one place, which moves slowly.",
        "grey levels added in the middle",
        (60, 110, 180, 300, 520),
        lamp_hot_spot,
        _INFRARED,
    ),
    Corruption(
        "gain-noise",
        "infrared sensor",
        "Little light, amplified: noise that grows with brightness, noise of reading, uneven rows.",
        "photons of a white pixel",
        (120, 55, 25, 11, 5),
        gain_noise,
        _INFRARED,
    ),
)
