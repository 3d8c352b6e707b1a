"""The optimiser of a stage: parameter groups merged where they are treated alike, and averaged weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from tapetum import processes
from tapetum.methods._base import OptimConfig, ParameterGroup

_FUSED_DEVICES = ("cpu", "cuda")
"""Where one kernel updates a whole group; elsewhere the update runs tensor list by tensor list."""


@dataclass(frozen=True, slots=True)
class MergedGroup:
    """Parameters of one or several groups that share rate and weight decay.

    Attributes:
        name: The groups' names joined by "+".
        parameters: In the order of the groups.
        lr: Base learning rate.
        weight_decay: Weight decay.
    """

    name: str
    parameters: tuple[nn.Parameter, ...]
    lr: float
    weight_decay: float


def merge_groups(groups: Sequence[ParameterGroup], stage: str) -> list[MergedGroup]:
    """One group for each pair of learning rate and weight decay, in order of first appearance.

    Few large groups let the optimiser update many tensors by one call.

    Raises:
        ValueError: No parameter at all, or one in two groups; `stage` is named.
    """
    parameters = [p for group in groups for p in group.parameters]
    if not parameters:
        raise ValueError(f"stage {stage!r} names no parameter to train")
    if len({id(p) for p in parameters}) != len(parameters):
        raise ValueError(f"stage {stage!r} has a parameter in more than one place of its groups")
    alike: dict[tuple[float, float], list[ParameterGroup]] = {}
    for group in groups:
        alike.setdefault((group.lr, group.weight_decay), []).append(group)
    return [
        MergedGroup("+".join(g.name for g in some), tuple(p for g in some for p in g.parameters), lr, decay)
        for (lr, decay), some in alike.items()
    ]


def create_optimizer(groups: Sequence[MergedGroup], config: OptimConfig, device: torch.device) -> Optimizer:
    """AdamW, Adam or SGD over `groups`, fused into one kernel per group where `device` has that."""
    settings = [
        {
            "params": list(g.parameters),
            "lr": g.lr,
            "weight_decay": g.weight_decay,
            "base_lr": g.lr,
            "name": g.name,
        }
        for g in groups
    ]
    fused = device.type in _FUSED_DEVICES
    if config.algorithm == "sgd":
        return _create_sgd(settings, config, fused)
    kind = AdamW if config.algorithm == "adamw" else Adam
    return kind(settings, betas=config.betas, fused=fused)


def _create_sgd(settings: list[dict[str, Any]], config: OptimConfig, fused: bool) -> Optimizer:
    """SGD whose momentum starts from zeros: the updates of torch's, which starts from the first gradient.

    With buffers for all, a parameter may see its first gradient later than the others; torch's fused kernel
    cannot do that.
    """
    is_cut = any(processes.is_sharded(p) for group in settings for p in group["params"])
    optimizer = SGD(
        settings,
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,
        fused=fused and not is_cut,  # which has no kernel for shares of tensors
    )
    if config.momentum > 0:
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def scale_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


@contextmanager
def only_training(module: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside, exactly `parameters` of `module` require a gradient; on leaving, all are as they were.

    Raises:
        ValueError: One of `parameters` is not part of `module`, so no checkpoint would hold it.
    """
    own = list(module.parameters())
    if foreign := {id(p) for p in parameters} - {id(p) for p in own}:
        raise ValueError(f"{len(foreign)} parameters of the stage are not part of the method's module")
    before = [p.requires_grad for p in own]
    chosen = {id(p) for p in parameters}
    for parameter in own:
        parameter.requires_grad_(id(parameter) in chosen)
    try:
        yield
    finally:
        for parameter, flag in zip(own, before, strict=True):
            parameter.requires_grad_(flag)
            parameter.grad = None


def optimizer_tensors(optimizer: Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """The optimiser's state as `<parameter>/<quantity>`; a parameter without a step yet has none."""
    return {
        f"{names[parameter]}/{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer_tensors(
    optimizer: Optimizer, tensors: Mapping[str, Tensor], names: Mapping[Tensor, str]
) -> None:
    """Give the optimiser what `optimizer_tensors` took from it, each tensor on its parameter's device.

    Raises:
        KeyError: A tensor of a parameter that this optimiser does not train.
    """
    trained = {names[p]: p for group in optimizer.param_groups for p in group["params"]}
    for name, tensor in tensors.items():
        owner, _, key = name.rpartition("/")
        parameter = trained[owner]
        whole = tensor.to(parameter.device, copy=True)
        is_scalar = whole.shape != parameter.shape
        optimizer.state[parameter][key] = whole if is_scalar else processes.shared_like(whole, parameter)


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, a scalar on their device; 0 where there is none."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return total_norm(gradients) if gradients else torch.zeros(())


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all tensors together, a scalar; of shares that processes hold, that of the wholes."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(_own(tensors))))
    is_cut = any(processes.is_sharded(tensor) for tensor in tensors)
    return processes.summed(norm.square()).sqrt() if is_cut else norm


def _own(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The tensors, or of those that processes hold shares of, this one's share: the same memory."""
    return [processes.own_shard(tensor) for tensor in tensors]


class AveragedWeights:
    """An exponential moving average of parameters: `average = decay * average + (1 - decay) * weight`."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        """Start from the parameters' present values.

        Args:
            parameters: What to average, by name.
            decay: Share of the old average in each update, in 0..1.
        """
        self._parameters: list[Tensor] = list(parameters.values())
        self.decay = decay
        self.tensors = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the present weights into the average."""
        torch._foreach_lerp_(_own(self.tensors.values()), _own(self._parameters), 1 - self.decay)

    @torch.no_grad()
    def write(self) -> None:
        """Copy the average into the parameters."""
        torch._foreach_copy_(_own(self._parameters), _own(self.tensors.values()))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the parameters hold the average; on leaving, their own values again."""
        own = [p.detach().clone() for p in self._parameters]
        self.write()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(_own(self._parameters), _own(own))
