"""Cameras and shots: where a person is seen from, and what the sensor does to the picture.

A camera is fixed for a data set; a shot is one pass of a person through its view and becomes one tracklet. In
HITSZ-VCM every camera has a place of its own, odd ones are visible and even ones infrared (`create_camera`);
elsewhere several sensors may share a place (`Mount`, `mount_camera`), and two of them may see the same pass
(`see_aligned`, `see_beside`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.gait import RHYTHMS
from tapetum.data.synthetic.options import FRAME_INTERVAL_S, WalkerOptions
from tapetum.types import Modality

CAMERA_IDS = tuple(range(1, 13))

#: Spawn keys of the seeds of cameras and places, apart from those of people.
_CAMERA_KEY, _PLACE_KEY = 3, 13

#: Where walking directions are fixed for a place, they spread by this share of the usual.
_FIXED_SPREAD = 0.25

#: Largest difference of viewing direction between two cameras side by side.
_PARALLAX_RAD = 0.06


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a camera hangs and what it sees with.

    Args:
        camera_id: number of the camera; two sensors of a camera share it.
        modality: of the sensor.
        place: number of the place; all that hangs there looks from the same side.
        yaw_rad: middle of the walking directions where the data set fixes it, 0 towards the camera; None
            draws one for the place.
    """

    camera_id: int
    modality: Modality
    place: int
    yaw_rad: float | None = None


