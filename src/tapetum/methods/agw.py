"""AGW (TPAMI 2021), the common baseline of visible-infrared re-identification, and CAJ (ICCV 2021).

A ResNet-50 with a stem for each modality, non-local blocks, generalised-mean pooling and a batch-norm neck;
identity loss and weighted regularised triplet. From the paper and the authors' released code; see
docs/methods/agw.md for where these differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tapetum import processes
from tapetum.config import Config
from tapetum.losses import batch_hard_triplet, identity_loss, weighted_regularised_triplet
from tapetum.methods._base import (
    AugmentConfig,
    BatchConfig,
    MethodConfig,
    ParameterGroup,
    ScheduleConfig,
    Stage,
    StageContext,
)
from tapetum.methods._two_stream import (
    TwoStreamConfig,
    TwoStreamMethod,
    TwoStreamNetwork,
    TwoStreamOptimConfig,
    warn_of_random_weights,
)
from tapetum.models.backbones.resnet import ResNetConfig
from tapetum.models.streams import batch_segments
from tapetum.types import Batch

CAJ: Mapping[str, Any] = {
    "wrt_squared": True,
    "augment": {"erase": 0.5, "channels": True, "exchanged_view": True},
    "schedule": {"epochs": 100},
}
"""What CAJ's released code does with the settings of its own scripts."""

TINY: Mapping[str, Any] = {
    "height": 96,
    "width": 48,
    "resnet": {"layers": (1, 1, 1, 1), "width": 16, "non_local": (0, 0, 0, 0)},
    "batches": {"identities": 16, "tracklets": 2},
    "augment": {"pad": 5, "channels": True},
    "triplet_on": "after",
    "triplet_unit": True,
    "optim": {"algorithm": "adamw", "lr": 3e-3, "backbone_factor": 1},
    "schedule": {
        "epochs": 12,
        "steps_per_epoch": 25,
        "warmup_epochs": 0.75,
        "warmup_start": 0.01,
        "per_step": True,
        "milestones": None,
    },
}
"""What learns from random weights in minutes on a processor; no published values.

In a few hundred steps from random weights a triplet on features before the norm draws all of them together;
on unit vectors behind it, it does not.
"""


class AgwLossConfig(Config):
    """Weights of the losses; a loss of weight 0 is not computed."""

    id: float = Field(1, ge=0, description="identity cross-entropy")
    wrt: float = Field(1, ge=0, description="weighted regularised triplet")
    hard: float = Field(0, ge=0, description="batch-hard triplet")


class AgwConfig(TwoStreamConfig):
    """AGW's switches."""

    resnet: ResNetConfig = Field(ResNetConfig(non_local=(0, 2, 3, 0)), description="shape of stem and body")
    loss: AgwLossConfig = AgwLossConfig()
    label_smooth: float = Field(0, ge=0, lt=1, description="label smoothing of the identity loss")
    wrt_squared: bool = Field(
        False, description="the triplet's difference is squared, keeping its sign (CAJ)"
    )
    wrt_compat: bool = Field(False, description="triplet weights as in the widely copied code")
    hard_margin: float | None = Field(0.3, description="of the batch-hard triplet; None: soft margin")
    triplet_on: Literal["before", "after"] = Field(
        "before", description="triplets read features before or behind the batch norm"
    )
    triplet_unit: bool = Field(False, description="L2-normalise features for triplets")
    batches: BatchConfig = BatchConfig(identities=8, tracklets=4)
    augment: AugmentConfig = AugmentConfig(erase=0, channels=False)
    optim: TwoStreamOptimConfig = TwoStreamOptimConfig()
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=81,
        steps_per_epoch="from-data",
        warmup_epochs=9,
        warmup_start=0.1,
        milestones=(20, 50),
    )


class Agw(TwoStreamMethod):
    """AGW: one image a clip by default; of video clips the frames' features are averaged."""

    name: ClassVar[str] = "agw"
    config_type: ClassVar[type[MethodConfig]] = AgwConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "caj": CAJ, "tiny": TINY}
    config: AgwConfig

    def __init__(self, config: AgwConfig, num_identities: int, num_cameras: int) -> None:
        super().__init__(config, num_identities, num_cameras)
        self.network = TwoStreamNetwork(config, num_identities)

    def stages(self) -> list[Stage]:
        """One stage for everything."""
        return [_NetworkStage(self.network, self.config)]


class _NetworkStage(Stage):
    """All parameters learn; an exchanged view passes the visible stem together with its original."""

    name: ClassVar[str] = "network"
    takes_views: ClassVar[bool] = True

    def __init__(self, network: TwoStreamNetwork, config: AgwConfig) -> None:
        self.network = network
        self.config = config
        self.batches = config.batches
        self.augment = config.augment
        self.schedule = config.schedule
        self.optim = config.optim
        self.loss_weights = config.loss.model_dump()

    def parameter_groups(self) -> list[ParameterGroup]:
        """The neck and, at a lower rate, the rest."""
        return self.network.parameter_groups(self.config.optim)

    def before_stage(self, context: StageContext) -> None:
        """Say so where a full-size network starts from random weights."""
        warn_of_random_weights(self.config, resumed=context.resumed)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a cross-modal batch on all its rows, exchanged views included."""
        config, neck, losses = self.config, self.network.neck, {}
        own = self.network.clip_features(batch.clips, batch_segments(batch))
        (features,) = processes.gather(own, parts=batch.parts)
        labels = processes.gather_batch(batch).labels
        normed = neck.norm(features)
        if config.loss.id > 0:
            losses["id"] = identity_loss(neck.classifier(normed), labels, config.label_smooth)
        compared = features if config.triplet_on == "before" else normed
        if config.triplet_unit:
            compared = F.normalize(compared, dim=1)
        if config.loss.wrt > 0:
            losses["wrt"] = weighted_regularised_triplet(
                compared, labels, compat=config.wrt_compat, squared=config.wrt_squared
            )
        if config.loss.hard > 0:
            losses["hard"] = batch_hard_triplet(compared, labels, config.hard_margin)
        return losses
