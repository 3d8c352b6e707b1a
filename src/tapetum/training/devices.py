"""Where a run computes and in which number type; the only place that knows the engine below."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from tapetum.errors import MissingExtraError
from tapetum.methods._base import Method, Stage
from tapetum.models.backbones.linear import PRODUCTS, Product, has_onednn, quicker_by_onednn
from tapetum.training.config import TrainingConfig
from tapetum.types import Batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Forward = Callable[[Batch], dict[str, Tensor]]
"""A stage's step, as the loop calls it."""


def create_fabric(config: TrainingConfig) -> Fabric:
    """The engine for `config`: device, processes and precision; processes are started.

    Raises:
        MissingExtraError: lightning-fabric is not installed.
        ValueError: This machine does not have the configured device.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError:
        raise MissingExtraError("lightning-fabric", "train") from None
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    kind, _, index = _device(config.device).partition(":")
    shared = config.devices > 1
    fabric = Fabric(
        accelerator=kind,
        devices=[int(index)] if index else config.devices,
        strategy=DDPStrategy(find_unused_parameters=True) if shared else "auto",
        precision=resolve_precision(config.precision, kind),
    )
    if shared:
        fabric.launch()
        atexit.register(_leave_group)
    return fabric


def _leave_group() -> None:
    """Part from the other processes: threads of the group that outlive the interpreter abort the process."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def resolve_precision(precision: str, device: str) -> Any:
    """The number type of a run: as asked, or for "auto" bfloat16 autocast where a CUDA `device` has it.

    >>> resolve_precision("auto", "cpu"), resolve_precision("bf16-mixed", "cpu")
    ('32-true', 'bf16-mixed')
    """
    if precision != "auto":
        return precision
    return "bf16-mixed" if device == "cuda" and torch.cuda.is_bf16_supported() else "32-true"


def choose_onednn_products(fabric: Fabric, config: TrainingConfig) -> tuple[Product, ...]:
    """The products of linear layers to compute by oneDNN: none on an accelerator or in bfloat16.

    Raises:
        ValueError: oneDNN is asked for and torch does not have it here.
    """
    is_float32 = resolve_precision(config.precision, fabric.device.type) == "32-true"
    if fabric.device.type != "cpu" or not is_float32 or config.linears == "torch":
        return ()
    if config.linears == "onednn":
        if not has_onednn():
            raise ValueError("training.linears = 'onednn': this torch does not offer it on this processor")
        return PRODUCTS
    quicker = quicker_by_onednn()
    return tuple(product for product in PRODUCTS if product in quicker)


def create_forward(fabric: Fabric, method: Method, stage: Stage) -> Forward:
    """The stage's step in the run's precision; several processes average their gradients."""
    if fabric.world_size == 1:
        return _OneDevice(fabric, stage)
    module = fabric.setup_module(_StageModule(method, stage))
    return lambda batch: module(
        batch.clips, batch.labels, batch.infrared, batch.cameras, batch.seed, batch.views
    )


def mean_over_processes(fabric: Fabric, values: Tensor) -> Tensor:
    """`values` averaged over all processes; as they are where there is one."""
    if fabric.world_size == 1:
        return values
    averaged = fabric.all_reduce(values, reduce_op="mean")
    return cast(Tensor, averaged)


class _OneDevice:
    """Calls the step directly: no wrapper stands between the loop and a small model."""

    def __init__(self, fabric: Fabric, stage: Stage) -> None:
        self._autocast = fabric.autocast
        self._step = stage.step

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        with self._autocast():
            return self._step(batch)


class _StageModule(nn.Module):
    """A stage's step as a module's forward, which is what distributed wrappers hook into."""

    def __init__(self, method: Method, stage: Stage) -> None:
        super().__init__()
        self.method = method
        self._stage = stage

    def forward(
        self, clips: Tensor, labels: Tensor, infrared: Tensor, cameras: Tensor, seed: int, views: int
    ) -> dict[str, Tensor]:
        return self._stage.step(Batch(clips, labels, infrared, cameras, seed, views))


def _device(device: str) -> str:
    has_mps = torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    kind, _, index = device.partition(":")
    found = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(has_mps)}[kind]
    if int(index or 0) >= found:
        raise ValueError(f"training.device = {device!r}: this machine has {found} devices of that kind")
    return device
