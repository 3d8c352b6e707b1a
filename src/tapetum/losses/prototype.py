"""Contrast of features with the prototypes of all identities."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from tapetum.losses._precision import in_float32


@in_float32
def prototype_contrast(
    features: Tensor,
    prototypes: Tensor,
    labels: Tensor,
    temperature: float = 0.05,
    *,
    counted: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each feature over the prototypes of all identities, a scalar.

    `-log(exp(<b, m_y> / t) / sum_j exp(<b, m_j> / t))`, mean over rows, b of unit length (X-ReID, AAAI 2026,
    prototype collaboration). The sum runs over all identities and has a temperature, as in the authors' code;
    the paper sums over those of the batch and writes none. No gradient reaches the prototypes. They may be
    changed in place once this returns: the gradient is computed along with the loss.

    Args:
        features: `[N, D]`; normalised here.
        prototypes: `[I, D]`, unit rows, row i of training identity i.
        labels: int64 `[N]`, 0..I-1.
        temperature: Divides similarities; above 0.
        counted: bool `[N]`, the rows that count; None: all. Where none does, the loss is 0.

    >>> loss = prototype_contrast(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), temperature=1.0)
    >>> round(loss.item(), 4)  # log(1 + exp(-1))
    0.3133
    """
    if counted is None:
        counted = torch.ones_like(labels, dtype=torch.bool)
    weights = counted.to(features.dtype) / counted.sum().clamp(min=1)
    unit = F.normalize(features, dim=1)
    loss: Tensor = _Contrast.apply(unit, prototypes.detach(), labels, weights, temperature)  # type: ignore[no-untyped-call]
    return loss


class _Contrast(torch.autograd.Function):
    """Weighted cross-entropy of `unit @ prototypes.T / t`; keeps the gradient `[N, D]`, no logits."""

    @staticmethod
    def forward(
        ctx: Any, unit: Tensor, prototypes: Tensor, labels: Tensor, weights: Tensor, temperature: float
    ) -> Tensor:
        logs = torch.log_softmax(unit @ prototypes.t() / temperature, dim=1)
        own = labels[:, None]
        loss = -(logs.gather(1, own)[:, 0] * weights).sum()
        if ctx.needs_input_grad[0]:
            slope = logs.exp_().scatter_add_(1, own, torch.full_like(own, -1, dtype=logs.dtype))
            ctx.save_for_backward((slope * (weights / temperature)[:, None]) @ prototypes)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None, None, None
