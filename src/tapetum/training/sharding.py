"""Weights of which each process holds a share (FSDP2): cut block by block, whole while they are at work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from tapetum.methods._base import Method, Stage
from tapetum.models.backbones.blocks import Block
from tapetum.models.backbones.clip_resnet import ClipBottleneck
from tapetum.models.backbones.resnet import Bottleneck
from tapetum.types import Batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")

_UNITS = (Block, Bottleneck, ClipBottleneck)
"""Parts whose weights are gathered when they are at work and let go after; all other weights are together."""


def cut(module: nn.Module, mesh: Any) -> nn.Module:
    """`module` with its weights cut into a share for each process of `mesh`."""
    from torch.distributed.fsdp import fully_shard

    for part in module.modules():
        if isinstance(part, _UNITS):
            fully_shard(part, mesh=mesh["data_parallel"])
    fully_shard(module, mesh=mesh["data_parallel"])
    return module


class Shards:
    """A method whose weights are cut. They are replaced: parameters must be asked for afterwards."""

    def __init__(self, fabric: Fabric, method: Method) -> None:
        self._inner = _Root(method)
        self._module = fabric.setup_module(self._inner)
        self._units: list[Any] = [part for part in self._inner.modules() if hasattr(part, "reshard")]

    def forward(self, stage: Stage, batch: Batch) -> dict[str, Tensor]:
        """The stage's losses in the run's precision."""
        losses: dict[str, Tensor] = self._module(lambda: stage.step(batch))
        return losses

    @torch.no_grad()
    def run(self, call: Callable[[], T]) -> T:
        """What `call` gives, which may use the method as if its weights were whole; without gradients.

        All weights are gathered first and let go after: processes may work on different numbers of batches.
        """
        found: list[T] = []
        self._inner(lambda: found.append(self._with_all(call)))
        for unit in self._units:
            unit.reshard()
        return found[0]

    def _with_all(self, call: Callable[[], T]) -> T:
        inside = [unit for unit in self._units if unit is not self._inner]
        for unit in inside:
            unit.unshard()
            unit.set_reshard_after_forward(False, recurse=False)
        try:
            return call()
        finally:
            for unit in inside:
                unit.set_reshard_after_forward(True, recurse=False)


class _Root(nn.Module):
    """What the weights outside the blocks belong to; its forward is whatever needs them."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, call: Callable[[], Any]) -> Any:
        return call()