@dataclass(frozen=True, slots=True)
class Camera:
    """A fixed camera.

    Args:
        camera_id: number in the data set.
        modality: of its sensor.
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
        start_phases: of the rhythms of the gait at time 0, cycles, `[6]`; `[6, N]` where shots are joined.
        scale: size of the person in the crop, 1 is average, `[N]`.
        shift: of the person in the crop, right and down, fractions of the frame height, `[N, 2]`.
        drift: motion of the background, fractions of the frame height per frame.
        exposure: factor on the camera's.
        clutter: amount of background structure, 0..1.
        occluder: part of the frame hidden by a foreground object, 0 for none.
        pixel_seed: of background and noise.
        layout_seed: of the background's outlines where another sensor sees the same; None: of `pixel_seed`.
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
    layout_seed: int | None = None


def camera_modality(camera_id: int) -> Modality:
    """Visible for odd, infrared for even camera numbers."""
    return Modality.VISIBLE if camera_id % 2 else Modality.INFRARED


def create_camera(camera_id: int, seed: int, options: WalkerOptions) -> Camera:
    """Camera of a data set in the layout of HITSZ-VCM.

    Args:
        camera_id: one of `CAMERA_IDS`.
        seed: of the data set.
        options: how hard the cameras are.

    Raises:
        ValueError: if there is no such camera.
    """
    if camera_id not in CAMERA_IDS:
        raise ValueError(f"camera_id is {camera_id}; expected {CAMERA_IDS[0]} to {CAMERA_IDS[-1]}")
    rng = _rng(seed, _CAMERA_KEY, camera_id)
    return _draw_camera(camera_id, camera_modality(camera_id), options.nuisance, rng, rng)


def mount_camera(mount: Mount, seed: int, options: WalkerOptions) -> Camera:
    """Camera of a data set in which a place may have several: those of one place share their geometry.

    Args:
        mount: where it hangs and what it sees with.
        seed: of the data set.
        options: how hard the cameras are.
    """
    sensor = _rng(seed, _CAMERA_KEY, mount.camera_id, 1 + (mount.modality is Modality.INFRARED))
    place = _rng(seed, _PLACE_KEY, mount.place)
    camera = _draw_camera(mount.camera_id, mount.modality, options.nuisance, place, sensor)
    if mount.yaw_rad is None:
        return camera
    return replace(camera, yaw_rad=mount.yaw_rad, yaw_spread_rad=_FIXED_SPREAD * camera.yaw_spread_rad)


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _draw_camera(
    camera_id: int,
    modality: Modality,
    level: float,
    place: np.random.Generator,
    sensor: np.random.Generator,
) -> Camera:
    """A camera whose geometry is drawn from `place` and the rest from `sensor`, which may be the same."""
    infrared = modality is Modality.INFRARED
    tint = sensor.uniform(-0.16, 0.16, size=3) * level * (0.0 if infrared else 1.0) + 1.0
    return Camera(
        camera_id=camera_id,
        modality=modality,
        yaw_rad=float(place.uniform(-np.pi, np.pi)),
        yaw_spread_rad=float(np.radians(50.0 + 110.0 * level)),
        elevation_rad=float(np.radians(place.uniform(2.0, 8.0 + 20.0 * level))),
        scale=float(1.0 + place.uniform(-0.06, 0.06) * level),
        exposure=float(1.0 + sensor.uniform(-0.3, 0.3) * level + (0.08 if infrared else 0.0)),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        blur=int(sensor.integers(0, 20 + round(60 * level))),
        noise=float(sensor.uniform(1.0, 2.0 + 6.0 * level) * (1.6 if infrared else 1.0)),
        falloff=float(sensor.uniform(0.3, 0.75) * (0.5 + level) if infrared else sensor.uniform(0.0, 0.2)),
        lamp=(float(sensor.uniform(0.25, 0.6)), float(sensor.uniform(0.3, 0.7))),
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
        exposure=_shot_exposure(rng, level),
        clutter=float(min(1.0, rng.uniform(0.4, 1.6) * level)),
        occluder=float(rng.uniform(0.12, 0.45)) if rng.uniform() < 0.5 * level else 0.0,
        pixel_seed=int(rng.integers(0, 2**62)),
    )


def join_shots(shots: Sequence[Shot]) -> Shot:
    """Shots by one camera as one, frame after frame: how people move in it, not what is around them."""
    if len(shots) == 1:
        return shots[0]
    phases = [
        np.broadcast_to(shot.start_phases[:, None], (len(RHYTHMS), len(shot.times_s))) for shot in shots
    ]
    return replace(
        shots[0],
        times_s=np.concatenate([shot.times_s for shot in shots]),
        yaw_rad=np.concatenate([shot.yaw_rad for shot in shots]),
        start_phases=np.concatenate(phases, axis=1),
        scale=np.concatenate([shot.scale for shot in shots]),
        shift=np.concatenate([shot.shift for shot in shots]),
    )


def see_aligned(shot: Shot, rng: np.random.Generator, options: WalkerOptions) -> Shot:
    """A pass on one of two sensors behind one lens: outlines are shared, exposure, colours and noise are not.

    Args:
        shot: the pass, equal for both sensors but for the camera.
        rng: of this sensor.
        options: how hard the cameras are.
    """
    return replace(
        shot,
        exposure=_shot_exposure(rng, options.nuisance),
        pixel_seed=int(rng.integers(0, 2**62)),
        layout_seed=shot.pixel_seed,
    )


def see_beside(shot: Shot, rng: np.random.Generator, options: WalkerOptions) -> Shot:
    """The same moments by a camera a step aside: a slightly different direction, and a crop of its own.

    Args:
        shot: the pass as the other camera sees it.
        rng: of this camera.
        options: how hard the cameras are.
    """
    level = options.nuisance
    offset = rng.uniform(-1.0, 1.0, size=2) * np.array([0.06, 0.05]) * level
    return replace(
        shot,
        yaw_rad=shot.yaw_rad + rng.uniform(-_PARALLAX_RAD, _PARALLAX_RAD),
        scale=shot.scale * (1.0 + rng.uniform(-0.1, 0.1) * level),
        shift=np.broadcast_to(offset, shot.shift.shape),
        exposure=_shot_exposure(rng, level),
        pixel_seed=int(rng.integers(0, 2**62)),
    )


def _shot_exposure(rng: np.random.Generator, level: float) -> float:
    return float(1.0 + rng.uniform(-0.3, 0.3) * level)


def _oblique_yaw(rng: np.random.Generator) -> float:
    """Between front and side, to the left or to the right: every rhythm shows."""
    side = 1.0 if rng.integers(0, 2) else -1.0
    return float(side * np.radians(rng.uniform(30.0, 60.0)))
