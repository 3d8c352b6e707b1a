"""Attention of a single token to the patches of a frame, between frames and between modalities.

The multi-granularity interaction of X-ReID (AAAI 2026): class tokens read patches that carry their
neighbours' channels (short term), patches of a frame further on (long term), and those of the same person in
the other modality. Each query stands alone in its row, so keys and values need never be formed: the query is
folded into the key weight, and the value weight applied to the weighted mean of the tokens. The numbers are
those of plain attention; the cost is about a thirtieth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tapetum.models.backbones.blocks import Mlp
from tapetum.models.interaction import HEAD_DIM


@dataclass(frozen=True, slots=True)
class TokenContext:
    """Tokens that queries attend to, with what a layer norm needs to know of them; units share it.

    Attributes:
        tokens: `[R, N, D]`, not normed; under autocast in its number type, cast once for all units.
        mean: Over channels, float32 or better `[R, N]`.
        inverse: One over the deviation over channels, `[R, N]`.
    """

    tokens: Tensor
    mean: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, tokens: Tensor, epsilon: float = 1e-5) -> TokenContext:
        """The context of `tokens` `[R, N, D]`; `epsilon` is added to variances."""
        wide = tokens.float() if tokens.dtype in (torch.float16, torch.bfloat16) else tokens
        variance, mean = torch.var_mean(wide, dim=-1, correction=0)
        kind = tokens.device.type
        if torch.is_autocast_enabled(kind):
            tokens = tokens.to(torch.get_autocast_dtype(kind))
        return cls(tokens, mean, (variance + epsilon).rsqrt())


class SingleQueryAttention(nn.Module):
    """Multi-head attention of one query per row to the tokens of its context, evaluated folded.

    With `n(c)` a token's layer norm, scores are `(Wq x) . (Wk n(c)) / 8` per head. The shift of the norm adds
    the same to all scores of a row and drops out of the softmax.

    Args:
        dim: D, a multiple of 64 or at most 64 (one head).

    Raises:
        ValueError: `dim` is above 64 and no multiple of it.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.heads = max(1, dim // HEAD_DIM)
        if dim > HEAD_DIM and dim % HEAD_DIM:
            raise ValueError(f"dim {dim}: expected a multiple of {HEAD_DIM}, or less for a single head")
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, context: TokenContext, norm: nn.LayerNorm, own: Tensor | None = None
    ) -> Tensor:
        """Attention output `[R, D]` of normed queries.

        Args:
            x: Normed queries, `[R, D]`.
            context: What the rows attend to.
            norm: The layer norm of tokens that become keys.
            own: None: values are the tokens as they are, `Wo Wv sum(a c)`. Else the queries before their
                norm, `[R, D]`: they are keys too and values are normed, as in self-attention.
        """
        rows, dim = x.shape
        size = dim // self.heads
        queries = self.query(x).view(rows, self.heads, size)
        folded = torch.einsum("rhd,hdk->rhk", queries, self.key.weight.view(self.heads, size, dim))
        slope = folded.to(context.mean.dtype) * (norm.weight * size**-0.5)
        if own is None:
            mixed = torch.softmax(_scores(slope, context), dim=-1) @ context.tokens
        else:
            mixed = _mix_normed(slope, context, norm, own)
        values = torch.einsum("rhk,hdk->rhd", mixed, self.value.weight.view(self.heads, size, dim))
        return self.out(values.flatten(1))  # type: ignore[no-any-return]


def _scores(slope: Tensor, context: TokenContext) -> Tensor:
    """`slope` `[R, heads, D]` times the tokens less their mean over their deviation: `[R, heads, N]`."""
    products = (slope @ context.tokens.transpose(1, 2)).to(slope.dtype)
    shift = slope.sum(-1, keepdim=True) * context.mean[:, None]
    return (products - shift) * context.inverse[:, None]


def _mix_normed(slope: Tensor, context: TokenContext, norm: nn.LayerNorm, own: Tensor) -> Tensor:
    """Weighted mean `[R, heads, D]` of the normed tokens of the context and of `own` `[R, D]`."""
    normed_own = F.layer_norm(own.to(slope.dtype), own.shape[-1:], eps=norm.eps)[:, None]
    score_of_own = (slope * normed_own).sum(-1, keepdim=True)
    weights = torch.softmax(torch.cat([_scores(slope, context), score_of_own], dim=-1), dim=-1)
    weight_of_own, weights = weights[..., -1:], weights[..., :-1] * context.inverse[:, None]
    mixed = (weights @ context.tokens).to(slope.dtype)
    mixed = mixed - (weights * context.mean[:, None]).sum(-1, keepdim=True)
    return (mixed + weight_of_own * normed_own) * norm.weight + norm.bias


