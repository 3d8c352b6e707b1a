"""A method of a few numbers with all that the loop must carry: two stages, hooks, memories, dropout, norms.

Run as a program it trains itself: `python toy.py RUN '{"training": {...}, ...}' [resume]`. The variables
TOY_DIE_AT (kill this process in that step, counted from 1) and TOY_SLOW_S (seconds per step) are for tests.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tapetum.config import build_config
from tapetum.methods._base import (
    AugmentConfig,
    BatchConfig,
    Method,
    MethodConfig,
    OptimConfig,
    ParameterGroup,
    ScheduleConfig,
    Stage,
    StageContext,
)
from tapetum.training.config import StartConfig, TrainingConfig
from tapetum.training.loop import train_method
from tapetum.types import Batch

IDENTITIES, ROWS = 3, 6


class ToyConfig(MethodConfig):
    height: int = 16
    width: int = 8
    frames: int = 2
    epochs: int = 3
    steps_per_epoch: int = 7
    per_step: bool = False
    grad_clip: float | None = None
    poison_at: int = -1
    dropout: float = 0.2
    bias_lr: float = 0.1
    only_body: bool = False


class Body(Stage):
    """The network learns; a memory in the context's state and a buffer follow it."""

    name = "body"

    def __init__(self, method: "Toy") -> None:
        config = method.config
        self.method = method
        self.batches = BatchConfig(identities=IDENTITIES, tracklets=1)
        self.augment = AugmentConfig()
        self.schedule = ScheduleConfig(
            epochs=config.epochs,
            steps_per_epoch=config.steps_per_epoch,
            warmup_epochs=1,
            per_step=config.per_step,
        )
        self.optim = OptimConfig(lr=1e-2, grad_clip=config.grad_clip)
        self.loss_weights = {"pull": 0.5}
        self.calls: list[tuple[str, Any]] = []

    def parameter_groups(self) -> list[ParameterGroup]:
        head = list(self.method.head.parameters())
        return [
            ParameterGroup("slow", list(self.method.body.parameters()), 1e-2, 1e-4),
            ParameterGroup("norm", list(self.method.norm.parameters()), 1e-2, 1e-4),
            ParameterGroup("head", head, 5e-2, 1e-4),
        ]

    def before_stage(self, context: StageContext) -> None:
        self.calls.append(("before_stage", context.resumed))
        self.state = context.state
        if not context.resumed:
            self.state["memory"] = torch.zeros(IDENTITIES, 4)
            self.state["noise"] = torch.randn(3)

    def before_epoch(self, epoch: int, context: StageContext) -> None:
        self.calls.append(("before_epoch", epoch))
        self.state["anchor"] = self.method.head.weight.detach().mean(0) + torch.randn(4) * 0.01

    def after_stage(self, context: StageContext) -> None:
        self.calls.append(("after_stage", None))
        self.method.bank.copy_(self.method.head.weight.detach().mean(1))

    def step(self, batch: Batch) -> dict[str, Tensor]:
        features = F.dropout(self.method.features(batch.clips), self.method.config.dropout)
        with torch.no_grad():
            self.state["memory"][batch.labels] = 0.9 * self.state["memory"][batch.labels] + 0.1 * features
            self.method.steps_seen += 1
        time.sleep(float(os.environ.get("TOY_SLOW_S", 0)))
        if int(self.method.steps_seen) == int(os.environ.get("TOY_DIE_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
        identity = F.cross_entropy(self.method.head(features), batch.labels)
        if int(self.method.steps_seen) == self.method.config.poison_at:
            identity = identity * float("nan")
        pull = (features - self.state["memory"][batch.labels] - self.state["anchor"]).square().mean()
        return {"id": identity.float(), "pull": pull.float()}


class Bias(Stage):
    """Only the head's bias learns, from seeds alone."""

    name = "bias"
    reads_frames: ClassVar[bool] = False
    settings: ClassVar[tuple[str, ...]] = ("bias_lr", "only_body")

    def __init__(self, method: "Toy") -> None:
        self.method = method
        self.batches = BatchConfig()
        self.augment = AugmentConfig()
        self.schedule = ScheduleConfig(epochs=1, steps_per_epoch=5, warmup_epochs=0)
        self.optim = OptimConfig(lr=method.config.bias_lr)
        self.loss_weights = {}

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup("bias", [self.method.head.bias], self.optim.lr, 0.0)]

    def step(self, batch: Batch) -> dict[str, Tensor]:
        target = torch.rand(IDENTITIES, generator=torch.Generator().manual_seed(batch.seed))
        return {"gap": (self.method.head.bias - target).square().sum()}


class Toy(Method):
    name = "toy"
    config_type = ToyConfig
    config: ToyConfig

    def __init__(self, config: ToyConfig, num_identities: int = IDENTITIES, num_cameras: int = 2) -> None:
        super().__init__(config, num_identities, num_cameras)
        self.body = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, num_identities)
        self.frozen = nn.Linear(2, 2)
        self.frozen.weight.requires_grad_(False)
        self.register_buffer("bank", torch.zeros(num_identities))
        self.register_buffer("steps_seen", torch.zeros((), dtype=torch.int64), persistent=False)

    @property
    def embedding_dim(self) -> int:
        return 4

    def features(self, clips: Tensor) -> Tensor:
        return self.norm(self.body(clips.mean(dim=(1, 3, 4))))

    def stages(self) -> list[Stage]:
        return [Body(self)] if self.config.only_body else [Body(self), Bias(self)]

    def encode(self, clips, *, modality=None, camera_ids=None) -> Tensor:
        return F.normalize(self.features(clips).float(), dim=1)


