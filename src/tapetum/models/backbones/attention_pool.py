"""CLIP's attention pooling of a feature map (Radford et al., ICML 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AttentionPool(nn.Module):
    """Attention of the mean of a map to itself and to all places: the map as one joint embedding.

    OpenAI's code forms keys and values of every token. Only the first token is asked for, so its query is
    folded into the key weight, and the value weight applied to the weighted mean of the tokens: equal numbers
    with a fortieth of the products. `k_proj.bias` adds the same to all scores of a head and drops out of the
    softmax: files have it, but it neither acts nor learns.

    Attributes:
        heads: Heads of the attention.
        positional_embedding: `[1 + rows * columns, D]`, that of the mean first.
    """

    def __init__(self, dim: int, heads: int, output_dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(1 + grid[0] * grid[1], dim))
        self.k_proj = nn.Linear(dim, dim)
        self.q_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.c_proj = nn.Linear(dim, output_dim)

    def forward(self, maps: Tensor) -> Tensor:
        """Joint embeddings `[N, output_dim]` of maps `[N, D, rows, columns]`."""
        places = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([places.mean(1, keepdim=True), places], dim=1) + self.positional_embedding
        rows, _, dim = tokens.shape
        size = dim // self.heads
        query = self.q_proj(tokens[:, 0]).view(rows, self.heads, size) * size**-0.5
        folded = torch.einsum("nhd,hdk->nhk", query, self.k_proj.weight.view(self.heads, size, dim))
        scores = folded @ tokens.transpose(1, 2)
        number_type = torch.promote_types(scores.dtype, torch.float32)
        weights = torch.softmax(scores, dim=-1, dtype=number_type).to(tokens.dtype)
        values = torch.einsum(
            "nhk,hdk->nhd", weights @ tokens, self.v_proj.weight.view(self.heads, size, dim)
        )
        return self.c_proj(values.flatten(1) + self.v_proj.bias)  # type: ignore[no-any-return]

    def reset_parameters(self) -> None:
        """Draw weights as OpenAI does; biases stay as PyTorch draws them."""
        std = self.positional_embedding.shape[1] ** -0.5
        layers = (self.q_proj, self.k_proj, self.v_proj, self.c_proj)
        for weight in (self.positional_embedding, *(layer.weight for layer in layers)):
            nn.init.normal_(weight, std=std)
