"""Blur: what the lens does is the same in all frames of a tracklet; the direction of motion turns slowly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tapetum.data.corruptions._base import Corruption, Filter, Frame, Moment, Scene
from tapetum.data.corruptions._planes import blurred, disk_kernel, gaussian_kernel, line_kernel, resampled

_TURN = math.radians(20)
"""How far the direction of motion turns to either side."""
_DOUBLINGS = 4
"""A zoom is averaged over 2^4 steps."""


def gaussian_blur(scene: Scene, deviation: float) -> Filter:
    """Convolves with a bell of `deviation` pixels."""
    kernel = gaussian_kernel(deviation * scene.unit)
    return lambda frame, _: blurred(frame, kernel)


def defocus_blur(scene: Scene, radius: float) -> Filter:
    """Convolves with a disk of `radius` pixels, the picture of a point by an open lens out of focus."""
    kernel = disk_kernel(radius * scene.unit)
    return lambda frame, _: blurred(frame, kernel)


def motion_blur(scene: Scene, length: float) -> Filter:
    """Convolves with a line of `length` pixels in a drawn direction, which turns by 20 degrees at most."""
    angle, turn = scene.generator.uniform(0, math.pi), scene.drift(_TURN)

    def through(frame: Frame, moment: Moment) -> Frame:
        return blurred(frame, line_kernel(length * scene.unit, angle + turn(moment.time)))

    return through


def zoom_blur(scene: Scene, zoom: float) -> Filter:
    """Averages over 16 zooms into the middle, from 1 to `zoom`, each larger than the last by one factor.

    The mean over the powers 0..15 of a zoom Z is that of (1 + Z^8)(1 + Z^4)(1 + Z^2)(1 + Z) / 16, so four
    resamplings do.
    """
    step = zoom ** (1 / (2**_DOUBLINGS - 1))
    places = [
        (_zoomed(scene.height, step**power), _zoomed(scene.width, step**power))
        for power in (2**doubling for doubling in range(_DOUBLINGS))
    ]

    def through(frame: Frame, moment: Moment) -> Frame:
        for rows, columns in places:
            frame = (frame + resampled(frame, rows, columns)) * np.float32(0.5)
        return frame

    return through


def _zoomed(size: int, factor: float) -> NDArray[np.float64]:
    """Where the pixels of a line of `size` come from when it is enlarged by `factor` about its middle."""
    middle = (size - 1) / 2
    return middle + (np.arange(size, dtype=np.float64) - middle) / factor


CORRUPTIONS = (
    Corruption(
        "gaussian-blur",
        "blur",
        "A soft blur, the same in all frames.",
        "standard deviation, pixels",
        (1.2, 2, 3, 4.2, 6),
        gaussian_blur,
    ),
    Corruption(
        "defocus-blur",
        "blur",
        "The lens is out of focus, by the same amount in all frames.",
        "radius of the disk, pixels",
        (2, 3.5, 5, 7, 9.5),
        defocus_blur,
    ),
    Corruption(
        "motion-blur",
        "blur",
        "Camera or person move in one direction, which turns slowly.",
        "length of the line, pixels",
        (6, 11, 17, 24, 33),
        motion_blur,
    ),
    Corruption(
        "zoom-blur",
        "blur",
        "The camera comes nearer during the exposure.",
        "zoom at its end",
        (1.06, 1.11, 1.17, 1.24, 1.33),
        zoom_blur,
    ),
)
