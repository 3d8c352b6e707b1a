"""What a corruption is: for one tracklet and one severity, a filter of its frames.

What lasts (a lens out of focus, the density of fog, where an occluder stands) is drawn once for a tracklet;
what changes from picture to picture (noise, drops of rain) is drawn for each frame from its place in the
tracklet. So a frame looks the same in whichever clip it is shown, and a corrupted data set is one fixed set
of pictures. Lengths are given for frames of 288 rows and scale with the height.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.types import Modality

Frame = NDArray[np.float32]
"""`[3, H, W]`, values 0..255."""
Clip = NDArray[np.uint8]
"""`[T, 3, H, W]`."""

SEVERITIES = (1, 2, 3, 4, 5)
UNTOUCHED = 0
REFERENCE_HEIGHT = 288
"""Rows of the frames that lengths are stated for."""

_PERIODS = (60.0, 120.0)
"""Frames that a slow movement takes to and fro."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a corruption sees of a tracklet beforehand.

    Attributes:
        height: H in pixels.
        width: W in pixels.
        modality: How the camera saw.
        generator: Of the draws that hold for the whole tracklet; used while the filter is made, not after.
    """

    height: int
    width: int
    modality: Modality
    generator: np.random.Generator

    @property
    def unit(self) -> float:
        """Pixels of this frame for a pixel of a frame of 288 rows."""
        return self.height / REFERENCE_HEIGHT

    @property
    def sensor_shape(self) -> tuple[int, int, int]:
        """Shape of what a sensor adds: `[3, H, W]`, or in infrared, which has no colours, `[1, H, W]`."""
        return (1 if self.modality is Modality.INFRARED else 3, self.height, self.width)

    def drift(self, reach: float) -> Callable[[int], float]:
        """A slow movement to and fro by `reach` at most: a function of the frame's place in the tracklet."""
        period, phase = self.generator.uniform(*_PERIODS), self.generator.uniform(0, 2 * math.pi)
        return lambda time: reach * math.sin(2 * math.pi * time / period + phase)


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of a tracklet.

    Attributes:
        time: Its place in the tracklet, from 0.
        generator: Of the draws that hold for this frame alone.
    """

    time: int
    generator: np.random.Generator


Filter = Callable[[Frame, Moment], NDArray[np.generic]]
"""From a frame, which is not changed, to one of the same shape, which is rounded and clipped afterwards."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way in which pictures go wrong, in five severities.

    Attributes:
        name: As users write it.
        family: What it belongs to, such as "noise".
        about: What happens, in one sentence.
        strength: What `levels` measure.
        levels: One number for each severity, from the mildest to the worst.
        prepare: From a scene and a level to the filter of the tracklet's frames.
        modalities: What it can happen to; frames of another modality are left alone.
    """

    name: str
    family: str
    about: str
    strength: str
    levels: tuple[float, float, float, float, float]
    prepare: Callable[[Scene, float], Filter]
    modalities: frozenset[Modality] = frozenset(Modality)

    def applies_to(self, modality: Modality) -> bool:
        """Whether frames of this modality are changed."""
        return modality in self.modalities


def corrupt(
    clip: Clip,
    corruption: Corruption,
    severity: int,
    generator: np.random.Generator,
    *,
    modality: Modality,
    positions: Sequence[int] | NDArray[np.int64] | None = None,
) -> Clip:
    """The clip `[T, 3, H, W]`, corrupted: a new uint8 array, a pure function of the arguments.

    Args:
        clip: uint8 `[T, 3, H, W]`; not changed.
        corruption: What happens.
        severity: 1 to 5; 0 leaves every value as it is.
        generator: Where all draws come from. Two numbers are taken from it, whatever happens.
        modality: How the camera saw. A corruption that does not apply to it changes nothing.
        positions: Place of each frame in its tracklet; equal places get equal draws. None: 0 to T - 1.

    Raises:
        ValueError: A severity outside 0..5, a clip of another type or shape, or positions of another number.
    """
    _check(clip, severity, positions)
    scene_seed, frame_seed = (int(drawn) for drawn in generator.integers(0, 2**63, 2))
    result = clip.copy()
    if severity == UNTOUCHED or not corruption.applies_to(modality):
        return result
    height, width = clip.shape[-2:]
    scene = Scene(height, width, modality, np.random.default_rng(scene_seed))
    through = corruption.prepare(scene, corruption.levels[severity - 1])
    done: dict[int, int] = {}
    for place, time in enumerate(range(len(clip)) if positions is None else map(int, positions)):
        if time in done:
            result[place] = result[done[time]]
            continue
        moment = Moment(time, np.random.default_rng([frame_seed, time]))
        result[place] = to_levels(through(clip[place].astype(np.float32), moment))
        done[time] = place
    return result


def to_levels(frame: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A frame as uint8: rounded, and clipped to 0..255."""
    if frame.dtype == np.uint8:
        return frame.astype(np.uint8, copy=False)
    rounded = np.rint(frame.astype(np.float32, copy=False))
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)


def check_severity(severity: int) -> None:
    """Nothing, or an error for a severity that is none.

    Raises:
        ValueError: Outside 0..5.
    """
    if severity not in (UNTOUCHED, *SEVERITIES):
        raise ValueError(
            f"severity {severity}; expected {SEVERITIES[0]} to {SEVERITIES[-1]}, or 0: untouched"
        )


def _check(clip: Clip, severity: int, positions: Sequence[int] | NDArray[np.int64] | None) -> None:
    check_severity(severity)
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[1] != 3:
        raise ValueError(f"a clip must be uint8 [T, 3, H, W], found {clip.dtype} {list(clip.shape)}")
    if positions is not None and len(positions) != len(clip):
        raise ValueError(f"{len(positions)} positions do not fit {len(clip)} frames")
