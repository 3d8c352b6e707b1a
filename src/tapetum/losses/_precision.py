"""Losses are computed in float32 (or better), also where the network around them runs in half precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def in_float32(loss: Callable[P, R]) -> Callable[P, R]:
    """`loss` with autocast off and half-precision arguments cast to float32; float64 stays float64."""

    @wraps(loss)
    def compute(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next((a.device.type for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            widened = [_widen(a) for a in args]
            return loss(*widened, **{k: _widen(a) for k, a in kwargs.items()})

    return compute


def _widen(value: Any) -> Any:
    is_half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if is_half else value