class CrossAttentionUnit(nn.Module):
    """Block of SII and LII: a token attends to the patches of a frame, then passes through an MLP.

        x = x + Wo concat(softmax(q k / 8) v),  q = Wq LN(x), k = Wk LN'(c), v = Wv c
        x = x + MLP(LN''(x))

    Inner form from X-ReID's code; values are not normed there. Departure: LN' has no shift, which could not
    change an output (see `SingleQueryAttention`).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim, bias=False)
        self.attention = SingleQueryAttention(dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim, "gelu")

    def forward(self, x: Tensor, context: TokenContext) -> Tensor:
        """Tokens `[R, D]` after reading their rows of `context`."""
        x = x + self.attention(self.query_norm(x), context, self.context_norm)
        return x + self.mlp(self.mlp_norm(x))  # type: ignore[no-any-return]


class PartnerBlock(nn.Module):
    """Block of CII: the first output of a transformer block over `[pooled token ; patches of a frame]`.

    One pre-norm block with one norm for queries, keys and values, MLP ratio 4; only the first token's output
    is of use, so it alone is computed. The paper gives "self-attention and a feed-forward network", the rest
    is our reading.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = SingleQueryAttention(dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim, "gelu")

    def forward(self, pooled: Tensor, context: TokenContext) -> Tensor:
        """Pooled tokens `[B, D]` after meeting each frame of their rows of `context`, mean over frames.

        Args:
            pooled: `[B, D]`.
            context: Of `B * T` frames, T consecutive ones for each pooled token.
        """
        frames = context.tokens.shape[0] // pooled.shape[0]
        x = pooled[:, None].expand(-1, frames, -1).flatten(0, 1)
        x = x + self.attention(self.norm(x), context, self.norm, own=x)
        x = x + self.mlp(self.mlp_norm(x))
        return x.view(-1, frames, x.shape[-1]).mean(1)  # type: ignore[no-any-return]


def exchange_channels(patches: Tensor, stride: int = 1) -> Tensor:
    """Patches `[B, T, N, D]` that carry their neighbours' channels, in a new tensor.

    The first quarter of channels comes from frame t - stride, the second from t + stride; a frame without
    such a neighbour keeps its own, and 0 exchanges nothing. Departure: the authors' code assigns overlapping
    slices of one tensor, so that frame 0 spreads over the clip.

    >>> clip = torch.tensor([10.0, 20, 30, 40]).view(1, 4, 1, 1).expand(1, 4, 1, 4)
    >>> exchange_channels(clip)[0, :, 0, :2].t().tolist()
    [[10.0, 10.0, 20.0, 30.0], [20.0, 30.0, 40.0, 40.0]]
    """
    if stride == 0:
        return patches
    frames, quarter = patches.shape[1], patches.shape[-1] // 4
    step = min(stride, frames)
    early, late, own = (
        patches[..., :quarter],
        patches[..., quarter : 2 * quarter],
        patches[..., 2 * quarter :],
    )
    before = torch.cat([early[:, :step], early[:, : frames - step]], dim=1)
    after = torch.cat([late[:, step:], late[:, frames - step :]], dim=1)
    return torch.cat([before, after, own], dim=-1)


@dataclass(frozen=True, slots=True)
class Branches:
    """What the interaction inside clips gives; None where a branch is switched off.

    Attributes:
        short: SII's class tokens, `[B, T, D]`.
        long: LII's class tokens, `[B, T, D]`; entry t belongs to frame t's class token.
        patches: The frames' own patches as a context.
    """

    short: Tensor | None
    long: Tensor | None
    patches: TokenContext

    @property
    def fused(self) -> Tensor:
        """The sum of the branches that are there, `[B, T, D]`."""
        if self.short is None or self.long is None:
            return cast(Tensor, self.long if self.short is None else self.short)
        return self.short + self.long


class GranularityInteraction(nn.Module):
    """SII, LII and CII on the last-layer tokens of clips; a part that is None is switched off.

    Args:
        dim: D.
        short_depth: Units of SII, one after the other on one context; 0: no SII.
        short_stride: Frames between which SII exchanges channels; 0: none are exchanged.
        has_long: Whether there is LII.
        long_stride: LII's class token of frame t reads the patches of frame t + this, cyclically.
        has_partner: Whether there is CII.
    """

    def __init__(
        self,
        dim: int,
        *,
        short_depth: int = 2,
        short_stride: int = 1,
        has_long: bool = True,
        long_stride: int = 2,
        has_partner: bool = True,
    ) -> None:
        super().__init__()
        self.short_stride = short_stride
        self.long_stride = long_stride
        self.short = nn.ModuleList(CrossAttentionUnit(dim) for _ in range(short_depth))
        self.long = CrossAttentionUnit(dim) if has_long else None
        self.partner = PartnerBlock(dim) if has_partner else None

    def forward(self, classes: Tensor, patches: Tensor) -> Branches:
        """Both branches of clips, frame by frame.

        Args:
            classes: Class tokens `[B, T, D]`.
            patches: `[B, T, N, D]`.
        """
        own = TokenContext.of(patches.flatten(0, 1))
        return Branches(self._short(classes, patches), self._long(classes, own), own)

    def meet(self, pooled: Tensor, patches: TokenContext) -> Tensor:
        """CII: pooled tokens `[B, D]` after meeting their partners, mean over the partners' frames.

        Args:
            pooled: B / 2 rows of one modality, then as many of the other; row i of one half and row i of the
                other are partners.
            patches: Of all `B * T` frames.

        Raises:
            RuntimeError: CII is switched off.
        """
        if self.partner is None:
            raise RuntimeError("this interaction was built without its part between modalities")
        half = pooled.shape[0] // 2
        return self.partner(pooled.roll(half, 0), patches).roll(half, 0)  # type: ignore[no-any-return]

    def _short(self, classes: Tensor, patches: Tensor) -> Tensor | None:
        if not self.short:
            return None
        context = TokenContext.of(exchange_channels(patches, self.short_stride).flatten(0, 1))
        x = classes.flatten(0, 1)
        for unit in self.short:
            x = unit(x, context)
        return x.view_as(classes)

    def _long(self, classes: Tensor, patches: TokenContext) -> Tensor | None:
        """Queries travel to the patches and back, for they are few and the patches many."""
        if self.long is None:
            return None
        queries = classes.roll(self.long_stride, 1).flatten(0, 1)
        return self.long(queries, patches).view_as(classes).roll(-self.long_stride, 1)  # type: ignore[no-any-return]
