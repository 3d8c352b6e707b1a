"""Identity loss: softmax cross-entropy over the training identities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from tapetum.losses._precision import in_float32


@in_float32
def identity_loss(logits: Tensor, labels: Tensor, label_smooth: float = 0.0) -> Tensor:
    """Mean cross-entropy, a scalar.

    Args:
        logits: `[N, I]`, a row a feature, a column a training identity.
        labels: int64 `[N]`, 0..I-1.
        label_smooth: Share of the target spread evenly over all identities; CLIP-ReID (Li et al., AAAI 2023)
            uses 0.1.

    >>> import torch
    >>> identity_loss(torch.zeros(2, 4), torch.tensor([0, 3])).exp().round().item()
    4.0
    """
    return F.cross_entropy(logits, labels, label_smoothing=label_smooth)