class ToySource:
    """Batches that are a function of (stage, epoch, step)."""

    title = "toys?trial=2"
    label_ids = ("ann", "bob", "eve")
    camera_ids = (1, 2)

    def __init__(self, config: ToyConfig, fingerprint: str = "toy data") -> None:
        self.config = config
        self.fingerprint = fingerprint
        self.validated: list[dict[str, Tensor]] = []

    @contextmanager
    def open_stage(self, stage: Stage, index: int) -> Iterator["ToySource"]:
        yield self

    def batches(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        for step in range(start_step, self.config.steps_per_epoch):
            rng = np.random.default_rng([epoch, step])
            clips = rng.integers(0, 256, (ROWS, 2, 3, 16, 8), dtype=np.uint8)
            labels = torch.arange(IDENTITIES).repeat(2)
            clips[:, :, 0] = clips[:, :, 0] // 4 + 60 * labels.numpy()[:, None, None, None]
            yield Batch(
                torch.from_numpy(clips),
                labels,
                torch.arange(ROWS) >= IDENTITIES,
                torch.zeros(ROWS, dtype=torch.int64),
                1000 * epoch + step,
            )

    def iterate(self, device: torch.device) -> Iterator[Batch]:
        yield from self.batches(0)

    def validate(self, method: Method) -> dict[str, dict[str, float]]:
        assert not method.training
        self.validated.append({n: p.detach().clone() for n, p in method.named_parameters()})
        figure = float(method.head.weight.detach().double().sum().sigmoid())
        return {"infrared-to-visible": {"mAP": figure}, "visible-to-infrared": {"mAP": figure / 2}}


def build(**values: Any) -> Toy:
    torch.manual_seed(5)
    return Toy(build_config(ToyConfig, values))


def train_toy(
    out: Path,
    training: dict[str, Any] | None = None,
    *,
    resume: bool = False,
    fingerprint: str = "toy data",
    progress: Any = None,
    start: tuple[int | str, Path] | None = None,
    **values: Any,
) -> tuple[Toy, ToySource, Any]:
    method = build(**values)
    source = ToySource(method.config, fingerprint)
    config = build_config(
        TrainingConfig, {"device": "cpu", "tensorboard": False, "log_every": 3, **(training or {})}
    )
    begin = StartConfig(stage=start[0], weights=str(start[1])) if start is not None else None
    result = train_method(method, source, config, out, resume=resume, progress=progress, start=begin)
    return method, source, result


def main(arguments: Sequence[str]) -> None:
    values = json.loads(arguments[1])
    train_toy(Path(arguments[0]), values.pop("training", {}), resume="resume" in arguments, **values)


if __name__ == "__main__":
    main(sys.argv[1:])
