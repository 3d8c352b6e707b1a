"""What a camera adds to the frames it took: a learned vector per camera."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STD = 0.02


class CameraEmbedding(nn.Module):
    """A learned row per training camera; a camera that is not among them gets the mean of all rows.

    Args:
        num_cameras: C, at least 1.
        dim: D, length of a row.

    Raises:
        ValueError: No camera.
    """

    def __init__(self, num_cameras: int, dim: int) -> None:
        super().__init__()
        if num_cameras < 1:
            raise ValueError(f"{num_cameras} cameras: expected at least 1")
        self.table = nn.Parameter(torch.empty(num_cameras, dim))
        nn.init.trunc_normal_(self.table, std=_STD)

    def forward(self, cameras: Tensor) -> Tensor:
        """Rows `[B, D]` of camera indices `cameras` `[B]`; -1 stands for a camera not in the table.

        >>> embedding = CameraEmbedding(2, 3)
        >>> found = embedding(torch.tensor([1, -1]))
        >>> torch.equal(found[0], embedding.table[1]), torch.allclose(found[1], embedding.table.mean(0))
        (True, True)
        """
        table = torch.cat([self.table, self.table.mean(0, keepdim=True)])
        return F.embedding(torch.where(cameras < 0, self.table.shape[0], cameras), table)
