"""Learnt positions on a grid, fitted to a grid of another size."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ResizeMode = Literal["bilinear", "bicubic"]


def check_resize_mode(mode: str) -> None:
    """Do nothing if `mode` is one that positions can be interpolated by.

    Raises:
        ValueError: It is not.
    """
    if mode not in get_args(ResizeMode):
        raise ValueError(f"unknown resize mode {mode!r}; known: {', '.join(get_args(ResizeMode))}")


def resize_grid(positions: Tensor, before: tuple[int, int], after: tuple[int, int], mode: str) -> Tensor:
    """Positions `[1 + rows * columns, D]` of the grid `after`, interpolated from those of the grid `before`.

    Row 0, which stands for no place, is kept. Corners are not aligned and nothing is smoothed first.

    Args:
        positions: `[1 + rows * columns, D]`, row by row.
        before: (rows, columns) that `positions` are for.
        after: (rows, columns) to fit them to.
        mode: "bilinear" or "bicubic".

    >>> grid = torch.tensor([[9.0], [0.0], [4.0]])  # two places side by side
    >>> resize_grid(grid, (1, 2), (1, 4), "bilinear").flatten().tolist()
    [9.0, 0.0, 1.0, 3.0, 4.0]
    """
    planes = positions[1:].T.reshape(1, -1, *before)
    resized = F.interpolate(planes, size=after, mode=mode, align_corners=False)
    return torch.cat([positions[:1], resized.flatten(2)[0].T])


def resized_parameter(
    positions: nn.Parameter, before: tuple[int, int], after: tuple[int, int], mode: str
) -> nn.Parameter:
    """A parameter with the positions of the grid `after`, which trains if `positions` did; see `resize_grid`.

    The same parameter where the grids are equal.
    """
    if before == after:
        return positions
    made = resize_grid(positions.detach(), before, after, mode)
    return nn.Parameter(made, requires_grad=positions.requires_grad)
