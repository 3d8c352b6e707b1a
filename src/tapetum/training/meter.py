"""Losses between two lines of the log, kept on the device until somebody asks for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

LossRow = dict[str, float]
"""Losses of one step by name."""


class LossMeter:
    """Collects the losses of each step; the host waits for the device only in `fetch`."""

    def __init__(self, reduce: Callable[[Tensor], Tensor] | None = None) -> None:
        """Begin with none; `reduce` averages values over processes, where there are several."""
        self._reduce = reduce or _unchanged
        self._names: list[tuple[str, ...]] = []
        self._values: list[Tensor] = []

    def add(self, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """Keep the losses of one step, each a scalar."""
        self._names.append((*losses, "total"))
        self._values.append(torch.stack([*losses.values(), total]).detach())

    def fetch(self, present: Sequence[Tensor] = ()) -> tuple[list[LossRow], list[float]]:
        """The losses of all steps since the last call, in order, and the scalars `present`: one transfer."""
        device = self._values[0].device if self._values else None
        scalars = [value.detach().to(device, torch.float32).reshape(1) for value in present]
        tensors = [*self._values, *scalars]
        values = iter(self._reduce(torch.cat(tensors)).tolist() if tensors else ())
        rows = [dict(zip(names, values, strict=False)) for names in self._names]
        self._names, self._values = [], []
        return rows, list(values)


def mean_losses(rows: Sequence[LossRow]) -> LossRow:
    """Mean of each loss over the steps that have it, in order of first appearance.

    >>> mean_losses([{"id": 1.0, "total": 1.0}, {"id": 2.0, "total": 4.0}])
    {'id': 1.5, 'total': 2.5}
    """
    names = dict.fromkeys(name for row in rows for name in row)
    found = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: math.fsum(values) / len(values) for name, values in found.items()}


def check_finite(rows: Sequence[LossRow], stage: str, last_step: int) -> None:
    """Do nothing if all losses are finite numbers.

    Args:
        rows: Losses of consecutive steps.
        stage: Name of the stage.
        last_step: Number of the last row's step, counted from 1 through all stages.

    Raises:
        FloatingPointError: A loss is not finite; the first such step and all its losses are named.
    """
    for step, row in enumerate(rows, start=last_step - len(rows) + 1):
        if not all(map(math.isfinite, row.values())):
            listed = ", ".join(f"{name} = {value:g}" for name, value in row.items())
            raise FloatingPointError(f"stage {stage!r}, step {step}: a loss is not a finite number: {listed}")


def _unchanged(values: Tensor) -> Tensor:
    return values
