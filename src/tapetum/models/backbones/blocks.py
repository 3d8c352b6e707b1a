"""Transformer blocks of CLIP (Radford et al., ICML 2021) with the token mixing left open.

A block owns the weights; *which tokens see which* is an argument (`AttentionPattern`), so methods regroup,
shift or inject tokens without new weights and without a copy of the block.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tapetum.models.backbones.linear import Linear

Activation = Literal["quick_gelu", "gelu"]
"""Non-linearity of the MLPs. It belongs to the weights: OpenAI's were trained with `quick_gelu`."""

_QUICK_GELU_SLOPE = 1.702


class AttentionPattern(Protocol):
    """Which tokens attend to which: queries, keys and values to mixed values.

    A pattern has no weights. Queries, keys and values of a token are linear in that token, so moving tokens
    between rows here equals moving them before the projection.
    """

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
        """Mixed values `[N, Lq, heads, head_dim]`, one per query.

        Args:
            q: `[N, Lq, heads, head_dim]`: the first `Lq <= L` tokens of each row (fewer where a caller cuts
                the queries, see `Block`).
            k: `[N, L, heads, head_dim]`.
            v: `[N, L, heads, head_dim]`.
        """
        ...


def attend(q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
    """Softmax attention inside each row: `[N, Lq, heads, head_dim]`, scaled by `head_dim ** -0.5`.

    Args:
        q: `[N, Lq, heads, head_dim]`.
        k: `[N, L, heads, head_dim]`.
        v: `[N, L, heads, head_dim]`.
    """
    return _mix(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), causal=False).transpose(1, 2)


def attend_causally(q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
    """`attend` where a token sees itself and those before it only (the text transformer).

    With fewer queries than keys, the queries are those of the last tokens.
    """
    return _mix(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), causal=True).transpose(1, 2)


