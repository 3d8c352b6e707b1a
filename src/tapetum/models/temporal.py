"""Attention patterns that let the frames of a clip see one another, with the weights of a frame-wise tower.

Each is an `AttentionPattern` for tokens `[clips * T, 1 + rows * columns, D]`, frame after frame inside a
clip, class token first, patches row by row; queries are all tokens or the class tokens alone. No weights.
With T = 1 all but `StripeTube` (with more than one stripe) are plain attention.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from tapetum.models.backbones.blocks import attend

ShiftPattern = Literal["C", "short"]

MOSAICS: dict[ShiftPattern, tuple[tuple[int, int, int], ...]] = {
    "C": ((-4, 1, 2), (-1, 0, 3), (-2, -3, 4)),
    "short": ((-1, 1, 1), (-1, 0, 1), (-1, -1, 1)),
}
"""Frames by which a patch at (row mod 3, column mod 3) is rolled forward in time.

"C" is pattern C of TPS (Xiang et al., ECCV 2022); "short" keeps its signs with one frame each, since +-4
wraps to -+2 in a clip of six frames.
"""


class StripeTube:
    """Attention inside space-time tubes: a horizontal stripe of patches over all frames of the clip.

    A tube holds the class tokens of all T frames and the patches of `rows / stripes` rows in all T frames.
    Class tokens take part in every tube; their outputs are averaged. Near stripes = T a tube has about as
    many tokens as a frame, and the cost stays that of frame-wise attention.

    Our reading of LSMRL's "spatial-temporal grouped encoder", whose definition is not public.

    Args:
        frames: T.
        grid: (rows, columns) of patches in a frame.
        stripes: G, number of stripes; divides the rows.

    Raises:
        ValueError: `stripes` does not divide the rows.
    """

    def __init__(self, frames: int, grid: tuple[int, int], stripes: int) -> None:
        if stripes < 1 or grid[0] % stripes:
            raise ValueError(f"{stripes} stripes do not divide the {grid[0]} rows of patches evenly")
        self.frames = frames
        self.stripes = stripes

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
        """Mixed values `[N, Lq, heads, head_dim]`; see `AttentionPattern`."""
        class_only = q.shape[1] == 1
        queries = self._classes(q) if class_only else self._tubes(q)
        mixed = attend(queries, self._tubes(k), self._tubes(v))
        classes = _split(mixed[:, : self.frames], 0, -1, self.stripes).mean(1).flatten(0, 1)
        if class_only:
            return classes[:, None]
        return torch.cat([classes[:, None], self._untube(mixed[:, self.frames :])], dim=1)

    def _classes(self, tokens: Tensor) -> Tensor:
        """The clip's class tokens once per tube: `[clips * G, T, heads, head_dim]`."""
        classes = _split(tokens[:, 0], 0, -1, self.frames)
        return classes[:, None].expand(-1, self.stripes, -1, -1, -1).flatten(0, 1)

    def _tubes(self, tokens: Tensor) -> Tensor:
        """Class tokens, then the stripe's patches frame by frame: `[clips * G, T + T * P / G, ...]`."""
        patches = _split(_split(tokens[:, 1:], 1, self.stripes, -1), 0, -1, self.frames)
        tubes = patches.transpose(1, 2).flatten(2, 3).flatten(0, 1)
        return torch.cat([self._classes(tokens), tubes], dim=1)

    def _untube(self, tubes: Tensor) -> Tensor:
        """Patches back in their frames: `[clips * T, P, heads, head_dim]`."""
        patches = _split(_split(tubes, 1, self.frames, -1), 0, -1, self.stripes)
        return patches.transpose(1, 2).flatten(2, 3).flatten(0, 1)


