"""Products of a few vectors with a whole gallery, by the fastest exact way the device has."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tapetum.evaluation.distances.block_sizes import blocks_at_a_time, rows_at_a_time

__all__ = ["NegativeProducts", "blocks_at_a_time", "rows_at_a_time"]


class NegativeProducts:
    """Negative dot products with a fixed gallery: a distance for L2-normalised vectors.

    On an x86 processor the gallery is laid out once for oneDNN's float32 product where torch offers that: as
    fast as or up to twice as fast as the default matrix product, with the same precision.

    A distance does not depend on what else is asked at the same time: how kernels add up depends on the
    number of rows, so it is always the same one, filled up with zeros. Equal gallery items get equal
    distances.
    """

    def __init__(self, gallery: Tensor) -> None:
        """Prepare `gallery` `[G, D]`."""
        self._rows = rows_at_a_time(len(gallery))
        self._multiply = _packed_product(gallery, self._rows) or _plain_product(gallery)

    def __call__(self, vectors: Tensor) -> Tensor:
        """`[b, G]`, minus the dot product of each of the `vectors` `[b, D]` with each gallery item.

        Calls of at most `rows_at_a_time(G)` vectors need the least memory.
        """
        parts = [self._products(part) for part in torch.split(vectors, self._rows)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _products(self, vectors: Tensor) -> Tensor:
        filled = functional.pad(-vectors, (0, 0, 0, self._rows - len(vectors)))
        return self._multiply(filled)[: len(vectors)]


def _plain_product(gallery: Tensor) -> Callable[[Tensor], Tensor]:
    """The usual product, in the gallery's own precision also where autocast is on."""

    def multiply(vectors: Tensor) -> Tensor:
        with torch.autocast(gallery.device.type, enabled=False):
            return torch.mm(vectors, gallery.T)

    return multiply


def _packed_product(gallery: Tensor, rows: int) -> Callable[[Tensor], Tensor] | None:
    """The product with a gallery laid out for oneDNN; None where that is no gain or not offered.

    These operators are torch's own, made for its compiler, and not promised: without them nothing else
    changes.
    """
    if gallery.dtype != torch.float32 or not gallery.numel() or not _can_pack(gallery.device):
        return None
    operators = torch.ops.mkldnn
    packed = operators._reorder_linear_weight(gallery, rows)
    return lambda vectors: operators._linear_pointwise(vectors, packed, None, "none", [], "")


def _can_pack(device: torch.device) -> bool:
    return (
        device.type == "cpu"
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
