"""Light and tone: tables from grey level to grey level, and what happens to contrast and colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapetum.data.corruptions._base import Corruption, Filter, Frame, Moment, Scene, to_levels
from tapetum.types import Modality

LUMINANCE = np.array((0.2989, 0.5870, 0.1140), dtype=np.float32)
"""Shares of R, G and B in the brightness of a colour (ITU-R BT.601)."""


def over_exposure(scene: Scene, stops: float) -> Filter:
    """Collects 2 to the power of `stops` times the light; what exceeds white is white."""
    return _by_table(_exposed(2**stops))


def under_exposure(scene: Scene, stops: float) -> Filter:
    """Collects the light divided by 2 to the power of `stops`."""
    return _by_table(_exposed(2**-stops))


def gamma(scene: Scene, exponent: float) -> Filter:
    """Another tone curve: values 0..1 to the power of `exponent` or its inverse, drawn for the tracklet."""
    power = exponent if scene.generator.random() < 0.5 else 1 / exponent
    return _by_table(255 * (np.arange(256) / 255) ** power)


def contrast(scene: Scene, kept: float) -> Filter:
    """Keeps a share of each value's distance from the frame's mean."""

    def through(frame: Frame, moment: Moment) -> Frame:
        mean = frame.mean(dtype=np.float64)
        return frame * np.float32(kept) + np.float32((1 - kept) * mean)

    return through


def saturation(scene: Scene, kept: float) -> Filter:
    """Keeps a share of each colour's distance from the grey of the same brightness."""

    def through(frame: Frame, moment: Moment) -> Frame:
        grey = np.tensordot(LUMINANCE, frame, axes=1)
        return frame * np.float32(kept) + np.float32(1 - kept) * grey

    return through


def _by_table(values: NDArray[np.float64]) -> Filter:
    table = to_levels(values)
    return lambda frame, _: table[frame.astype(np.uint8)]


def _exposed(factor: float) -> NDArray[np.float64]:
    """Grey levels `[256]` of `factor` times the light of each grey level (sRGB, IEC 61966-2-1)."""
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = np.minimum(light * factor, 1)
    found: NDArray[np.float64] = 255 * np.where(
        light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055
    )
    return found


CORRUPTIONS = (
    Corruption(
        "over-exposure",
        "light",
        "Too much light: bright places run into white.",
        "stops, doublings of the light",
        (0.5, 1, 1.5, 2.1, 2.8),
        over_exposure,
    ),
    Corruption(
        "under-exposure",
        "light",
        "Too little light, rounded to whole grey levels.",
        "stops, halvings of the light",
        (0.8, 1.6, 2.5, 3.5, 4.7),
        under_exposure,
    ),
    Corruption(
        "contrast",
        "light",
        "Values move towards the frame's mean.",
        "share of contrast kept",
        (0.7, 0.5, 0.35, 0.22, 0.12),
        contrast,
    ),
    Corruption(
        "gamma",
        "light",
        "Another tone curve: mid tones darker or lighter, drawn for each tracklet.",
        "exponent, or its inverse",
        (1.3, 1.6, 2, 2.6, 3.4),
        gamma,
    ),
    Corruption(
        "saturation",
        "light",
        "Colours fade.",
        "share of colour kept",
        (0.65, 0.4, 0.22, 0.1, 0),
        saturation,
        frozenset({Modality.VISIBLE}),
    ),
)
