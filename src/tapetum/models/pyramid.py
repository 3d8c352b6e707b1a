"""A 3x3 convolution of maps beside a pooled pyramid of theirs, without the pyramid ever being enlarged.

Enlarging a grid of a few cells bilinearly is linear, and so is a convolution: rows and columns of what comes
out are small sums over the cells' rows and columns. So the cells are convolved as they are, `[8, 4]` at most,
and two matrix products spread the result over the picture. Equal to enlarging and convolving up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tapetum.models.batch_statistics import MapNorm

Grid = tuple[int, int]
"""Rows and columns of cells."""

_TAPS = 3
"""Rows, and columns, that the convolution reads."""


class PairedPyramid(nn.Module):
    """What two aligned pictures' maps have in common: pyramid pooling, and a convolution over both.

    For each grid: mean over its cells, convolution 1x1 to `width / grids` channels, batch norm, ReLU,
    bilinear enlargement; then the maps themselves. These `2 width` channels of both pictures are convolved
    3x3 to `width`. Weights of the pyramid and statistics of its batch norms are common to both pictures.

    Args:
        width: C, channels of a picture's maps and of the result.
        grids: Cells of each level.

    Raises:
        ValueError: No grid, an empty one, or `width` is no multiple of their number.
    """

    def __init__(self, width: int, grids: Sequence[Grid]) -> None:
        super().__init__()
        if not grids or min(min(grid) for grid in grids) < 1 or width % len(grids):
            raise ValueError(f"grids {list(grids)} for {width} channels: expected cells, and equal shares")
        self.grids = tuple(sorted(grids))
        share = width // len(grids)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, share, 1, bias=False), MapNorm(share), nn.ReLU()) for _ in grids
        )
        self.fuse = nn.Conv2d(4 * width, width, _TAPS, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Fused maps `[B, C, H, W]` of the pairs' maps `[B, 2 C, H, W]`, the first picture's channels first.

        Their channels lie innermost in memory.
        """
        width = self.fuse.weight.shape[0]
        weight = self.fuse.weight.view(width, 2, 2 * width, _TAPS, _TAPS)
        direct = weight[:, :, width:].reshape(width, 2 * width, _TAPS, _TAPS)
        return F.conv2d(maps, direct, padding=1) + self._spread(self._cells(maps), weight, maps.shape[-2:])

    def _cells(self, maps: Tensor) -> list[Tensor]:
        """Each level's cells, `[B, 2, share, rows, columns]`."""
        pairs, width = maps.shape[0], maps.shape[1] // 2
        cells = [cell.reshape(2 * pairs, width, *cell.shape[2:]) for cell in self._pool(maps)]
        return [
            level(c).view(pairs, 2, -1, *c.shape[2:]) for level, c in zip(self.levels, cells, strict=True)
        ]

    def _pool(self, maps: Tensor) -> list[Tensor]:
        """Means of the maps over each grid's cells; where cells fit into one another, coarse of fine ones."""
        finest_first = self.grids[::-1]
        sides = zip(maps.shape[-2:], *finest_first, strict=True)
        nested = all(a % b == 0 for line in sides for a, b in pairwise(line))
        source, pooled = maps, []
        for grid in finest_first:
            pooled.append(F.adaptive_avg_pool2d(source, grid))
            source = pooled[-1] if nested else maps
        return pooled[::-1]

    def _spread(self, cells: Sequence[Tensor], weight: Tensor, size: Sequence[int]) -> Tensor:
        """The convolution of the enlarged levels, `[B, C, H, W]`."""
        height, breadth = size
        pairs, width = cells[0].shape[0], weight.shape[0]
        taken, rows = 0, []
        for cell in cells:
            share, here, across = cell.shape[2:]
            own = weight[:, :, taken : taken + share]
            taken += share
            convolved = torch.einsum("bmcyx,omcij->biyjxo", cell, own.to(cell.dtype))
            columns = enlargement(breadth, [across], convolved)
            rows.append(columns @ convolved.reshape(pairs, _TAPS * here, _TAPS * across, width))
        joined = torch.cat(rows, dim=1).view(pairs, -1, breadth * width)
        lines = enlargement(height, [grid[0] for grid in self.grids], joined) @ joined
        return lines.view(pairs, height, breadth, width).permute(0, 3, 1, 2)


def enlargement(size: int, cells: Sequence[int], like: Tensor) -> Tensor:
    """What each cell of some rows of cells, enlarged bilinearly to `size`, gives to each tap of each place.

    `[size, 3 * sum(cells)]` of the number type and device of `like`: for each row of cells, for each tap
    (before, at, behind the place), for each cell. Taps outside the picture get nothing: zero padding.

    >>> enlargement(2, [1], torch.zeros(1)).tolist()  # the first place has nothing before it
    [[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]
    """
    return _enlargement(size, tuple(cells), like.dtype, like.device)


@lru_cache(maxsize=64)
def _enlargement(size: int, cells: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Kept, so that nothing travels to the device in a step; never an inference tensor, for training."""
    with torch.inference_mode(False):
        table = [(tap - 1, cell, count) for count in cells for tap in range(_TAPS) for cell in range(count)]
        tap, cell, count = torch.tensor(table, dtype=torch.float64).unbind(1)
        place = torch.arange(size)[:, None] + tap
        source = ((place + 0.5) * count / size - 0.5).clamp(min=0).minimum(count - 1)
        weight = (1 - (source - cell).abs()).clamp(min=0) * ((place >= 0) & (place < size))
        return weight.to(dtype).to(device)
