"""Identity alignment and modality alignment of MUN (Yu et al., ICCV 2023): three modalities brought together.

That the first is a hardest-pair triplet loss on identity centres and the second compares accumulated
prototypes by way of the auxiliary modality is the paper's; the formulas are our reconstruction.

Features are `[N, D]` with int64 labels `[N]` and int64 modalities `[N]`, in any order of rows; modalities are
`VISIBLE`, `INFRARED` and `AUXILIARY`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum.losses._members import centres_of, is_first, masked_mean
from tapetum.losses._precision import in_float32
from tapetum.losses.triplet import pairwise_distance, same_label

VISIBLE, INFRARED, AUXILIARY = range(3)
"""Numbers of the modalities."""

Pairs = Literal["bridge", "direct"]
"""Which modalities meet: visible and infrared each the auxiliary one, or each other."""

_PAIRS: dict[Pairs, tuple[tuple[int, int], ...]] = {
    "bridge": ((VISIBLE, AUXILIARY), (INFRARED, AUXILIARY)),
    "direct": ((VISIBLE, INFRARED),),
}


@in_float32
def identity_centre_alignment(
    features: Tensor,
    labels: Tensor,
    modalities: Tensor,
    margin: float = 0.3,
    *,
    anchors: int | None = None,
) -> Tensor:
    """L_ia: triplet loss of each identity centre's hardest positive and hardest negative, a scalar.

    A centre is the mean of an identity's rows in one modality. `max(0, margin + distance to the furthest
    centre of the same identity in another modality - distance to the nearest centre of another identity in
    any modality)`, mean over the centres that have both (0 where none has). Departure: two equal centres are
    at distance 0 with gradient 0, not at 1e-6.

    Args:
        features: Pooled, before the neck.
        labels: Identity of each row.
        modalities: Modality of each row.
        margin: In units of distance.
        anchors: Modality whose centres are anchors; None: all.

    >>> visible, infrared, auxiliary = [0.0, 2.0], [1.0, 1.0], [0.0, 2.0]
    >>> points = torch.tensor([*visible, *infrared, *auxiliary])[:, None]
    >>> labels, modalities = torch.arange(2).repeat(3), torch.arange(3).repeat_interleave(2)
    >>> round(identity_centre_alignment(points, labels, modalities).item(), 4)  # (4 * 0.3 + 2 * 1.3) / 6
    0.6333
    """
    hardest = _hardest_centres(features, labels, modalities)
    counted = hardest.has_positive & hardest.has_negative & hardest.is_first
    if anchors is not None:
        counted = counted & (modalities == anchors)
    gap = torch.where(counted, hardest.furthest - hardest.nearest, 0.0)
    return masked_mean(F.relu(gap + margin), counted)


@in_float32
def centre_spread(features: Tensor, labels: Tensor, modalities: Tensor) -> tuple[Tensor, Tensor]:
    """How far an identity's centres lie apart, and how far the nearest centre of another one: two scalars.

    Means over all centres of the distance to the furthest of the same identity in another modality and to the
    nearest of another identity. When the second shrinks towards the first, identities collapse.

    >>> points = torch.tensor([[0.0], [4.0], [1.0], [6.0]])
    >>> apart, others = centre_spread(points, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]))
    >>> apart.item(), others.item()  # (1 + 2 + 1 + 2) / 4, (4 + 3 + 3 + 5) / 4
    (1.5, 3.75)
    """
    hardest = _hardest_centres(features, labels, modalities)
    apart = masked_mean(hardest.furthest, hardest.is_first & hardest.has_positive)
    return apart, masked_mean(hardest.nearest, hardest.is_first & hardest.has_negative)


@in_float32
def direction_moments(features: Tensor, modalities: Tensor, count: int = 3) -> tuple[Tensor, Tensor]:
    """Mean and variance of the unit features of each modality, `[count, D]` each; zeros where it has no row.

    >>> mean, variance = direction_moments(torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]), 1)
    >>> mean.tolist(), variance.tolist()
    ([[0.5, 0.5]], [[0.25, 0.25]])
    """
    unit = F.normalize(features, dim=1)
    members = torch.arange(count, device=modalities.device)[:, None] == modalities[None, :]
    mean = centres_of(unit, members)
    return mean, centres_of((unit - mean[modalities]).square(), members)


@in_float32
def modality_gap(points: Tensor, pairs: Pairs = "bridge") -> Tensor:
    """Sum of the squared distances between modalities that meet, of a point for each: `[3, D]` to a scalar.

    L_ma's readings A (of accumulated means) and B (of accumulated variances).

    >>> modality_gap(torch.tensor([[0.0, 3.0], [4.0, 0.0], [0.0, 0.0]])).item()  # 9 + 16
    25.0
    """
    gaps = [(points[one] - points[other]).square().sum() for one, other in _PAIRS[pairs]]
    return torch.stack(gaps).sum()


@in_float32
def assignment_gap(
    features: Tensor,
    modalities: Tensor,
    prototypes: Tensor,
    pairs: Pairs = "bridge",
    temperature: float = 0.1,
) -> Tensor:
    """L_ma's reading C: modalities should look alike to one who sorts rows by prototypes, a scalar.

    A row is assigned to the prototypes by `softmax(-||unit feature - prototype||^2 / temperature)`. For each
    two modalities that meet: the Kullback-Leibler divergence of the first one's mean assignment from the
    second's. Only means are matched: drawing single rows to a prototype would merge identities.

    Args:
        features: `[N, D]`; normalised here.
        modalities: Modality of each row.
        prototypes: `[3, D]`, or `[2, D]` where there is no auxiliary modality; no gradient reaches them.
        pairs: Which modalities meet.
        temperature: Divides squared distances; above 0.

    >>> features, modalities = torch.eye(2)[[0, 0, 1]], torch.arange(3)
    >>> gap = assignment_gap(features, modalities, torch.eye(2)[[0, 1, 1]], temperature=2.0)
    >>> round(gap.item(), 4)  # twice 0.5761 ln(0.5761 / 0.1554) + 2 * 0.2119 ln(0.2119 / 0.4223)
    0.9256
    """
    unit = F.normalize(features, dim=1)
    squared = pairwise_distance(unit, prototypes.detach()).square()
    assigned = torch.softmax(-squared / temperature, dim=1)
    members = torch.arange(prototypes.shape[0], device=modalities.device)[:, None] == modalities[None, :]
    mean = centres_of(assigned, members).clamp(min=torch.finfo(assigned.dtype).tiny)
    gaps = [(mean[one] * (mean[one].log() - mean[other].log())).sum() for one, other in _PAIRS[pairs]]
    return torch.stack(gaps).sum()


class _Hardest(NamedTuple):
    """Of the centre that each row belongs to, `[N]` each.

    Attributes:
        furthest: Distance to the furthest centre of the same identity in another modality; 0: none.
        nearest: Distance to the nearest centre of another identity; the largest number: none.
        has_positive: Whether there is such a centre of the same identity.
        has_negative: Whether there is a centre of another identity.
        is_first: Whether the row is the first of its centre.
    """

    furthest: Tensor
    nearest: Tensor
    has_positive: Tensor
    has_negative: Tensor
    is_first: Tensor


def _hardest_centres(features: Tensor, labels: Tensor, modalities: Tensor) -> _Hardest:
    person, modality = same_label(labels), same_label(modalities)
    centres = centres_of(features, person & modality)
    distance = pairwise_distance(centres, centres)
    positive, negative = person & ~modality, ~person
    furthest = distance.masked_fill(~positive, 0.0).amax(1)
    nearest = distance.masked_fill(~negative, torch.finfo(distance.dtype).max).amin(1)
    return _Hardest(furthest, nearest, positive.any(1), negative.any(1), is_first(person & modality))
