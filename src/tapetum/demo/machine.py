"""A short measurement that decides how to compute."""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch.nn import functional as F

_ROWS, _WIDTH = 2048, 192
_REPEATS = 5
_WORTH_IT = 1.2
"""bfloat16 is taken where products are at least this much faster."""


def quicker_precision() -> Literal["auto", "bf16-mixed", "32-true"]:
    """Number type to train with: bfloat16 where this processor is faster with it; else the default."""
    if torch.cuda.is_available():
        return "auto"
    float32, bfloat16 = _linear_seconds(torch.float32), _linear_seconds(torch.bfloat16)
    return "bf16-mixed" if float32 > _WORTH_IT * bfloat16 else "32-true"


def _linear_seconds(dtype: torch.dtype) -> float:
    """Best time of a linear layer as the tiny image tower has them."""
    x, weight = torch.ones(_ROWS, _WIDTH, dtype=dtype), torch.ones(4 * _WIDTH, _WIDTH, dtype=dtype)
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        F.linear(x, weight)
        times.append(time.perf_counter() - began)
    return min(times[1:])
