"""Non-local blocks (Wang et al., CVPR 2018) in the form that AGW gave them (Ye et al., TPAMI 2021)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from tapetum.models.batch_statistics import MapNorm


class NonLocal(nn.Module):
    """Every position of a map receives a weighted sum over all positions; at first it changes nothing.

    `x + norm(out(y))` with `y_i = 1/n sum_j (theta_i . phi_j) g_j` over the n positions of a map; theta, phi
    and g are linear in x. Similarities are divided by n, not passed through a softmax; the norm's scale
    starts at 0.

    Without a softmax the sum may be taken in either order: `g (phi^T theta)` costs n^2 products per channel,
    `(g phi^T) theta` as many as there are inner channels in place of n. The cheaper one is taken, which
    differs by rounding alone.

    Args:
        channels: Of the map.
        inner: Of theta, phi and g; None: half of `channels`.
    """

    def __init__(self, channels: int, inner: int | None = None) -> None:
        super().__init__()
        self.inner = max(1, channels // 2) if inner is None else inner
        self.project = nn.Conv2d(channels, 3 * self.inner, 1)
        self.out = nn.Conv2d(self.inner, channels, 1)
        self.norm = MapNorm(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, C, H, W]` of maps of the same shape."""
        rows, _, height, width = maps.shape
        theta, phi, g = self.project(maps).flatten(2).chunk(3, dim=1)
        phi = phi / (height * width)  # before the sums, which would leave half precision
        if height * width > self.inner:
            mixed = torch.bmm(torch.bmm(g, phi.mT), theta)
        else:
            mixed = torch.bmm(g, torch.bmm(phi.mT, theta))
        mixed = mixed.view(rows, self.inner, height, width)
        return maps + cast(Tensor, self.norm(self.out(mixed)))
