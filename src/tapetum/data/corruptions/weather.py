"""Weather: density and wind are a tracklet's, drops and flakes a frame's."""

from __future__ import annotations

import math

import numpy as np

from tapetum.data.corruptions._base import Corruption, Filter, Frame, Moment, Scene
from tapetum.data.corruptions._planes import (
    Kernel,
    Planes,
    SmoothField,
    blurred,
    gaussian_kernel,
    line_kernel,
)

_VEIL = np.float32(205)
"""Grey level of fog, which scatters light of sky or lamp."""
_THINNEST = 0.6
"""Density of the thinnest fog of a frame, as a share of the thickest."""
_FOG_SPEED = 0.002
"""Widths of the frame that fog drifts from one frame to the next."""
_WIND = math.radians(25)
"""How far rain and snow lean to either side."""

_DROP = np.float32(210)
_STREAK = 26.0
"""Length of a falling drop, pixels."""
_STREAK_WIDTH = 1.4
_RAIN_OPACITY = np.float32(0.75)
_RAIN_HAZE = 0.35
"""Fog that comes with rain, as a share of the rain's own strength."""

_FLAKE = np.float32(248)
_FLAKES = ((0.8, 2.6), (0.2, 6.5))
"""Share of the cover and diameter in pixels: many far away, a few near."""
_FALL = 1.6
"""Length of a falling flake's trace, in diameters."""
_SNOW_OPACITY = np.float32(0.95)
_SNOW_HAZE = 0.45


def fog(scene: Scene, density: float) -> Filter:
    """Mixes in a grey veil, thickest `density`, which is uneven and drifts slowly."""
    field = SmoothField(scene.height, scene.width, scene.generator)
    start = scene.generator.random()

    def through(frame: Frame, moment: Moment) -> Frame:
        clouds = field.at(start + _FOG_SPEED * moment.time)
        veil = np.float32(density) * (_THINNEST + (1 - _THINNEST) * clouds)
        return _mixed(frame, _VEIL, veil)

    return through


def rain(scene: Scene, share: float) -> Filter:
    """Streaks of one direction that would cover `share` of the frame if none overlapped, and a thin haze."""
    angle = math.pi / 2 + scene.generator.uniform(-_WIND, _WIND)
    length, across = _STREAK * scene.unit, max(1.0, _STREAK_WIDTH * scene.unit)
    streak = line_kernel(length, angle)

    def through(frame: Frame, moment: Moment) -> Frame:
        cover = _strewn(scene, moment, share, streak, length * across)
        hazy = _mixed(frame, _VEIL, np.float32(_RAIN_HAZE * share))
        return _mixed(hazy, _DROP, _RAIN_OPACITY * np.minimum(cover, 1))

    return through


def snow(scene: Scene, share: float) -> Filter:
    """Flakes of two sizes that would cover `share` of the frame if none overlapped, and a thin haze."""
    angle = math.pi / 2 + scene.generator.uniform(-_WIND, _WIND)
    layers = []
    for part, diameter in _FLAKES:
        size = max(1.0, diameter * scene.unit)
        fall = line_kernel(_FALL * size, angle)
        layers.append((part * share, 2 * size * size, blurred_kernel(fall, size / 2.4)))

    def through(frame: Frame, moment: Moment) -> Frame:
        result = _mixed(frame, _VEIL, np.float32(_SNOW_HAZE * share))
        for part, area, flake in layers:
            cover = _strewn(scene, moment, part, flake, area)
            result = _mixed(result, _FLAKE, np.minimum(cover, _SNOW_OPACITY))
        return result

    return through


def blurred_kernel(kernel: Kernel, deviation: float) -> Kernel:
    """A kernel blurred by a bell of `deviation` pixels, larger by what that needs."""
    bell = gaussian_kernel(deviation)
    around = bell.shape[0] // 2
    return blurred(np.pad(kernel, around), bell)


def _strewn(scene: Scene, moment: Moment, share: float, kernel: Kernel, area: float) -> Planes:
    """`[H, W]`: what things that each cover `area` pixels, in the form of the kernel, cover in all.

    They are strewn at random, as many as make the mean `share`; where they overlap, values exceed 1.
    """
    points = moment.generator.random((scene.height, scene.width), dtype=np.float32) < share / area
    cover: Planes = np.maximum(np.float32(area) * blurred(points.astype(np.float32), kernel), 0)
    return cover


def _mixed(frame: Frame, level: np.float32, share: Planes | np.float32) -> Frame:
    """The frame with `share` of each value replaced by `level`."""
    return frame + (level - frame) * share


CORRUPTIONS = (
    Corruption(
        "fog",
        "weather",
        "A grey veil, uneven, of one density for the tracklet; it drifts slowly.",
        "share of light from the veil, at most",
        (0.3, 0.45, 0.58, 0.7, 0.82),
        fog,
    ),
    Corruption(
        "rain",
        "weather",
        "Bright streaks of one direction, new ones in each frame, and a thin haze.",
        "share of the frame under streaks",
        (0.08, 0.16, 0.28, 0.44, 0.65),
        rain,
    ),
    Corruption(
        "snow",
        "weather",
        "Flakes of two sizes, new ones in each frame, and a thin haze.",
        "share of the frame under flakes",
        (0.05, 0.11, 0.19, 0.29, 0.42),
        snow,
    ),
)
