"""Pooling of a feature map into one vector."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Form = Literal["offset", "clamp"]

_OFFSET = 1e-12
_LOWEST = 1e-6
_HALF = (torch.float16, torch.bfloat16)


class GeneralisedMean(nn.Module):
    """Generalised mean over positions, `mean(x^p)^(1/p)`: p = 1 is the mean, large p nears the maximum.

    GeM (Radenovic et al., TPAMI 2019). Half-precision maps become float32 first, for half precision loses the
    smaller of two powers; no operator here is one that autocast narrows. float64 stays float64.

    Attributes:
        p: The exponent; a parameter where it learns, else a constant that no file holds.
        form: "offset": `(mean(x^p) + 1e-12)^(1/p)`, as AGW has it (Ye et al., TPAMI 2021); made for maps
            behind a ReLU, and a negative value, which AGW's code would turn into NaN, counts as 0.
            "clamp": values below 1e-6 count as 1e-6, as the paper's code has it.

    >>> GeneralisedMean(2.0)(torch.tensor([[[[1.0, 7.0]]]])).item()  # ((1 + 49) / 2) ** 0.5
    5.0
    """

    p: Tensor

    def __init__(self, p: float = 3.0, *, learnable: bool = False, form: Form = "offset") -> None:
        """Set the exponent.

        Args:
            p: The exponent, or its first value.
            learnable: Whether p is a parameter.
            form: "offset" or "clamp".

        Raises:
            ValueError: p is not above 0, or there is no such form.
        """
        super().__init__()
        if not 0 < p < float("inf"):
            raise ValueError(f"p must be a number above 0, found {p}")
        if form not in ("offset", "clamp"):
            raise ValueError(f"unknown form {form!r}; known: offset, clamp")
        self.form: Form = form
        self._constant = None if learnable else float(p)
        value = torch.tensor(float(p))
        if learnable:
            self.p = nn.Parameter(value)
        else:
            self.register_buffer("p", value, persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Float32 `[N, C]` of maps `[N, C, ...]`, whose axes behind the second are the positions."""
        values = (maps.float() if maps.dtype in _HALF else maps).flatten(2)
        values = values.clamp(min=0.0 if self.form == "offset" else _LOWEST)
        offset = _OFFSET if self.form == "offset" else 0.0
        p = self.p.to(values.dtype) if self._constant is None else self._constant
        return (values.pow(p).mean(-1) + offset).pow(1 / p)
