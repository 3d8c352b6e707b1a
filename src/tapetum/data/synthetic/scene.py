"""What is around the person: a background wider than the frame, and foreground objects that hide parts of it.

Pictures here have C channels: 3 for visible, 1 for infrared. All arithmetic on pixels is in integers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ByteArray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Occluder:
    """A foreground object.

    Args:
        box: top, left, bottom, right in pixels of the scene at time 0.
        colour: `[C]`.
    """

    box: tuple[int, int, int, int]
    colour: ByteArray


def sample_background(
    layout: np.random.Generator,
    paint: np.random.Generator,
    size: tuple[int, int],
    channels: int,
    clutter: float,
) -> ByteArray:
    """A static scene twice as wide as the frame: wall and floor, poles, blocks and a coarse texture.

    Args:
        layout: draws where things are.
        paint: draws what they look like to this sensor; may be `layout`.
        size: height and width of the frame, pixels.
        channels: 3 or 1.
        clutter: amount of structure, 0..1.

    Returns:
        `[H, 2 W, C]`; it may be repeated to the left and right.
    """
    height, width = size[0], 2 * size[1]
    scene = np.empty((height, width, channels), dtype=np.int32)
    horizon = int(height * layout.uniform(0.3, 0.85))
    wall, floor = _colour(paint, channels), _colour(paint, channels)
    ramp = (np.arange(height, dtype=np.int32) * int(paint.integers(-40, 41)))[:, None, None] // height
    scene[:horizon], scene[horizon:] = wall, floor
    scene += ramp
    for _ in range(int(layout.integers(0, 2 + round(9 * clutter)))):
        top, left, bottom, right = _any_box(layout, height, width)
        scene[top:bottom, left:right] = (scene[top:bottom, left:right] + 3 * _colour(paint, channels)) // 4
    scene += _texture(paint, height, width, round(8 + 40 * clutter))
    return np.clip(scene, 0, 255).astype(np.uint8)


def sample_occluder(
    layout: np.random.Generator,
    paint: np.random.Generator,
    size: tuple[int, int],
    channels: int,
    share: float,
) -> Occluder:
    """A pole beside the person or a low object before the legs.

    Args:
        layout: draws where it is.
        paint: draws its colour; may be `layout`.
        size: height and width of the frame, pixels.
        channels: 3 or 1.
        share: part of the frame that is hidden, 0..1.
    """
    height, width = size
    colour = _colour(paint, channels).astype(np.uint8)
    if layout.integers(0, 2):
        return Occluder((round(height * (1.0 - 0.9 * share)), -3 * width, height, 4 * width), colour)
    span = max(1, round(width * share * 0.8))
    left = int(layout.integers(0, width - span + 1))
    return Occluder((int(height * layout.uniform(0.0, 0.3)), left, height, left + span), colour)


def _colour(rng: np.random.Generator, channels: int) -> NDArray[np.int32]:
    """Mostly greyish, as buildings are."""
    base = int(rng.integers(40, 216))
    return np.clip(base + rng.integers(-30, 31, size=channels), 0, 255).astype(np.int32)


def _any_box(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    if rng.integers(0, 2):
        left = int(rng.integers(0, width - 3))
        return 0, left, height, left + int(rng.integers(2, max(3, width // 14)))
    top, left = int(rng.integers(0, height - 4)), int(rng.integers(0, width - 4))
    bottom, right = top + int(rng.integers(3, height // 3)), left + int(rng.integers(3, width // 4))
    return top, left, bottom, right


def _texture(rng: np.random.Generator, height: int, width: int, amplitude: int) -> NDArray[np.int32]:
    """Smooth random brightness, `[height, width, 1]`, within plus or minus half the amplitude."""
    cells = int(rng.integers(6, 20))
    coarse = rng.integers(0, 256, size=(2 * cells, 2 * cells), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    centred = np.asarray(smooth).astype(np.int32) - 128
    return (centred * amplitude // 256)[:, :, None]
