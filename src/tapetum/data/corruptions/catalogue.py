"""All corruptions by name, in the order in which they are reported."""

from __future__ import annotations

from tapetum.data.corruptions import (
    blur,
    compression,
    exposure,
    infrared_sensor,
    noise,
    occlusion,
    weather,
)
from tapetum.data.corruptions._base import Corruption
from tapetum.registry import unknown

CORRUPTIONS: tuple[Corruption, ...] = (
    *noise.CORRUPTIONS,
    *blur.CORRUPTIONS,
    *exposure.CORRUPTIONS,
    *compression.CORRUPTIONS,
    *weather.CORRUPTIONS,
    *occlusion.CORRUPTIONS,
    *infrared_sensor.CORRUPTIONS,
)


def corruption_names() -> list[str]:
    """Names of all corruptions."""
    return [corruption.name for corruption in CORRUPTIONS]


def find_corruption(name: str) -> Corruption:
    """The corruption of this name.

    Raises:
        ValueError: There is none; the message lists the close ones.
    """
    for corruption in CORRUPTIONS:
        if corruption.name == name:
            return corruption
    raise ValueError(unknown("corruption", name, corruption_names()))
