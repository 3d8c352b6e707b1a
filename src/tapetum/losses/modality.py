"""Modality-level losses: what crossing from visible to infrared may cost, beyond telling identities apart.

All take features `[N, D]` of both modalities with int64 labels `[N]` and a bool mask `infrared` `[N]`, in any
order of rows, and return a scalar.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum.losses._members import centres_of, is_first, masked_mean
from tapetum.losses._precision import in_float32
from tapetum.losses.triplet import pairwise_distance, same_label

MMD_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the Gaussian kernels, in units of the mean squared distance."""


@in_float32
def modality_shared_enhancement(features: Tensor, labels: Tensor, infrared: Tensor) -> Tensor:
    """MSEL: within a person, crossing modality should cost no more than staying in it.

    PMT (Lu et al., AAAI 2023): for each row the mean distance to the same person's rows of the other
    modality minus that to the person's other rows of its own, squared; mean over the rows of each modality,
    then over the two modalities. Rows without either kind of partner are left out (PMT needs K >= 2).

    >>> points = torch.tensor([[0.0], [2], [10], [12], [1], [3], [11], [13]])
    >>> labels = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])
    >>> modality_shared_enhancement(points, labels, torch.arange(8) >= 4).item()
    0.5
    """
    distance = pairwise_distance(features, features)
    person, modality = same_label(labels), same_label(infrared)
    itself = torch.eye(labels.shape[0], dtype=torch.bool, device=labels.device)
    intra, cross = person & modality & ~itself, person & ~modality
    gap = (masked_mean(distance, cross) - masked_mean(distance, intra)).square()
    counted = intra.any(1) & cross.any(1)
    return _mean_of_turns(gap, counted, infrared)


@in_float32
def discriminative_center(features: Tensor, labels: Tensor) -> Tensor:
    """DCL: rows close to their person's centre of both modalities, far from other persons' centres.

    PMT (Lu et al., AAAI 2023): the mean distance of rows to their own centre, divided by the mean distance
    of each centre to its hard negatives, the rows of others nearer than that centre's mean negative. A
    ratio, so it has no scale. Departures: a distance of 0 counts (PMT drops it); where all negatives are
    equally far, all count (PMT divides by zero); with a single identity the loss is 0.

    >>> points = torch.tensor([[0.0], [2], [10], [12], [1], [3], [11], [13]])
    >>> round(discriminative_center(points, torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])).item(), 4)
    0.1111
    """
    person = same_label(labels)
    centres = centres_of(features, person)
    first = is_first(person)
    distance = pairwise_distance(centres, features)
    mean_negative = masked_mean(distance, ~person)
    hard = ~person & (distance < mean_negative[:, None])
    negative = torch.where(hard.any(1), masked_mean(distance, hard), mean_negative)
    own, away = masked_mean(masked_mean(distance, person), first), masked_mean(negative, first)
    return torch.where(away > 0, own / away.clamp(min=torch.finfo(away.dtype).tiny), torch.zeros_like(own))


@in_float32
def cross_modal_contrastive(
    features: Tensor, labels: Tensor, infrared: Tensor, temperature: float = 0.1
) -> Tensor:
    """Supervised contrast of each row with the rows of the other modality, mean of both ways.

    On unit vectors; common practice, the temperature is our choice. Mean over the rows that have a positive.

    >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
    >>> loss = cross_modal_contrastive(points, labels, labels.new_tensor([0, 0, 1, 1]) > 0, temperature=1.0)
    >>> round(loss.item(), 4)  # log(1 + exp(-1))
    0.3133
    """
    unit = F.normalize(features, dim=1)
    crossing = ~same_label(infrared)
    logits = (unit @ unit.t() / temperature).masked_fill(~crossing, torch.finfo(unit.dtype).min)
    positive = same_label(labels) & crossing
    per_row = -masked_mean(F.log_softmax(logits, dim=1), positive)
    return _mean_of_turns(per_row, positive.any(1), infrared)


@in_float32
def multi_modality_alignment(features: Tensor, labels: Tensor, infrared: Tensor) -> Tensor:
    """MMA of M3-ReID (Liang et al., TIFS 2025): retrieve across modalities, each querying in turn.

    With cosine distance (1 - cos) / 2: softplus(mean over a row's positives in the other modality - mean
    over its negatives there), mean over rows that have both, then over the two turns.

    >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
    >>> loss = multi_modality_alignment(points, labels, labels.new_tensor([0, 0, 1, 1]) > 0)
    >>> round(loss.item(), 4)  # softplus(0 - 1/2)
    0.4741
    """
    unit = F.normalize(features, dim=1)
    distance = (1 - unit @ unit.t()) / 2
    person, crossing = same_label(labels), ~same_label(infrared)
    positive, negative = person & crossing, ~person & crossing
    per_row = F.softplus(masked_mean(distance, positive) - masked_mean(distance, negative))
    return _mean_of_turns(per_row, positive.any(1) & negative.any(1), infrared)


@in_float32
def center_alignment(features: Tensor, labels: Tensor, infrared: Tensor) -> Tensor:
    """Mean squared distance between a person's visible and infrared centres (hetero-centre, common practice).

    Mean over the persons that have rows of both modalities.

    >>> points = torch.tensor([[0.0], [2.0], [2.0], [6.0]])
    >>> center_alignment(points, torch.zeros(4, dtype=torch.long), torch.arange(4) >= 2).item()  # (1 - 4)^2
    9.0
    """
    person = same_label(labels)
    visible, other = person & ~infrared, person & infrared
    gap = (centres_of(features, visible) - centres_of(features, other)).square().sum(1)
    first = is_first(person)
    return masked_mean(gap, first & visible.any(1) & other.any(1))


@in_float32
def maximum_mean_discrepancy(features: Tensor, infrared: Tensor) -> Tensor:
    """Squared Gaussian MMD between the visible and the infrared rows, biased estimate (common practice).

    The mean of five kernels with bandwidths `MMD_SCALES` x the mean squared distance of the batch, which
    takes no gradient. 0 for equal sets.

    >>> points = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    >>> abs(round(maximum_mean_discrepancy(points, torch.arange(4) >= 2).item(), 4))
    0.0
    """
    squared = pairwise_distance(features, features).square()
    unit = squared.detach().mean().clamp(min=torch.finfo(squared.dtype).tiny)
    kernel = torch.stack([torch.exp(-squared / (scale * unit)) for scale in MMD_SCALES]).mean(0)
    visible = (~infrared).to(squared.dtype)
    weights = visible / visible.sum().clamp(min=1) - (1 - visible) / (1 - visible).sum().clamp(min=1)
    return weights @ kernel @ weights


@in_float32
def squared_gap(features: Tensor, others: Tensor) -> Tensor:
    """Mean over rows of the squared distance of `features` `[N, D]` to `others` `[N, D]`, row by row.

    X-ReID (arXiv 2511.17964) pulls the plain feature towards the one that has met the other modality.

    >>> squared_gap(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).item()
    25.0
    """
    return (features - others).square().sum(1).mean()


def _mean_of_turns(per_row: Tensor, counted: Tensor, infrared: Tensor) -> Tensor:
    return (masked_mean(per_row, counted & ~infrared) + masked_mean(per_row, counted & infrared)) / 2