class HeadSplit:
    """Frame-wise attention in which two heads read keys and values of the neighbouring frames.

    ZeroI2V (Li et al., ECCV 2024): the first head sees the frame before, the second the frame after, the
    others their own; frames at the border see themselves. The second candidate for LSMRL's grouped encoder.

    Args:
        frames: T.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
        """Mixed values `[N, Lq, heads, head_dim]`; see `AttentionPattern`."""
        return attend(q, self._from_neighbours(k), self._from_neighbours(v))

    def _from_neighbours(self, tokens: Tensor) -> Tensor:
        before, after, own = tokens[:, :, :1], tokens[:, :, 1:2], tokens[:, :, 2:]
        moved = [_from_frame(before, self.frames, -1), _from_frame(after, self.frames, 1)]
        return torch.cat([*moved, own], dim=2)


class FrameGroup:
    """Joint attention over all tokens of consecutive frames.

    The third candidate for LSMRL's grouped encoder. Clips of a length that `groups` does not divide are cut
    into as many groups as both allow (the greatest common divisor).

    Args:
        frames: T.
        groups: M, groups a clip is cut into.
    """

    def __init__(self, frames: int, groups: int) -> None:
        self.together = frames // math.gcd(frames, groups)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
        """Mixed values `[N, Lq, heads, head_dim]`; see `AttentionPattern`."""
        grouped = [_split(x, 0, -1, self.together).flatten(1, 2) for x in (q, k, v)]
        return _split(attend(*grouped), 1, self.together, -1).flatten(0, 1)


class PatchShift:
    """Patches are exchanged between frames by a fixed 3x3 mosaic, attend in their host frame, and return.

    Temporal patch shift of TPS (Xiang et al., ECCV 2022): a patch at (row, column) rolls by the mosaic's
    number of frames, circularly, with query, key and value; the output rolls back. Departure, as CLIP has a
    class token and TPS none: the class token stays in its frame and sees the mosaic.

    Args:
        frames: T.
        grid: (rows, columns) of patches in a frame; any size, the mosaic repeats.
        pattern: A name in `MOSAICS`.
    """

    def __init__(self, frames: int, grid: tuple[int, int], pattern: ShiftPattern = "C") -> None:
        self.frames = frames
        self.grid = grid
        self.pattern = pattern

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
        """Mixed values `[N, Lq, heads, head_dim]`; see `AttentionPattern`."""
        if self.frames == 1:
            return attend(q, k, v)
        if q.shape[1] == 1:
            return attend(q, self.shift(k), self.shift(v))
        return self.unshift(attend(self.shift(q), self.shift(k), self.shift(v)))

    def shift(self, tokens: Tensor) -> Tensor:
        """Tokens `[N, L, ...]` with each patch in the frame that hosts it."""
        forward, back = self._orders(tokens.device)
        return self._reorder(tokens, forward, back)

    def unshift(self, tokens: Tensor) -> Tensor:
        """Tokens `[N, L, ...]` with each patch back in its own frame."""
        forward, back = self._orders(tokens.device)
        return self._reorder(tokens, back, forward)

    def _orders(self, device: torch.device) -> tuple[Tensor, Tensor]:
        # Traced programs have to build the order themselves: what they compute must not enter the cache.
        build = _shift_orders.__wrapped__ if torch.compiler.is_compiling() else _shift_orders
        return build(self.frames, *self.grid, self.pattern, device)

    def _reorder(self, tokens: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        clips = _split(tokens, 0, -1, self.frames).flatten(1, 2)
        return _split(_permute(clips, order, inverse), 1, self.frames, -1).flatten(0, 1)


class ChannelShift:
    """Patches take an eighth of each head's channels from the frame before and an eighth from the one after.

    The channel shift that TPS's code runs in every other block (after TSM, Lin et al., ICCV 2019); frames at
    the border keep their own. Departure: TPS shifts channels of the input of the projection to queries,
    keys and values, here those of queries, keys and values move; the class token stays whole.

    Args:
        frames: T.
        share: One part in `share` moves in each direction.
    """

    def __init__(self, frames: int, share: int = 8) -> None:
        self.frames = frames
        self.share = share

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
        """Mixed values `[N, Lq, heads, head_dim]`; see `AttentionPattern`."""
        class_only = q.shape[1] == 1
        return attend(q if class_only else self._mix(q), self._mix(k), self._mix(v))

    def _mix(self, tokens: Tensor) -> Tensor:
        fold = tokens.shape[-1] // self.share
        classes, patches = tokens[:, :1], tokens[:, 1:]
        moved = [
            _from_frame(patches[..., :fold], self.frames, -1),
            _from_frame(patches[..., fold : 2 * fold], self.frames, 1),
        ]
        return torch.cat([classes, torch.cat([*moved, patches[..., 2 * fold :]], dim=-1)], dim=1)


def shift_amounts(grid: tuple[int, int], pattern: ShiftPattern) -> Tensor:
    """Frames by which each patch rolls forward in time: int64 `[rows * columns]`.

    >>> shift_amounts((3, 3), "C").tolist()
    [-4, 1, 2, -1, 0, 3, -2, -3, 4]
    """
    mosaic = torch.tensor(MOSAICS[pattern])
    rows, columns = torch.arange(grid[0]) % 3, torch.arange(grid[1]) % 3
    return mosaic[rows[:, None], columns[None, :]].flatten()


@lru_cache(maxsize=64)
def _shift_orders(
    frames: int, rows: int, columns: int, pattern: ShiftPattern, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Which token of the clip comes to each place when shifting, and when shifting back: int64 `[T * L]`."""
    with torch.inference_mode(mode=False):
        shift = torch.cat([torch.zeros(1, dtype=torch.int64), shift_amounts((rows, columns), pattern)])
        source = (torch.arange(frames)[:, None] - shift) % frames
        forward = (source * shift.shape[0] + torch.arange(shift.shape[0])).flatten()
        return forward.to(device), forward.argsort().to(device)


class _Permutation(torch.autograd.Function):
    """Reorder axis 1; the gradient is the inverse reordering, not a scatter."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.orders = (order, inverse)
        return tokens.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        order, inverse = ctx.orders
        return _permute(gradients[0], inverse, order), None, None


def _permute(tokens: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    if torch.is_grad_enabled() and tokens.requires_grad:
        return _Permutation.apply(tokens, order, inverse)  # type: ignore[no-any-return, no-untyped-call]
    return tokens.index_select(1, order)


def _split(tokens: Tensor, axis: int, *sizes: int) -> Tensor:
    """`tokens` with `axis` split into axes of `sizes`, one of which may be -1."""
    return tokens.reshape(*tokens.shape[:axis], *sizes, *tokens.shape[axis + 1 :])


def _from_frame(tokens: Tensor, frames: int, step: int) -> Tensor:
    """Tokens `[N, ...]` of the frame `step` (+-1) away; frames without such a neighbour keep their own."""
    clips = _split(tokens, 0, -1, frames)
    if step < 0:
        moved = torch.cat([clips[:, :1], clips[:, :-1]], dim=1)
    else:
        moved = torch.cat([clips[:, 1:], clips[:, -1:]], dim=1)
    return moved.flatten(0, 1)
