"""Two texts of one person made one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TextFusion(nn.Module):
    """A visible text plus what a small network makes of the infrared one, `v + out(tanh(value(r)))`.

    What the attention fusion of CSDN's code computes (Yu et al., IEEE TMM 2025): its softmax runs over a
    single key and so is 1 always; queries and keys, which cannot act, are left out. Departure: at first the
    infrared text adds nothing, so that texts mean something before the fusion has learnt.

    >>> TextFusion(2)(torch.ones(1, 2), torch.tensor([[3.0, 4.0]])).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, visible: Tensor, infrared: Tensor, dropout: float = 0.0) -> Tensor:
        """Texts `[N, D]` of texts `[N, D]` of both modalities.

        Args:
            visible: What is added to.
            infrared: What is added, after the network.
            dropout: Share of the hidden values that are dropped; above 0 while the fusion learns.
        """
        hidden = F.dropout(torch.tanh(self.value(infrared)), dropout, training=dropout > 0)
        return visible + self.out(hidden)  # type: ignore[no-any-return]
