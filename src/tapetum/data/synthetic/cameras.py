"""Cameras and shots: where a person is seen from, and what the sensor does to the picture.

Odd cameras are visible, even ones infrared. A camera is fixed for a data set; a shot is one pass of a person
through its view and becomes one tracklet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.gait import RHYTHMS
from tapetum.data.synthetic.options import FRAME_INTERVAL_S, WalkerOptions
from tapetum.types import Modality

CAMERA_IDS = tuple(range(1, 13))

#: Spawn key of camera seeds, apart from those of people.
_CAMERA_KEY = 3


@dataclass(frozen=True, slots=True)
class Camera:
    """A fixed camera.

    Args:
        camera_id: 1..12.
        modality: visible for odd, infrared for even cameras.
        yaw_rad: middle of the walking directions; 0 is towards the camera, positive to its right.
        yaw_spread_rad: directions lie within this distance of the middle.
        elevation_rad: how far the camera looks down.
        scale: size of people in the crop, 1 is average.
        exposure: brightness, 1 is average.
        tint: gains of red, green and blue; equal for infrared.
        blur: weight of each neighbour in the three-tap blur, 0..85 of 256.
        noise: standard deviation of the sensor noise, grey levels.
        falloff: loss of light from the centre of the lamp to a frame corner, 0..1.
        lamp: centre of the light, fractions of the frame's height and width.
    """

    camera_id: int
    modality: Modality
    yaw_rad: float
    yaw_spread_rad: float
    elevation_rad: float
    scale: float
    exposure: float
    tint: tuple[float, float, float]
    blur: int
    noise: float
    falloff: float
    lamp: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Shot:
    """One pass through a camera's view; arrays have one entry per frame.

    Args:
        camera: the camera.
        times_s: moments of the frames, seconds, `[N]`.
        yaw_rad: walking direction, `[N]`.
        start_phases: of the rhythms of the gait at time 0, cycles, `[6]`.
        scale: size of the person in the crop, 1 is average, `[N]`.
        shift: of the person in the crop, right and down, fractions of the frame height, `[N, 2]`.
        drift: motion of the background, fractions of the frame height per frame.
        exposure: factor on the camera's.
        clutter: amount of background structure, 0..1.
        occluder: part of the frame hidden by a foreground object, 0 for none.
        pixel_seed: of background and noise.
    """

    camera: Camera
    times_s: NDArray[np.float64]
    yaw_rad: NDArray[np.float64]
    start_phases: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    drift: float
    exposure: float
    clutter: float
    occluder: float
    pixel_seed: int


def camera_modality(camera_id: int) -> Modality:
    """Visible for odd, infrared for even camera numbers."""
    return Modality.VISIBLE if camera_id % 2 else Modality.INFRARED


def create_camera(camera_id: int, seed: int, options: WalkerOptions) -> Camera:
    """Camera of a data set.

    Args:
        camera_id: one of `CAMERA_IDS`.
        seed: of the data set.
        options: how hard the cameras are.

    Raises:
        ValueError: if there is no such camera.
    """
    if camera_id not in CAMERA_IDS:
        raise ValueError(f"camera_id is {camera_id}; expected {CAMERA_IDS[0]} to {CAMERA_IDS[-1]}")
    rng = np.random.Generator(
        np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(_CAMERA_KEY, camera_id)))
    )
    level, modality = options.nuisance, camera_modality(camera_id)
    infrared = modality is Modality.INFRARED
    tint = rng.uniform(-0.16, 0.16, size=3) * level * (0.0 if infrared else 1.0) + 1.0
    return Camera(
        camera_id=camera_id,
        modality=modality,
        yaw_rad=float(rng.uniform(-np.pi, np.pi)),
        yaw_spread_rad=float(np.radians(50.0 + 110.0 * level)),
        elevation_rad=float(np.radians(rng.uniform(2.0, 8.0 + 20.0 * level))),
        scale=float(1.0 + rng.uniform(-0.06, 0.06) * level),
        exposure=float(1.0 + rng.uniform(-0.3, 0.3) * level + (0.08 if infrared else 0.0)),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        blur=int(rng.integers(0, 20 + round(60 * level))),
        noise=float(rng.uniform(1.0, 2.0 + 6.0 * level) * (1.6 if infrared else 1.0)),
        falloff=float(rng.uniform(0.3, 0.75) * (0.5 + level) if infrared else rng.uniform(0.0, 0.2)),
        lamp=(float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.3, 0.7))),
    )


def sample_shot(rng: np.random.Generator, camera: Camera, frames: int, options: WalkerOptions) -> Shot:
    """Draw one pass of `frames` frames through a camera's view."""
    level = options.nuisance
    if options.cues == "gait":
        yaw = _oblique_yaw(rng)
    else:
        yaw = camera.yaw_rad + rng.uniform(-1.0, 1.0) * camera.yaw_spread_rad
    turn = rng.uniform(-0.3, 0.3) * level
    progress = np.arange(frames) / frames - 0.5
    wobble = rng.uniform(-1.0, 1.0, size=(frames, 3)) * 0.02 * level
    offset = rng.uniform(-1.0, 1.0, size=2) * np.array([0.06, 0.05]) * level
    return Shot(
        camera=camera,
        times_s=np.arange(frames).astype(np.float64) * FRAME_INTERVAL_S,
        yaw_rad=yaw + turn * progress,
        start_phases=rng.uniform(0.0, 1.0, size=len(RHYTHMS)),
        scale=camera.scale * (1.0 + rng.uniform(-0.1, 0.1) * level) * (1.0 + wobble[:, 2]),
        shift=offset[None, :] + wobble[:, :2],
        drift=float(rng.uniform(-0.06, 0.06) * level),
        exposure=float(1.0 + rng.uniform(-0.3, 0.3) * level),
        clutter=float(min(1.0, rng.uniform(0.4, 1.6) * level)),
        occluder=float(rng.uniform(0.12, 0.45)) if rng.uniform() < 0.5 * level else 0.0,
        pixel_seed=int(rng.integers(0, 2**62)),
    )


def _oblique_yaw(rng: np.random.Generator) -> float:
    """Between front and side, to the left or to the right: every rhythm shows."""
    side = 1.0 if rng.integers(0, 2) else -1.0
    return float(side * np.radians(rng.uniform(30.0, 60.0)))
