"""Means over the rows that a mask names, for losses on centres and on parts of a batch."""

from __future__ import annotations

from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last axis of the entries where `mask` is true; 0 where none is."""
    return values.masked_fill(~mask, 0.0).sum(-1) / mask.sum(-1).clamp(min=1)


def centres_of(features: Tensor, members: Tensor) -> Tensor:
    """Mean of the rows of `features` `[N, D]` that each line of `members` `[M, N]` names: `[M, D]`."""
    return members.to(features.dtype) @ features / members.sum(1, keepdim=True).clamp(min=1)


def is_first(same: Tensor) -> Tensor:
    """Bool `[N]`: the first row of each class of the equivalence `same` `[N, N]`, to stand for the class."""
    return ~same.tril(-1).any(1)
