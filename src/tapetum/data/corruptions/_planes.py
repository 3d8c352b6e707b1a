"""Linear maps of planes that several corruptions share: convolution, resampling, smooth fields."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Planes = NDArray[np.float32]
"""`[..., H, W]`."""
Kernel = NDArray[np.float32]
"""`[k, l]`, both odd, sum 1."""


def blurred(planes: Planes, kernel: Kernel) -> Planes:
    """Planes `[..., H, W]` convolved with a kernel; beyond its edges a plane goes on as in a mirror."""
    height, width = planes.shape[-2:]
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    around = [(0, 0)] * (planes.ndim - 2) + [(down, down), (across, across)]
    padded = np.pad(planes, around, mode="symmetric")
    shape = [fft.next_fast_len(length, real=True) for length in padded.shape[-2:]]
    spectrum = fft.rfft2(padded, shape) * fft.rfft2(kernel, shape)
    whole: Planes = fft.irfft2(spectrum, shape)
    return whole[..., 2 * down : 2 * down + height, 2 * across : 2 * across + width]


def gaussian_kernel(deviation: float) -> Kernel:
    """A bell of `deviation` pixels, cut off at three of them."""
    reach = max(1, math.ceil(3 * deviation))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return _normalised(np.outer(line, line))


def disk_kernel(radius: float) -> Kernel:
    """A disk of `radius` pixels; pixels on its edge count by how much of them lies inside, about."""
    reach = max(1, math.ceil(radius))
    away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    return _normalised(np.clip(radius + 0.5 - away, 0, 1))


def line_kernel(length: float, angle: float) -> Kernel:
    """A line of `length` pixels through the middle, `angle` in radians from the horizontal, downwards.

    Each of many points on it is shared by the four pixels around it, so that every angle weighs the same.
    """
    reach = max(1, math.ceil(length / 2) + 1)
    along = np.linspace(-length / 2, length / 2, 4 * math.ceil(length) + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    rows, columns = reach + along * math.sin(angle), reach + along * math.cos(angle)
    for row, row_weight in _neighbours(rows):
        for column, column_weight in _neighbours(columns):
            np.add.at(kernel, (row, column), row_weight * column_weight)
    return _normalised(kernel)


def resampled(planes: Planes, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Planes:
    """Planes `[..., len(rows), len(columns)]`: bilinear values at these places, those outside at the edge."""
    high, low, down = _between(rows, planes.shape[-2])
    left, right, across = _between(columns, planes.shape[-1])
    lines: Planes = planes[..., high, :] * (1 - down)[:, None] + planes[..., low, :] * down[:, None]
    found: Planes = lines[..., left] * (1 - across) + lines[..., right] * across
    return found


class SmoothField:
    """Clouds: values 0..1 that change slowly over the plane and repeat in its width, so that they drift."""

    def __init__(self, height: int, width: int, generator: np.random.Generator) -> None:
        """Draw three layers, each finer and weaker than the one before."""
        self.height, self.width = height, width
        self._layers = [
            (weight, generator.random((cells + 1, cells), dtype=np.float32))
            for weight, cells in ((0.6, 3), (0.3, 6), (0.1, 12))
        ]

    def at(self, drift: float) -> Planes:
        """The field `[H, W]`, moved to the left by `drift` of its width."""
        total = np.zeros((self.height, self.width), dtype=np.float32)
        for weight, grid in self._layers:
            cells = grid.shape[1]
            rows = np.linspace(0, cells, self.height)
            columns = ((np.arange(self.width) / self.width + drift) * cells) % cells
            wrapped = np.concatenate([grid, grid[:, :1]], axis=1)
            total += np.float32(weight) * resampled(wrapped, rows, columns)
        return total


def _normalised(kernel: NDArray[Any]) -> Kernel:
    found: Kernel = (kernel / kernel.sum()).astype(np.float32)
    return found


def _neighbours(
    places: NDArray[np.float64],
) -> tuple[tuple[NDArray[np.int64], NDArray[np.float64]], tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """The whole number below each place and the one above, each with its share."""
    below = np.floor(places).astype(np.int64)
    share = places - below
    return (below, 1 - share), (below + 1, share)


def _between(
    places: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Indices below and above each place, and how far it is from the lower one."""
    inside = np.clip(places, 0, size - 1)
    below = np.floor(inside).astype(np.int64)
    return below, np.minimum(below + 1, size - 1), (inside - below).astype(np.float32)