def _mix(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Attention over `[N, heads, L, head_dim]` by the quickest kernel for the device and number type.

    PyTorch's fused kernel, except for training in bfloat16 on a processor, where its backward pass takes
    three times as long as plain products at the sequence lengths of a frame.
    """
    if q.device.type == "cpu" and q.dtype is torch.bfloat16 and q.requires_grad:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if causal:
            scores = scores.masked_fill(~_seen(q, k), -torch.inf)
        return torch.softmax(scores, dim=-1) @ v
    if causal and q.shape[-2] < k.shape[-2]:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=_seen(q, k))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def _seen(q: Tensor, k: Tensor) -> Tensor:
    """Bool `[Lq, L]`: which of the L keys a query sees, where the queries are those of the last tokens."""
    length, keys = q.shape[-2], k.shape[-2]
    return torch.ones(length, keys, dtype=torch.bool, device=q.device).tril(keys - length)


def quick_gelu(x: Tensor) -> Tensor:
    """`x * sigmoid(1.702 x)`, elementwise: the approximation of GELU that OpenAI's CLIP was trained with.

    Written as `silu(1.702 x) / 1.702`: the same function, but one tensor fewer is kept for the backward pass.

    >>> round(float(quick_gelu(torch.tensor(1.0))), 4)  # 1 / (1 + exp(-1.702))
    0.8458
    """
    return F.silu(x * _QUICK_GELU_SLOPE) * (1 / _QUICK_GELU_SLOPE)


def activation_function(name: Activation) -> Callable[[Tensor], Tensor]:
    """The function called `name`.

    Raises:
        ValueError: Neither "quick_gelu" nor "gelu".
    """
    if name == "quick_gelu":
        return quick_gelu
    if name == "gelu":
        return F.gelu
    raise ValueError(f"unknown activation {name!r}; known: quick_gelu, gelu")


class Attention(nn.Module):
    """Multi-head attention whose mixing is an `AttentionPattern`.

    Queries and keys/values have a linear layer each, so that a cut of the queries saves their cost.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is no multiple of heads {heads}")
        self.heads = heads
        self.query = Linear(width, width)
        self.key_value = Linear(width, 2 * width)
        self.out = Linear(width, width)

    def forward(
        self, x: Tensor, pattern: AttentionPattern | None = None, *, queries: int | None = None
    ) -> Tensor:
        """Attention output `[N, n, D]` of the first n tokens (all L where `queries` is None).

        Args:
            x: Normed tokens `[N, L, D]`.
            pattern: How tokens mix; None: all tokens of a row (`attend`).
            queries: n.
        """
        rows, length, width = x.shape
        asked = x if queries is None else x[:, :queries]
        q = self.query(asked).view(rows, -1, self.heads, width // self.heads)
        k, v = self.key_value(x).view(rows, length, 2, self.heads, width // self.heads).unbind(2)
        mixed = (pattern or attend)(q, k, v)
        return self.out(mixed.reshape(rows, -1, width))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Two linear layers with an activation between them, applied to each token."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.expand = Linear(width, hidden)
        self.contract = Linear(hidden, width)
        self.activation = activation_function(activation)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., D]` of tokens `[..., D]`."""
        return self.contract(self.activation(self.expand(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Pre-norm residual block: `x + attention(ln_1(x))`, then `x + mlp(ln_2(x))`."""

    def __init__(self, width: int, heads: int, activation: Activation, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, round(width * mlp_ratio), activation)

    def forward(
        self, x: Tensor, pattern: AttentionPattern | None = None, *, queries: int | None = None
    ) -> Tensor:
        """Tokens after the block: `[N, L, D]`, or `[N, n, D]` where `queries` is n.

        Args:
            x: Tokens `[N, L, D]`; any L, so a caller may concatenate tokens of its own.
            pattern: How tokens mix; None: all tokens of a row.
            queries: Compute only the first n tokens. Keys and values still come from all L, so the n
                tokens are exactly those of the uncut block.
        """
        kept = x if queries is None else x[:, :queries]
        x = kept + self.attn(self.ln_1(x), pattern, queries=queries)
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]

    def reset_parameters(self, depth: int) -> None:
        """Draw weights as OpenAI does for its text transformer; biases become 0.

        Args:
            depth: Blocks in the whole transformer; layers that end in the residual stream shrink with it.
        """
        width = self.ln_1.normalized_shape[0]
        into_residual = width**-0.5 * (2 * depth) ** -0.5
        for layer, std in (
            (self.attn.query, width**-0.5),
            (self.attn.key_value, width**-0.5),
            (self.attn.out, into_residual),
            (self.mlp.expand, (2 * width) ** -0.5),
            (self.mlp.contract, into_residual),
        ):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)


class Tower(nn.Module):
    """A stack of blocks with optional gradient checkpointing; base of the image and the text transformer.

    Attributes:
        blocks: The blocks, in order.
        gradient_checkpointing: Recompute each block in the backward pass instead of keeping its activations:
            equal gradients, less memory, about a third more time.
    """

    def __init__(
        self, width: int, layers: int, heads: int, activation: Activation, mlp_ratio: float = 4.0
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, activation, mlp_ratio) for _ in range(layers))
        self.gradient_checkpointing = False

    def reset_blocks(self) -> None:
        """Draw the weights of all blocks anew (see `Block.reset_parameters`)."""
        for block in self.blocks.children():
            cast(Block, block).reset_parameters(len(self.blocks))

    def run_block(
        self,
        index: int,
        x: Tensor,
        pattern: AttentionPattern | None = None,
        *,
        queries: int | None = None,
    ) -> Tensor:
        """Tokens after block `index`, as `Block.forward`; honours `gradient_checkpointing`."""
        run = functools.partial(self.blocks[index], pattern=pattern, queries=queries)
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(run, x, use_reentrant=False)  # type: ignore[no-any-return]
        return run(x)  # type: ignore[no-any-return]
