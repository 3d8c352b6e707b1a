"""From light to pixels: exposure, tint, the lamp's falloff, blur, saturation and noise.

Gains are computed once per shot and rounded to 1/256; everything per pixel is integer arithmetic.
"""

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.cameras import Camera, Shot
from tapetum.types import Modality

ByteArray = NDArray[np.uint8]

#: Standard deviation of the sum of two independent uniform bytes.
_TWO_BYTES_DEVIATION = 104.5


def expose(light: NDArray[np.uint16], shot: Shot, rng: np.random.Generator) -> ByteArray:
    """What the sensor of a shot's camera records.

    Args:
        light: reflected light, 0..255, `[N, H, W, C]`, C = 3 for visible and 1 for infrared.
        shot: gives camera and exposure.
        rng: source of the noise.

    Returns:
        `[N, H, W, C]`.
    """
    gain = _gain(shot, light.shape[1], light.shape[2], light.shape[3])
    signal = _blur(light, shot.camera.blur).astype(np.int32) * gain >> 8
    if shot.camera.modality is Modality.INFRARED:
        signal = _saturate(signal)
    signal += _noise(rng, signal.shape, shot.camera.noise)
    return np.asarray(np.clip(signal, 0, 255), dtype=np.uint8)


def _gain(shot: Shot, height: int, width: int, channels: int) -> NDArray[np.int32]:
    """Gain times 256, `[H, W, C]`."""
    camera: Camera = shot.camera
    row = (np.arange(height) + 0.5) / height - camera.lamp[0]
    column = ((np.arange(width) + 0.5) / width - camera.lamp[1]) * (width / height)
    distance = (row[:, None] ** 2 + column[None, :] ** 2) / 0.5
    falloff = 1.0 / (1.0 + 2.0 * camera.falloff * distance)
    tint = np.array(camera.tint[:channels])
    gain = camera.exposure * shot.exposure * falloff[:, :, None] * tint
    return np.asarray(np.round(gain * 256.0), dtype=np.int32)


def _saturate(signal: NDArray[np.int32]) -> NDArray[np.int32]:
    """Bright surfaces near the lamp run into the sensor's limit with a soft knee at 192."""
    return np.where(signal > 192, 192 + (signal - 192) * 3 // 4, signal)


def _blur(light: NDArray[np.uint16], weight: int) -> NDArray[np.uint16]:
    """Three taps down and across; each neighbour weighs `weight` of 256."""
    if weight == 0:
        return light
    centre = 256 - 2 * weight
    padded = np.pad(light, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="edge")
    rows = (padded[:, :-2] * weight + padded[:, 1:-1] * centre + padded[:, 2:] * weight) >> 8
    padded = np.pad(rows, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="edge")
    columns = (padded[:, :, :-2] * weight + padded[:, :, 1:-1] * centre + padded[:, :, 2:] * weight) >> 8
    return np.asarray(columns, dtype=np.uint16)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> NDArray[np.int32]:
    """Triangular noise around 0, grey levels."""
    count = int(np.prod(shape))
    pair = np.frombuffer(rng.bytes(2 * count), dtype=np.uint8).reshape(2, count)
    centred = pair[0].astype(np.int32) + pair[1] - 255
    scale = round(deviation / _TWO_BYTES_DEVIATION * 4096)
    return np.asarray(((centred * scale + 2048) >> 12).reshape(shape), dtype=np.int32)
