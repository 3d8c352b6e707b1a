"""Linear layers by the quicker of two libraries, where torch has both.

In float32 on an x86 processor torch multiplies matrices by MKL, which on some processors (AMD's with 512-bit
units) is half as fast as oneDNN, for the same precision. Both are timed once, each of the three products of a
layer alone: the output, the gradient of the input and that of the weight. Whatever else (accelerators, half
precision, small products, programs being traced) goes the common way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Product = Literal["forward", "input", "weight"]
"""A product of a linear layer: its output, the gradient of its input, the gradient of its weight."""

PRODUCTS: tuple[Product, ...] = get_args(Product)

_SMALLEST = 1 << 26
"""Multiplications below which neither library's speed is worth the detour."""

_MARGIN = 1.3
"""How many times quicker oneDNN has to be to be taken: where they are close, noise must not decide."""

_TRIED = (512, 768, 1536)
"""Rows, inputs and outputs of the layer that is timed."""

_REPEATS = 8

_chosen: frozenset[Product] | None = None


class Linear(nn.Linear):
    """`nn.Linear`, computed by oneDNN where that is quicker (see `onednn_products`)."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., out]` of `x` `[..., in]`."""
        products = _products_for(x, self.weight)
        if not products:
            return F.linear(x, self.weight, self.bias)
        rows = x.reshape(-1, x.shape[-1])
        if torch.is_grad_enabled():
            out = _Product.apply(rows, self.weight, self.bias, products)  # type: ignore[no-untyped-call]
        else:
            out = _forward(rows, self.weight, self.bias, products)
        return cast(Tensor, out).view(*x.shape[:-1], -1)


@contextmanager
def onednn_products(products: Collection[str]) -> Iterator[None]:
    """Inside, large float32 linear layers on the processor compute exactly `products` by oneDNN.

    A run keeps to what it began with, for the libraries round differently. Where torch does not offer
    oneDNN, all go the common way.
    """
    global _chosen
    wanted = frozenset(name for name in PRODUCTS if name in products)
    before, _chosen = _chosen, wanted if has_onednn() else frozenset()
    try:
        yield
    finally:
        _chosen = before


@lru_cache(maxsize=1)
def quicker_by_onednn() -> frozenset[Product]:
    """The products that oneDNN computes clearly quicker here, timed on the first call in a process."""
    if not has_onednn():
        return frozenset()
    rows, inputs, outputs = _TRIED
    with torch.no_grad():
        x, weight, slope = torch.ones(rows, inputs), torch.ones(outputs, inputs), torch.ones(rows, outputs)
        ways: dict[Product, Callable[[frozenset[Product]], Tensor]] = {
            "forward": lambda products: _forward(x, weight, None, products),
            "input": lambda products: _input_gradient(slope, weight, products),
            "weight": lambda products: _weight_gradient(slope, x, products),
        }
        return frozenset(name for name, compute in ways.items() if _gain(name, compute) > _MARGIN)


@lru_cache(maxsize=1)
def has_onednn() -> bool:
    """Whether torch offers its (private) oneDNN product of plain tensors on this processor."""
    return (
        torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _products_for(x: Tensor, weight: Tensor) -> frozenset[Product]:
    """The products of a layer that go by oneDNN for this input."""
    is_plain = (  # while a graph is traced the number of rows is not to be looked at
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or x.device.type != "cpu"
        or x.dtype is not torch.float32
        or weight.dtype is not torch.float32
        or x.numel() * weight.shape[0] < _SMALLEST
        or torch.is_autocast_enabled("cpu")
    )
    if is_plain:
        return frozenset()
    return quicker_by_onednn() if _chosen is None else _chosen


def _gain(name: Product, compute: Callable[[frozenset[Product]], Tensor]) -> float:
    """How many times quicker `compute` is by oneDNN: best of a few in processor time, taken in turns."""
    ways = (frozenset[Product](), frozenset((name,)))
    best = [float("inf")] * len(ways)
    for _ in range(_REPEATS):
        for index, products in enumerate(ways):
            began = time.process_time()
            compute(products)
            best[index] = min(best[index], time.process_time() - began)
    return best[0] / best[1]


def _multiply(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """`a @ b.T + bias` by oneDNN."""
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], ""))


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None, products: frozenset[Product]) -> Tensor:
    return _multiply(x, weight, bias) if "forward" in products else F.linear(x, weight, bias)


def _input_gradient(slope: Tensor, weight: Tensor, products: frozenset[Product]) -> Tensor:
    return _multiply(slope, weight.t()) if "input" in products else slope @ weight


def _weight_gradient(slope: Tensor, x: Tensor, products: frozenset[Product]) -> Tensor:
    return _multiply(slope.t(), x.t()) if "weight" in products else slope.t() @ x


class _Product(torch.autograd.Function):
    """The layer on rows `[N, in]`, each product by its own library."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, products: frozenset[Product]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.products = products
        return _forward(x, weight, bias, products)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (slope,), (x, weight) = gradients, ctx.saved_tensors
        needs_input, needs_weight, needs_bias, _ = ctx.needs_input_grad
        return (
            _input_gradient(slope, weight, ctx.products) if needs_input else None,
            _weight_gradient(slope, x, ctx.products) if needs_weight else None,
            slope.sum(0) if needs_bias else None,
            None,
        )
