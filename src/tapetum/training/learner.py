"""Forward, backward and update: what a step does to the weights, and nothing of the run around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tapetum import processes
from tapetum.errors import CheckpointError
from tapetum.methods._base import Method, Stage
from tapetum.training.devices import create_forward
from tapetum.training.optim import (
    AveragedWeights,
    MergedGroup,
    create_optimizer,
    gradient_norm,
    load_optimizer_tensors,
    optimizer_tensors,
    scale_rates,
    total_norm,
)
from tapetum.training.schedule import rate_factor
from tapetum.training.sharding import Shards
from tapetum.training.timing import StepTimer
from tapetum.types import Batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Learner:
    """Trains one stage's parameters, step by step.

    Attributes:
        total: Steps of the stage, over which the learning rate runs.
        gradient_norm: Total norm of the last step's gradients before clipping, where it was computed.
    """

    def __init__(
        self,
        fabric: Fabric,
        method: Method,
        stage: Stage,
        groups: Sequence[MergedGroup],
        total: int,
        *,
        ema: float | None = None,
        shards: Shards | None = None,
    ) -> None:
        """Set up the optimiser, and averaged weights where there is a decay `ema`.

        With `shards`, the weights are cut and the parameters of `groups` are those shards.
        """
        self.total = total
        self.gradient_norm: Tensor | None = None
        self._fabric, self._stage = fabric, stage
        self._preprocessing = method.preprocessing
        self._forward = create_forward(fabric, method, stage, shards)
        self._optimizer = create_optimizer(groups, stage.optim, fabric.device)
        self._parameters = [p for group in groups for p in group.parameters]
        self._names: dict[Tensor, str] = {p: name for name, p in method.named_parameters()}
        self._averaged: AveragedWeights | None = None
        if ema is not None:
            self._averaged = AveragedWeights({self._names[p]: p for p in self._parameters}, ema)
        self._factor: float | None = None

    def step(
        self, batch: Batch, number: int, timer: StepTimer, *, with_norm: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Make step `number` of the stage, counted from 0; its losses and the sum that was minimised.

        All randomness of the step is drawn from the batch's seed. With `with_norm`, the gradients' norm is
        kept too. The host waits for nothing.
        """
        self._stage.check(batch)
        batch = batch.to(self._fabric.device, non_blocking=True).normalised(self._preprocessing)
        torch.manual_seed(batch.seed)
        timer.mark("prepare")
        losses = self._forward(batch)
        total = self._stage.total(losses)
        timer.mark("forward")
        self._fabric.backward(total)
        timer.mark("backward")
        self._set_rates(number)
        self._update(with_norm)
        timer.mark("optimiser")
        return losses, total

    @property
    def rates(self) -> dict[str, float]:
        """The learning rate of the last step by group name."""
        return {group["name"]: group["lr"] for group in self._optimizer.param_groups}

    @property
    def averaged(self) -> Mapping[str, Tensor]:
        """Averaged weights by parameter name; empty where none are kept."""
        return self._averaged.tensors if self._averaged is not None else {}

    @property
    def optimizer(self) -> Mapping[str, Tensor]:
        """The optimiser's state as `<parameter>/<quantity>`."""
        return optimizer_tensors(self._optimizer, self._names)

    def load(self, averaged: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Go on from what `averaged` and `optimizer` held.

        Raises:
            CheckpointError: They are of other parameters.
        """
        if averaged.keys() != self.averaged.keys():
            raise CheckpointError("the checkpoint's averaged weights are not those of the stage's parameters")
        for name, tensor in self.averaged.items():
            tensor.copy_(processes.shared_like(averaged[name], tensor))
        try:
            load_optimizer_tensors(self._optimizer, optimizer, self._names)
        except KeyError as error:
            raise CheckpointError(
                f"the checkpoint's optimiser trained {error}, which the stage does not"
            ) from None

    def are_weights_finite(self) -> bool:
        """Whether every weight that trains is a finite number; waits for the device."""
        return bool(torch.isfinite(total_norm([p.detach() for p in self._parameters])))

    def settle(self) -> None:
        """Make the averaged weights, where they are kept, the method's own."""
        if self._averaged is not None:
            self._averaged.write()

    @contextmanager
    def result_weights(self) -> Iterator[None]:
        """Inside, the method holds the weights it is judged by: the averaged ones where they are kept."""
        if self._averaged is None:
            yield
        else:
            with self._averaged.applied():
                yield

    def _set_rates(self, number: int) -> None:
        factor = rate_factor(self._stage.schedule, number, self.total)
        if factor != self._factor:
            scale_rates(self._optimizer, factor)
            self._factor = factor

    def _update(self, with_norm: bool) -> None:
        limit = self._stage.optim.grad_clip
        if limit is not None:
            norm = torch.nn.utils.clip_grad_norm_(self._parameters, limit)
            self.gradient_norm = processes.whole(norm)
        elif with_norm:
            self.gradient_norm = gradient_norm(self._parameters)
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._averaged is not None:
            self._averaged.update()
