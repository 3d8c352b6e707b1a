"""Statistics of batch norms: shared by the processes that share a batch, or held still."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from tapetum import processes

_HALF = (torch.float16, torch.bfloat16)
_POSITIONS = (0, 2, 3)
"""Axes of maps `[N, C, H, W]` that statistics are taken over."""


class MapNorm(nn.BatchNorm2d):
    """Batch norm of maps; where several processes share a batch, its statistics are those of all their rows.

    Then equal to a plain one in a single process, up to rounding: output, gradients and running statistics.
    For maps of a process's own rows. Features that were gathered from all processes pass a plain norm, which
    sees all rows already.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normed maps `[N, C, H, W]`."""
        if not self.training or processes.count() == 1:
            return super().forward(input)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return shared_norm(self, input, self.weight, self.bias)


def shared_norm(norm: nn.BatchNorm2d, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Maps normed by the statistics of all processes' rows, then times `weight`, plus `bias`.

    Args:
        norm: Whose running statistics follow, in training mode.
        maps: `[N, C, H, W]`.
        weight: `[C]`.
        bias: `[C]`.
    """
    wide = _widened(maps.detach())
    variance, mean = torch.var_mean(wide, dim=_POSITIONS, correction=0)
    rows = mean.new_full((1,), wide.numel() // wide.shape[1])
    mean, variance, rows = processes.pooled_moments(mean, variance, rows)
    _follow(norm, mean, variance * rows / (rows - 1))
    normed: Tensor = _SharedNorm.apply(maps, weight, bias, mean, variance, rows, norm.eps)  # type: ignore[no-untyped-call]
    return normed


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics towards those of a batch."""
    momentum = 0.0 if norm.momentum is None else norm.momentum
    for running, found in ((norm.running_mean, mean), (norm.running_var, variance)):
        if running is not None:
            running.lerp_(found.to(running.dtype), momentum)


class _SharedNorm(Function):
    """Batch norm by given statistics, whose gradient knows that they are the rows' own, of all processes."""

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        rows: Tensor,
        epsilon: float,
    ) -> Tensor:
        ctx.save_for_backward(maps, weight, mean, (variance + epsilon).rsqrt(), rows)
        return F.batch_norm(maps, mean, variance, weight, bias, False, 0.0, epsilon)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, mean, inverse, rows = ctx.saved_tensors
        gradient = _widened(gradients[0])
        normed = (_widened(maps) - _spread(mean)) * _spread(inverse)
        of_bias = gradient.sum(_POSITIONS)
        of_weight = (gradient * normed).sum(_POSITIONS)
        of_maps = None
        if ctx.needs_input_grad[0]:
            shared = processes.summed(torch.cat([of_bias, of_weight])) / rows
            level, slope = shared.chunk(2)
            of_maps = gradient - _spread(level) - normed * _spread(slope)
            of_maps = (of_maps * _spread(weight * inverse)).to(maps.dtype)
        return of_maps, of_weight, of_bias, None, None, None, None


def _spread(values: Tensor) -> Tensor:
    """`[C]` as `[1, C, 1, 1]`."""
    return values[None, :, None, None]


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in _HALF else tensor


def hold_statistics(module: nn.Module) -> None:
    """Make every batch norm in `module` normalise by its running statistics, which then stay as they are.

    Weights and biases go on learning. `module.train()` ends it.
    """
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()
