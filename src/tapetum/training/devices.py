"""Where a run computes and in which number type; the only place that knows the engine below."""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tapetum import processes
from tapetum.errors import ConfigError, MissingExtraError, ProcessLostError
from tapetum.methods._base import Method, Stage
from tapetum.models.backbones.linear import PRODUCTS, Product, has_onednn, quicker_by_onednn
from tapetum.training.config import TrainingConfig
from tapetum.training.launching import World, start_processes
from tapetum.training.sharding import Shards, cut
from tapetum.types import Batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.strategy import Strategy

Forward = Callable[[Batch], dict[str, Tensor]]
"""A stage's step, as the loop calls it."""


def create_fabric(config: TrainingConfig) -> Fabric:
    """The engine for `config`: device, processes and precision; processes are started and have met.

    Raises:
        MissingExtraError: lightning-fabric is not installed.
        ValueError: This machine does not have the configured devices.
        ConfigError: torchrun started another number of processes than is configured, or this process trains
            with others already.
        ProcessLostError: Not all processes came in time.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise MissingExtraError("lightning-fabric", "train") from None
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    world = World.of(config)
    kind, _, index = _device(config.device, world.devices).partition(":")
    if processes.count() not in (1, world.size):
        raise ConfigError(
            f"this process trains with {processes.count() - 1} others; now {world.size} asked for"
        )
    met = start_processes(world) if world.size > 1 else None
    fabric = Fabric(
        accelerator=kind,
        devices=[int(index)] if index else world.devices,
        num_nodes=world.nodes,
        strategy=_strategy(config, world),
        precision=resolve_precision(config.precision, kind),
    )
    if met is not None:
        _meet(fabric, world, config.timeout_s)
        met.set()
    return fabric


def _strategy(config: TrainingConfig, world: World) -> Strategy | str:
    """How processes share the work on weights; they wait for each other no longer than `timeout_s`."""
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    timeout = timedelta(seconds=config.timeout_s)
    if world.size == 1:
        return "auto"
    if config.strategy == "fsdp2":
        return ModelParallelStrategy(
            cut, data_parallel_size=world.size, tensor_parallel_size=1, timeout=timeout
        )
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {"static_graph": True, buffers: False}
    return DDPStrategy(timeout=timeout, **options)


def _meet(fabric: Fabric, world: World, timeout_s: float) -> None:
    """Wait until all processes are there; only the first one tells the user what is unusual."""
    try:
        fabric.launch()
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise ProcessLostError(
            f"not all of {world.size} processes ({world.nodes} x {world.devices}) met at {place} within "
            f"{timeout_s:g} s: {reason}"
        ) from error
    atexit.register(_leave_group)
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    if fabric.global_rank:
        logging.getLogger("tapetum").setLevel(logging.ERROR)
    if fabric.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // world.devices))


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


def create_forward(fabric: Fabric, method: Method, stage: Stage, shards: Shards | None = None) -> Forward:
    """The stage's step in the run's precision; several processes average their gradients.

    Args:
        fabric: The engine.
        method: What is trained.
        stage: Its present stage.
        shards: The method's weights, where they are cut.
    """
    if shards is not None:
        return partial(shards.forward, stage)
    if fabric.world_size == 1:
        return _OneDevice(fabric, stage)
    module = fabric.setup_module(_StageModule(method, stage))
    return lambda batch: module(
        batch.clips, batch.labels, batch.infrared, batch.cameras, batch.seed, batch.views, batch.parts
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
        self,
        clips: Tensor,
        labels: Tensor,
        infrared: Tensor,
        cameras: Tensor,
        seed: int,
        views: int,
        parts: int,
    ) -> dict[str, Tensor]:
        return self._stage.step(Batch(clips, labels, infrared, cameras, seed, views, parts))


def _device(device: str, count: int) -> str:
    """The kind of device, with the number of a single one where it was named."""
    has_mps = torch.backends.mps.is_available()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if has_mps and count == 1 else "cpu"
    kind, _, index = device.partition(":")
    found = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(has_mps)}[kind]
    if index and count > 1:
        raise ValueError(f"training.device = {device!r} is one device, but training.devices = {count}")
    if int(index or 0) >= found or (kind == "cuda" and count > found):
        asked = f"{device!r}" if count == 1 else f"{device!r} and training.devices = {count}"
        raise ValueError(f"training.device = {asked}: this machine has {found} devices of that kind")
    return device
