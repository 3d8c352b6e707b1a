"""One linear layer by each library and number type: what the products of a network are held to.

It is timed beside each network, in turn with it: where other programs run too, its rate an hour ago says
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from tapetum.benchmarking.config import Precision
from tapetum.benchmarking.measuring import Case, Timing, several
from tapetum.benchmarking.rows import Limit
from tapetum.models.backbones.linear import has_onednn

PREFIX = "linear layer, "
_TIMES, _REPEATS = 2, 5
"""Runs that are timed together, and how often that is done in a round, of which the quickest counts."""


def layer_cases(
    kind: str, shape: tuple[int, int, int], precision: Precision | None = None
) -> dict[str, Case]:
    """The layer by each library.

    Args:
        kind: Of device.
        shape: Rows, inputs and outputs.
        precision: Number type; None: all.
    """
    rows, inputs, outputs = shape
    x, weight = torch.randn(rows, inputs, device=kind), torch.randn(outputs, inputs, device=kind)
    ways: dict[str, Callable[[], object]] = {}
    if precision != "bfloat16":
        ways["float32, torch"] = lambda: functional.linear(x, weight)
        if kind == "cpu" and has_onednn():
            multiply = torch.ops.mkldnn._linear_pointwise
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
            ways["float32, oneDNN"] = lambda: multiply(x, packed, None, "none", [], "")
    if precision != "float32":
        x16, weight16 = x.bfloat16(), weight.bfloat16()
        ways["bfloat16, torch"] = lambda: functional.linear(x16, weight16)
    return {f"{PREFIX}{name}": several(run, _TIMES, repeats=_REPEATS) for name, run in ways.items()}


def layer_flops(shape: tuple[int, int, int]) -> int:
    """Operations of the layer."""
    rows, inputs, outputs = shape
    return 2 * rows * inputs * outputs


def limit_of(
    timings: Mapping[str, Timing], precision: Precision, shape: tuple[int, int, int], flops: float, kind: str
) -> Limit:
    """What `flops` operations take at the rate of the quickest library.

    Args:
        timings: Of `layer_cases` among others.
        precision: Number type of the operations.
        shape: Of the layer.
        flops: Operations.
        kind: Of device.
    """
    of_type = [t for name, t in timings.items() if name.startswith(f"{PREFIX}{precision}")]
    best = min(of_type, key=lambda t: t.best_wall_s)
    factor = flops / layer_flops(shape)
    return Limit(best.what, factor * best.best_wall_s, factor * best.best_cpu_s if kind == "cpu" else None)
