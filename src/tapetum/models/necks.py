"""What stands between a pooled feature and the identity loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_CLASSIFIER_STD = 0.001


class BatchNormNeck(nn.Module):
    """Batch norm, then a linear classifier without bias (BNNeck, Luo et al., CVPR workshops 2019).

    Triplet-type losses use the feature before the norm, the identity loss the logits behind it.

    Args:
        dim: D, length of a feature.
        num_identities: I, training identities.
        bias_trains: Whether the norm's bias learns (VLD) or stays 0 (CLIP-ReID, Luo et al.).
    """

    def __init__(self, dim: int, num_identities: int, *, bias_trains: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        self.norm.bias.requires_grad_(bias_trains)
        self.classifier = nn.Linear(dim, num_identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=_CLASSIFIER_STD)

    def forward(self, features: Tensor) -> Tensor:
        """Logits `[N, I]` of features `[N, D]`."""
        return self.classifier(self.norm(features))  # type: ignore[no-any-return]


class JointNeck(nn.Module):
    """A batch norm for each of several features, one linear classifier on all of them side by side.

    Args:
        dims: Lengths of the features.
        num_identities: I, training identities.
        bias_trains: Whether the norms' biases learn or stay 0.
    """

    def __init__(self, dims: Sequence[int], num_identities: int, *, bias_trains: bool = True) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim) for dim in dims)
        for norm in self.norms.children():
            norm.bias.requires_grad_(bias_trains)
        self.classifier = nn.Linear(sum(dims), num_identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=_CLASSIFIER_STD)

    def normed(self, *features: Tensor) -> Tensor:
        """Features `[N, D_i]` behind their norms, side by side: `[N, sum of D_i]`."""
        return torch.cat([norm(x) for norm, x in zip(self.norms, features, strict=True)], dim=1)

    def forward(self, *features: Tensor) -> Tensor:
        """Logits `[N, I]` of features `[N, D_i]`."""
        return self.classifier(self.normed(*features))  # type: ignore[no-any-return]
