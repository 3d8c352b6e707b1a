"""Contrastive losses between two sets of features that share labels: images and texts, two modalities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from tapetum.losses._precision import in_float32
from tapetum.losses.triplet import same_label


@in_float32
def visual_to_text(features: Tensor, texts: Tensor, labels: Tensor, label_smooth: float = 0.0) -> Tensor:
    """Cross-entropy of each visual feature over the text features of all identities, a scalar.

    Raw dot products, no normalisation and no temperature, as in VLD (arXiv 2506.02439) and CLIP-ReID
    (Li et al., AAAI 2023, Eq. 6): the texts act as a classifier that both modalities share.

    Args:
        features: `[N, D]` visual features in the joint space.
        texts: `[I, D]`, row i the text of training identity i.
        labels: int64 `[N]`, 0..I-1.
        label_smooth: Share of the target spread evenly over all identities.

    >>> import torch
    >>> loss = visual_to_text(torch.eye(2), torch.eye(2), torch.tensor([0, 1]))
    >>> round(loss.item(), 4)  # log(1 + exp(-1))
    0.3133
    """
    return F.cross_entropy(features @ texts.t(), labels, label_smoothing=label_smooth)


@in_float32
def supervised_contrastive(
    anchors: Tensor, others: Tensor, anchor_labels: Tensor, other_labels: Tensor, temperature: float = 1.0
) -> Tensor:
    """Mean negative log-softmax of each anchor over the others that share its label, a scalar.

    The supervised-contrastive form of CLIP-ReID (Li et al., AAAI 2023, Eq. 4): dot products, softmax over
    all `others`, mean over the positives of an anchor, then over the anchors that have one. With texts as
    anchors and images as others it is the text-to-visual loss; swapped, its counterpart.

    Args:
        anchors: `[N, D]`.
        others: `[M, D]`.
        anchor_labels: int64 `[N]`.
        other_labels: int64 `[M]`.
        temperature: Divides the dot products; above 0.

    >>> import torch
    >>> loss = supervised_contrastive(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    >>> round(loss.item(), 4)
    0.3133
    """
    log_probability = F.log_softmax(anchors @ others.t() / temperature, dim=1)
    positive = same_label(anchor_labels, other_labels)
    count = positive.sum(1)
    per_anchor = (log_probability * positive).sum(1) / count.clamp(min=1)
    return -per_anchor.sum() / (count > 0).sum().clamp(min=1)


def text_to_visual(texts: Tensor, features: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Supervised-contrastive loss of the batch's texts over the visual features, a scalar.

    Each row's own text is an anchor, so an identity with more rows weighs more, as in CLIP-ReID's code.

    Args:
        texts: `[I, D]`, row i the text of training identity i.
        features: `[N, D]` visual features in the joint space.
        labels: int64 `[N]`, 0..I-1.
        temperature: Divides the dot products.
    """
    return supervised_contrastive(texts[labels], features, labels, labels, temperature)
