"""Triplet losses on Euclidean distances inside a batch; rows of both modalities count alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum.losses._precision import in_float32

_COMPAT_EPSILON = 1e-6
"""What the widely copied code adds to its denominators."""

_LARGEST_SQUARE = 88.0
"""Where CAJ's code cuts squared differences: near the largest number whose exponential float32 holds."""


def pairwise_distance(features: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances `[N, M]` of `features` `[N, D]` to `others` `[M, D]`.

    Taken from differences, not from dot products: exact for near-equal rows, exactly 0 with gradient 0 for
    equal ones.

    >>> pairwise_distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).item()
    5.0
    """
    return torch.cdist(features, others, compute_mode="donot_use_mm_for_euclid_dist")


def same_label(labels: Tensor, others: Tensor | None = None) -> Tensor:
    """Bool `[N, M]`: which entries of `labels` `[N]` and `others` `[M]` (default: `labels`) are equal."""
    return labels[:, None] == (labels if others is None else others)[None, :]


def masked_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the entries where `mask` is true; 0 elsewhere."""
    lowest = torch.finfo(logits.dtype).min
    return torch.softmax(logits.masked_fill(~mask, lowest), dim=-1) * mask


@in_float32
def weighted_regularised_triplet(
    features: Tensor, labels: Tensor, *, compat: bool = False, squared: bool = False
) -> Tensor:
    """Weighted regularised triplet loss (Ye et al., TPAMI 2021, "AGW", Eq. 4-6), a scalar.

    Every positive is weighted by the softmax of its distance, every negative by the softmax of its negated
    distance, then `log(1 + exp(weighted positive - weighted negative))`, mean over the anchors that have a
    negative (0 where none has). The anchor itself counts among its positives, as in the released code.

    Args:
        features: `[N, D]`, not normalised.
        labels: int64 `[N]`.
        compat: Compute the weights as the widely copied code does: maxima over masked zeros and 1e-6 in
            the denominators. The weights of negatives then vanish at distances beyond about 13; only for
            comparison with numbers of that code.
        squared: Square the difference, keeping its sign (CAJ, Ye et al., ICCV 2021). As in their code,
            squares beyond 88 count as 88 and have no gradient.

    >>> points, labels = torch.tensor([[0.0], [0.0], [2.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> round(weighted_regularised_triplet(points, labels).item(), 4)  # log(1 + exp(0 - 2))
    0.1269
    >>> round(weighted_regularised_triplet(points, labels, squared=True).item(), 4)  # log(1 + exp(-2^2))
    0.0181
    """
    distance = pairwise_distance(features, features)
    positive = same_label(labels)
    weigh = _compat_softmax if compat else masked_softmax
    furthest = (weigh(distance, positive) * distance).sum(1)
    closest = (weigh(-distance, ~positive) * distance).sum(1)
    gap = furthest - closest
    if squared:
        gap = (gap * gap.abs()).clamp(-_LARGEST_SQUARE, _LARGEST_SQUARE)
    has_negative = (~positive).any(1)
    return (F.softplus(gap) * has_negative).sum() / has_negative.sum().clamp(min=1)


def _compat_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    masked = logits * mask
    weights = torch.exp(masked - masked.amax(1, keepdim=True)) * mask
    return weights / (weights.sum(1, keepdim=True) + _COMPAT_EPSILON)


@in_float32
def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float | None = 0.3) -> Tensor:
    """Triplet loss of each anchor's furthest positive and nearest negative (Hermans et al., 2017), a scalar.

    Mean over the anchors that have a negative (0 where none has).

    Args:
        features: `[N, D]`.
        labels: int64 `[N]`.
        margin: Hinge margin in units of distance; None: soft margin, `log(1 + exp(positive - negative))`.

    >>> points = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    >>> batch_hard_triplet(points, torch.tensor([0, 0, 1, 1]), margin=0.5).item()  # (0 + .5 + .5 + 0) / 4
    0.25
    """
    distance = pairwise_distance(features, features)
    positive = same_label(labels)
    furthest = distance.masked_fill(~positive, 0.0).amax(1)
    closest = distance.masked_fill(positive, torch.finfo(distance.dtype).max).amin(1)
    has_negative = (~positive).any(1)
    gap = torch.where(has_negative, furthest - closest, 0.0)
    loss = F.softplus(gap) if margin is None else F.relu(gap + margin)
    return (loss * has_negative).sum() / has_negative.sum().clamp(min=1)
