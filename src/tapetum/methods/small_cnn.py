"""A small convolutional network over four body stripes: what training reaches without pretraining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tapetum import processes
from tapetum.config import Config
from tapetum.losses import batch_hard_triplet, identity_loss, weighted_regularised_triplet
from tapetum.methods._base import (
    AugmentConfig,
    BatchConfig,
    Method,
    MethodConfig,
    OptimConfig,
    ParameterGroup,
    ScheduleConfig,
    Stage,
    split_parameters,
)
from tapetum.models.batch_statistics import MapNorm
from tapetum.models.necks import BatchNormNeck
from tapetum.types import Batch, Id, Modality

CHANNELS = (32, 32, 64, 64, 128, 128)
"""Output channels of the six convolutions; every other one halves the resolution."""


class SmallCnnLossConfig(Config):
    """Weights of the losses; a loss of weight 0 is not computed."""

    id: float = Field(1, ge=0, description="identity cross-entropy, mean over stripes")
    wrt: float = Field(1, ge=0, description="weighted regularised triplet on all stripes together")
    hard: float = Field(0, ge=0, description="batch-hard triplet on all stripes together")


class SmallCnnConfig(MethodConfig):
    """Switches of the small network."""

    stripes: int = Field(4, ge=1, description="horizontal stripes of a frame")
    loss: SmallCnnLossConfig = SmallCnnLossConfig()
    hard_margin: float | None = Field(0.3, description="margin of the batch-hard triplet; None: soft margin")
    label_smooth: float = Field(0.1, ge=0, lt=1, description="label smoothing of the identity loss")
    batches: BatchConfig = BatchConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig(lr=1e-3, weight_decay=5e-4)
    schedule: ScheduleConfig = ScheduleConfig(epochs=40, steps_per_epoch=100, warmup_epochs=2)


class SmallCnn(Method):
    """Six convolutions, mean over each stripe and over frames, a batch-norm neck per stripe."""

    name: ClassVar[str] = "small-cnn"
    config_type: ClassVar[type[MethodConfig]] = SmallCnnConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "height": 96,
            "width": 48,
            "frames": 2,
            "test_sampling": "dense",
            "batches": {"identities": 16, "tracklets": 2},
            "augment": {"pad": 5},
            "schedule": {"epochs": 24, "steps_per_epoch": 40, "warmup_epochs": 0.75, "per_step": True},
        },
    }
    config: SmallCnnConfig

    def __init__(self, config: SmallCnnConfig, num_identities: int, num_cameras: int) -> None:
        super().__init__(config, num_identities, num_cameras)
        sizes = zip((3, *CHANNELS[:-1]), CHANNELS, strict=True)
        self.backbone = nn.Sequential(
            *(_convolution(before, after, 1 + (i + 1) % 2) for i, (before, after) in enumerate(sizes))
        )
        self.necks = nn.ModuleList(BatchNormNeck(CHANNELS[-1], num_identities) for _ in range(config.stripes))

    @property
    def embedding_dim(self) -> int:
        """D: channels of all stripes."""
        return self.config.stripes * CHANNELS[-1]

    def stages(self) -> list[Stage]:
        """One stage for everything."""
        return [_NetworkStage(self)]

    def features(self, clips: Tensor) -> Tensor:
        """Pooled features per stripe, mean over frames: float32 `[B, stripes, 128]` of `[B, T, 3, H, W]`."""
        maps = self.backbone(clips.flatten(0, 1))
        pooled = F.adaptive_avg_pool2d(maps, (self.config.stripes, 1)).flatten(2).transpose(1, 2)
        return pooled.float().view(clips.shape[0], clips.shape[1], self.config.stripes, -1).mean(1)

    def encode(
        self,
        clips: Tensor,
        *,
        modality: Modality | Sequence[Modality] | None = None,
        camera_ids: Sequence[Id | None] | None = None,
    ) -> Tensor:
        """Embeddings `[B, D]`: features behind the batch norms; modality and camera make no difference."""
        norms = [cast(BatchNormNeck, neck).norm for neck in self.necks]
        features = self.features(clips).unbind(1)
        normed = [norm(f).float() for norm, f in zip(norms, features, strict=True)]
        return F.normalize(torch.cat(normed, dim=1), dim=1)


class _NetworkStage(Stage):
    """All parameters learn, from rows in any order."""

    name: ClassVar[str] = "network"
    takes_views: ClassVar[bool] = True
    takes_modalities: ClassVar[tuple[str, ...]] = ("both", "visible", "infrared")

    def __init__(self, method: SmallCnn) -> None:
        self.method = method
        self.config = method.config
        self.batches = self.config.batches
        self.augment = self.config.augment
        self.schedule = self.config.schedule
        self.optim = self.config.optim
        self.loss_weights = self.config.loss.model_dump()

    def parameter_groups(self) -> list[ParameterGroup]:
        """One group of all parameters."""
        return split_parameters(self.method.named_parameters(), [("network", (), 1.0)], self.optim)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Identity and triplet losses."""
        config, losses = self.config, {}
        (features,) = processes.gather(self.method.features(batch.clips), parts=batch.parts)
        labels = processes.gather_batch(batch).labels
        together = features.flatten(1)
        if config.loss.id > 0:
            losses["id"] = self._identity(features, labels)
        if config.loss.wrt > 0:
            losses["wrt"] = weighted_regularised_triplet(together, labels)
        if config.loss.hard > 0:
            losses["hard"] = batch_hard_triplet(together, labels, config.hard_margin)
        return losses

    def _identity(self, features: Tensor, labels: Tensor) -> Tensor:
        terms = [
            identity_loss(neck(f), labels, self.config.label_smooth)
            for neck, f in zip(self.method.necks, features.unbind(1), strict=True)
        ]
        return torch.stack(terms).mean()


def _convolution(before: int, after: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        MapNorm(after),
        nn.ReLU(inplace=True),
    )
