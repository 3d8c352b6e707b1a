"""Semantic diffusion and cross-modal interaction, the two modules of LSMRL after its image tower.

The abstract of LSMRL (arXiv 2601.12062) names both and says what they are for: prompts that the modalities
share flow into each modality's features, then bidirectional cross-modal self-attention closes what gap is
left. Their inner form is our reconstruction.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_DIM = 64
"""Channels of an attention head, as in CLIP."""

DiffusionMode = Literal["xattn_bank", "pooled_prompt", "token_concat"]
InteractionContext = Literal["concat", "other"]


class ContextBlock(nn.Module):
    """Residual block in which tokens attend to a context of other tokens; both residuals scaled per channel.

        x = x + scale_1 * attention(query = LN(x), key = value = LN'(context))
        x = x + scale_2 * ffn(LN(x))

    Args:
        dim: D, length of a token; a multiple of 64, or at most 64 (one head).
        scale: Initial value of the two learnable scales `[D]`.
        own_context_norm: Give the context a layer norm of its own; else it shares that of the queries.

    Raises:
        ValueError: `dim` is above 64 and no multiple of it.
    """

    def __init__(self, dim: int, *, scale: float = 0.1, own_context_norm: bool = False) -> None:
        super().__init__()
        self.heads = max(1, dim // HEAD_DIM)
        if dim % self.heads or (dim > HEAD_DIM and dim % HEAD_DIM):
            raise ValueError(f"dim {dim}: expected a multiple of {HEAD_DIM}, or less for a single head")
        self.norm = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim) if own_context_norm else None
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.ffn_norm = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.attention_scale = nn.Parameter(torch.full((dim,), float(scale)))
        self.ffn_scale = nn.Parameter(torch.full((dim,), float(scale)))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Tokens `[N, L, D]` after the block.

        Args:
            x: `[N, L, D]`.
            context: `[N, M, D]`, or `[1, M, D]` where all rows share it.
        """
        context_norm = self.norm if self.context_norm is None else self.context_norm
        x = x + self.attention_scale * self._attend(self.norm(x), context_norm(context))
        return x + self.ffn_scale * self.ffn(self.ffn_norm(x))  # type: ignore[no-any-return]

    def _attend(self, x: Tensor, context: Tensor) -> Tensor:
        q = self._split_heads(self.query(x))
        k, v = self.key_value(context).chunk(2, dim=-1)
        k, v = self._split_heads(k), self._split_heads(v)
        rows = (x.shape[0], -1, -1, -1)
        mixed = F.scaled_dot_product_attention(q, k.expand(rows), v.expand(rows))
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)


class SemanticDiffusion(nn.Module):
    """SD: the text features of all training identities flow into visual tokens.

    Never the text of a tracklet's own identity: that would need labels at test time, and leak them in
    training.

    Args:
        dim: D of the joint space.
        mode: "xattn_bank": visual tokens query the bank of text features. "pooled_prompt": every token takes
            up the mean text feature (attention to a single key). "token_concat": visual tokens attend to one
            another and to the bank.
        scale: Initial value of the residual scales.

    Raises:
        ValueError: An unknown mode.
    """

    def __init__(self, dim: int, mode: DiffusionMode = "xattn_bank", *, scale: float = 0.1) -> None:
        super().__init__()
        if mode not in ("xattn_bank", "pooled_prompt", "token_concat"):
            raise ValueError(f"unknown mode {mode!r}; known: xattn_bank, pooled_prompt, token_concat")
        self.mode = mode
        self.block = ContextBlock(dim, scale=scale, own_context_norm=True)

    def forward(self, visual: Tensor, bank: Tensor) -> Tensor:
        """Visual tokens `[N, L, D]` that carry the semantics of the prompts.

        Args:
            visual: `[N, L, D]` in the joint space.
            bank: `[I, D]` text features of all training identities, not normalised.
        """
        if self.mode == "xattn_bank":
            return self.block(visual, bank[None])  # type: ignore[no-any-return]
        if self.mode == "pooled_prompt":
            return self.block(visual, bank.mean(0)[None, None])  # type: ignore[no-any-return]
        texts = bank[None].expand(visual.shape[0], -1, -1)
        return self.block(visual, torch.cat([visual, texts], dim=1))  # type: ignore[no-any-return]


class CrossModalInteraction(nn.Module):
    """CMI: a sequence attends to itself and to a sequence of the other modality, with shared weights.

    Both directions at once, without modality embedding, so swapping the modalities swaps the outputs.

    Args:
        dim: D of the joint space.
        context: Keys and values are "concat": both sequences; "other": the partner alone.
        scale: Initial value of the residual scales.

    Raises:
        ValueError: An unknown context.
    """

    def __init__(self, dim: int, context: InteractionContext = "concat", *, scale: float = 0.1) -> None:
        super().__init__()
        if context not in ("concat", "other"):
            raise ValueError(f"unknown context {context!r}; known: concat, other")
        self.context = context
        self.block = ContextBlock(dim, scale=scale)

    def forward(self, own: Tensor, partner: Tensor | None = None) -> Tensor:
        """Tokens `[N, L, D]` of `own` after meeting `partner`.

        Args:
            own: `[N, L, D]`.
            partner: `[N, L, D]`, row by row; None: the sequence is its own partner. Attention over a sequence
                given twice equals attention over it once, so it is given once.
        """
        if partner is None:
            return self.block(own, own)  # type: ignore[no-any-return]
        context = torch.cat([own, partner], dim=1) if self.context == "concat" else partner
        return self.block(own, context)  # type: ignore[no-any-return]


def draw_partners(
    labels: Tensor, *, shuffle: bool, self_probability: float, generator: torch.Generator
) -> Tensor:
    """Row of each row's partner: int64 `[2B]`.

    A visible row and the infrared row of the same person are each other's partners; a row whose draw says so
    is its own.

    Args:
        labels: int64 `[2B]`, B visible rows, then B infrared rows with the same labels in the same order.
        shuffle: Permute the partners among the rows of an identity; else row j meets row B + j.
        self_probability: Probability with which a row is its own partner.
        generator: Where randomness comes from; on the CPU, so that it is the same on every device.

    Raises:
        ValueError: An odd number of rows.
    """
    if labels.shape[0] % 2:
        raise ValueError(f"{labels.shape[0]} rows: expected as many visible as infrared ones")
    half = labels.shape[0] // 2
    device = labels.device
    draws = torch.rand(2, 2 * half, generator=generator).to(device, non_blocking=True)
    rows = torch.arange(half, device=device)
    partner = rows
    if shuffle:
        by_person = labels[:half].argsort(stable=True)
        shuffled = draws[0, :half].argsort()
        partner = torch.empty_like(rows)
        partner[by_person] = shuffled[labels[:half][shuffled].argsort(stable=True)]
    both = torch.cat([partner + half, partner.argsort()])
    own = torch.arange(2 * half, device=device)
    return torch.where(draws[1] < self_probability, own, both)
