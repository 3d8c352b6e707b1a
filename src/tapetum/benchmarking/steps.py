"""Training steps of a method as a run makes them, on drawn batches that lie in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tapetum.benchmarking.config import Precision
from tapetum.comparison.costs import count_flops
from tapetum.config import build_config
from tapetum.methods import Method, Stage, create_method
from tapetum.models.backbones.linear import onednn_products
from tapetum.training import TrainingConfig
from tapetum.training.devices import choose_onednn_products, create_fabric
from tapetum.training.learner import Learner
from tapetum.training.optim import merge_groups, only_training
from tapetum.training.timing import StepTimer, create_timer
from tapetum.types import Batch

IDENTITIES, CAMERAS = 500, 12
"""People and cameras of a made-up training set: HITSZ-VCM's."""

_PRECISIONS: Mapping[Precision, str] = {"float32": "32-true", "bfloat16": "bf16-mixed"}
_PREPARED = 2
_STEPS = 100_000
"""Length of the made-up stage, over which learning rates run."""


@dataclass(slots=True)
class Stepper:
    """A method in one of its stages, ready to make steps.

    Attributes:
        method: It learns.
        stage: What it learns in.
        device: Where.
        products: Of linear layers in float32, those that go by oneDNN.
        batch: The first of the batches, on the host.
        timer: Has counted the phases of all steps since it was last read.
    """

    method: Method
    stage: Stage
    device: torch.device
    products: tuple[str, ...]
    batch: Batch
    timer: StepTimer
    _learner: Learner
    _batches: Iterator[Batch]
    _done: int = 0

    def step(self) -> dict[str, Tensor]:
        """Make one step; its losses by name, on the device."""
        return self.step_on(next(self._batches))

    def step_on(self, batch: Batch) -> dict[str, Tensor]:
        """Make one step on a batch; its losses by name, on the device."""
        self.timer.skip()  # what was done since the last step is none of its phases
        self.timer.mark("data")
        losses, _ = self._learner.step(batch, self._done, self.timer, with_norm=False)
        self._done += 1
        return losses

    def flops(self) -> int:
        """Operations of a step, which is made: those of matrix products, convolutions and attention."""
        with onednn_products(()):  # what oneDNN does is not counted
            return count_flops(self.step, with_gradients=True)


@contextmanager
def stepper(
    name: str,
    *,
    preset: str = "paper",
    stage: str | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
    linears: str = "auto",
    overrides: Mapping[str, Any] | None = None,
) -> Iterator[Stepper]:
    """A method in training, with random weights.

    Args:
        name: Of the method.
        preset: Of its configuration.
        stage: Name of a stage that reads frames; None: the first of them.
        device: Where it learns.
        precision: float32, or bfloat16 by autocast.
        linears: What computes linear layers in float32 on a processor: torch, onednn or auto.
        overrides: Further settings of the method.

    Raises:
        ValueError: No such method or stage.
    """
    config = build_config(
        TrainingConfig, {"device": device, "precision": _PRECISIONS[precision], "linears": linears}
    )
    fabric = create_fabric(config)
    settings = {"weights": "none", **(overrides or {})}
    method = create_method(
        name, num_identities=IDENTITIES, num_cameras=CAMERAS, preset=preset, **settings
    ).to(fabric.device)
    chosen = find_stage(method, stage)
    groups = merge_groups(chosen.parameter_groups(), chosen.name)
    products = choose_onednn_products(fabric, config)
    is_pinned = fabric.device.type == "cuda"
    batches = [b.pin_memory() if is_pinned else b for b in make_batches(chosen, method)]
    with only_training(method, [p for g in groups for p in g.parameters]), onednn_products(products):
        method.train()
        learner = Learner(fabric, method, chosen, groups, _STEPS)
        yield Stepper(
            method,
            chosen,
            fabric.device,
            products,
            batches[0],
            create_timer(fabric.device),
            learner,
            itertools.cycle(batches),
        )


def find_stage(method: Method, name: str | None) -> Stage:
    """The stage of that name, which has to read frames; the first that does where there is none.

    Raises:
        ValueError: There is no such stage.
    """
    stages = [s for s in method.stages() if s.reads_frames]
    found = [s for s in stages if name in (None, s.name)]
    if not found:
        known = ", ".join(s.name for s in stages) or "none"
        raise ValueError(f"{method.name} has no stage {name!r} that reads frames; known: {known}")
    return found[0]


def make_batches(
    stage: Stage, method: Method, *, count: int = _PREPARED, identities: int | None = None
) -> list[Batch]:
    """Batches of the stage's shape, random pixels: visible, infrared, exchanged views, of the same people.

    Args:
        stage: That takes them.
        method: Whose frames' size is meant.
        count: How many.
        identities: P; None: as the stage says.
    """
    size, wanted = method.preprocessing, stage.batches
    people = identities or wanted.identities
    part = people * wanted.tracklets
    sides = ["visible", "infrared"] if wanted.modality == "both" else [wanted.modality]
    views = part if stage.augment.exchanged_view and "visible" in sides else 0
    infrared = torch.tensor([side == "infrared" for side in sides] + [False] * (views > 0))
    labels = torch.arange(people).repeat_interleave(wanted.tracklets).repeat(len(infrared))
    shape = (len(labels), size.frames, 3, size.height, size.width)
    generator = torch.Generator().manual_seed(0)
    return [
        Batch(
            torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
            labels,
            infrared.repeat_interleave(part),
            torch.zeros_like(labels),
            seed,
            views,
            len(infrared),
        )
        for seed in range(count)
    ]


def largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number from 1 to `most` that fits, where all smaller ones do; 0 where 1 does not.

    >>> tried = []
    >>> largest(lambda n: tried.append(n) or n <= 11, 500), tried
    (11, [1, 2, 4, 8, 16, 12, 10, 11])
    """
    good, bad = 0, 1
    while bad <= most and fits(bad):
        good, bad = bad, 2 * bad
    bad = min(bad, most + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def most_identities(made: Stepper) -> int:
    """The most people whose batch one step takes in the device's memory.

    Tried on CUDA alone: a processor that runs out of memory ends the process.
    """

    def fits(identities: int) -> bool:
        try:
            made.step_on(make_batches(made.stage, made.method, count=1, identities=identities)[0])
            torch.cuda.synchronize(made.device)
        except torch.OutOfMemoryError:
            return False
        finally:
            for parameter in made.method.parameters():
                parameter.grad = None
            torch.cuda.empty_cache()
        return True

    return largest(fits, IDENTITIES)
