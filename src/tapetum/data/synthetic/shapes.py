"""From a skeleton to flat shapes: each body part as an outline on the screen with coordinates of its own.

A part is drawn as a polygon and behaves like an upright cylinder seen from the side: inside it, `v` runs
along the axis from the first to the second end and `s` across from -1 to 1, so that patterns stay where they
are on the body. Screen coordinates are pixels, x to the right, y down. Depth grows towards the camera.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.cameras import Shot

FloatArray = NDArray[np.float64]

#: Height of the world shown in a frame at scale 1, metres.
FRAME_HEIGHT_M = 2.08

#: Screen positions are rounded to this fraction of a pixel, so that the last bit of a cosine cannot move an
#: edge.
GRID = 16.0

_ARC = np.linspace(0.5 * np.pi, 1.5 * np.pi, 5)
_CIRCLE = np.linspace(0.0, 2.0 * np.pi, 14, endpoint=False)


@dataclass(frozen=True, slots=True)
class Shape:
    """One part in all frames.

    Args:
        part: number of the part (see `figure`).
        outline: polygon, pixels, `[N, K, 2]`.
        start: first end of the axis, pixels, `[N, 2]`.
        end: second end, `[N, 2]`.
        radii: half widths at both ends, pixels, `[N, 2]`.
        length_m: length of the axis in the world.
        yaw_rad: turn of the part about its axis against the camera, `[N]`.
        depth: key of the painter's order, `[N]`.
        lit: brightness factor, `[N]`.
    """

    part: int
    outline: FloatArray
    start: FloatArray
    end: FloatArray
    radii: FloatArray
    length_m: float
    yaw_rad: FloatArray
    depth: FloatArray
    lit: FloatArray


class Projection:
    """Turns body positions into screen positions of a shot.

    Args:
        shot: the pass; gives yaw, elevation, scale and shift.
        height: of the drawing, pixels.
        width: of the drawing, pixels.
    """

    def __init__(self, shot: Shot, height: int, width: int) -> None:
        self.yaw = shot.yaw_rad
        self.cos, self.sin = np.cos(shot.yaw_rad), np.sin(shot.yaw_rad)
        self.cos_up, self.sin_up = (
            float(np.cos(shot.camera.elevation_rad)),
            float(np.sin(shot.camera.elevation_rad)),
        )
        self.scale = shot.scale * height / FRAME_HEIGHT_M
        self.centre_x = 0.5 * width + shot.shift[:, 0] * height
        self.ground_y = 0.945 * height + shot.shift[:, 1] * height

    def depth(self, position: FloatArray) -> FloatArray:
        """Distance towards the camera, metres, `[N]`, of positions `[N, 3]`; height does not count."""
        return np.asarray(position[:, 2] * self.cos - position[:, 0] * self.sin)

    def screen(self, position: FloatArray) -> FloatArray:
        """Pixels `[N, 2]` of positions `[N, 3]`."""
        across = position[:, 0] * self.cos + position[:, 2] * self.sin
        up = position[:, 1] * self.cos_up - self.depth(position) * self.sin_up
        pixels = np.stack([self.centre_x + across * self.scale, self.ground_y - up * self.scale], axis=1)
        return np.asarray(np.round(pixels * GRID) / GRID)

    def half_width(self, lateral_m: float, forward_m: float, twist: FloatArray | float = 0.0) -> FloatArray:
        """Half width in pixels `[N]` of an upright ellipse with these half axes."""
        turned = self.yaw - twist
        spread = np.sqrt((lateral_m * np.cos(turned)) ** 2 + (forward_m * np.sin(turned)) ** 2)
        return np.asarray(np.round(spread * self.scale * GRID) / GRID)

    def pixels(self, length_m: float) -> FloatArray:
        """A length in pixels, `[N]`."""
        return np.asarray(np.round(length_m * self.scale * GRID) / GRID)


def capsule(start: FloatArray, end: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Outline `[N, 10, 2]` of a limb with round ends of the given radii `[N]`."""
    along, across = _axes(start, end)
    cos, sin = np.cos(_ARC), np.sin(_ARC)
    head = start[:, None] + first[:, None, None] * _turned(along, across, cos, sin)
    tail = end[:, None] - second[:, None, None] * _turned(along, across, cos, sin)
    return np.concatenate([head, tail], axis=1)


def ellipse(start: FloatArray, end: FloatArray, half_width: FloatArray) -> FloatArray:
    """Outline `[N, 14, 2]` of an ellipse whose one axis runs from start to end."""
    along, across = _axes(start, end)
    half = 0.5 * np.sqrt(((end - start) ** 2).sum(axis=1))
    middle = 0.5 * (start + end)
    cos, sin = np.cos(_CIRCLE), np.sin(_CIRCLE)
    return np.asarray(
        middle[:, None]
        + half[:, None, None] * along[:, None] * cos[None, :, None]
        + half_width[:, None, None] * across[:, None] * sin[None, :, None]
    )


def tube(centres: list[FloatArray], half_widths: list[FloatArray]) -> FloatArray:
    """Outline `[N, 2 R, 2]` through R cross-sections given by centre and half width."""
    _, across = _axes(centres[0], centres[-1])
    left = [centre - width[:, None] * across for centre, width in zip(centres, half_widths, strict=True)]
    right = [centre + width[:, None] * across for centre, width in zip(centres, half_widths, strict=True)]
    return np.stack(left + right[::-1], axis=1)


def box(centre: FloatArray, half_width: FloatArray, half_height: FloatArray) -> FloatArray:
    """Outline `[N, 8, 2]` of an upright rectangle with cut corners."""
    x = np.array([-0.75, 0.75, 1.0, 1.0, 0.75, -0.75, -1.0, -1.0])
    y = np.array([-1.0, -1.0, -0.8, 0.8, 1.0, 1.0, 0.8, -0.8])
    corners = np.stack([half_width[:, None] * x, half_height[:, None] * y], axis=2)
    return np.asarray(centre[:, None] + corners)


def _axes(start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vector along, and the one across that points right when the axis points down."""
    delta = end - start
    length = np.sqrt(delta[:, 0] ** 2 + delta[:, 1] ** 2)
    short = length < 1e-6
    along = np.where(short[:, None], [0.0, 1.0], delta / np.where(short, 1.0, length)[:, None])
    return along, np.stack([along[:, 1], -along[:, 0]], axis=1)


def _turned(along: FloatArray, across: FloatArray, cos: FloatArray, sin: FloatArray) -> FloatArray:
    return np.asarray(along[:, None] * cos[None, :, None] + across[:, None] * sin[None, :, None])
