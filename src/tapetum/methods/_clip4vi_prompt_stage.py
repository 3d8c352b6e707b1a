"""CLIP4VI-ReID's stage 1, in which prompts learn and nothing else: TSG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tapetum.losses import supervised_contrastive
from tapetum.methods._base import (
    AugmentConfig,
    BatchConfig,
    ParameterGroup,
    Stage,
    StageContext,
    split_parameters,
)
from tapetum.methods._clip4vi_config import Clip4ViReidConfig
from tapetum.methods._clip4vi_features import (
    TrainingFeatures,
    check_every_identity,
    encode_training_set,
    measure,
    training_pass,
)
from tapetum.methods._clip4vi_network import SHARED, Clip4ViNetwork
from tapetum.types import Batch, Modality

_LEARNT, _WATCHED = "learnt", "watched"


@dataclass(frozen=True, slots=True)
class _Pool:
    """Cached features that one learner of prompts sees, and how many of them a step draws."""

    learner: str
    found: TrainingFeatures
    size: int


class TsgStage(Stage):
    """TSG: one prompt per identity learns to say what its images show.

    Both towers are frozen, so each image is encoded once, in evaluation mode, before the first step; steps
    read no image. The losses are supervised contrast of images over texts and of texts over images (Li et
    al., AAAI 2023, Eq. 3-4).
    """

    name: ClassVar[str] = "tsg"
    reads_frames: ClassVar[bool] = False
    takes_modalities: ClassVar[tuple[str, ...]] = ("both", "visible", "infrared")
    settings: ClassVar[tuple[str, ...]] = ("tsg",)

    def __init__(self, network: Clip4ViNetwork, config: Clip4ViReidConfig) -> None:
        self.network = network
        self.config = config
        source = config.text_from
        self._modality = None if source in ("both", "bimodal") else Modality(source)
        self.batches = BatchConfig(
            identities=config.tsg.batch_size, tracklets=1, modality=self._modality or "both"
        )
        self.augment = AugmentConfig(pad=0, flip=0, erase=0, channels=False)
        self.schedule = config.tsg.schedule
        self.optim = config.tsg.optim
        self._pools: list[_Pool] = []
        self.loss_weights = {
            f"{way}{_suffix(name)}": 1.0 for name in network.prompts for way in ("i2t", "t2i")
        }

    def parameter_groups(self) -> list[ParameterGroup]:
        """The prompts."""
        return split_parameters(self.network.prompts.named_parameters(), [("prompts", (), 1.0)], self.optim)

    def before_stage(self, context: StageContext) -> None:
        """Encode the training images that texts come from once; and, where it is recorded, a share of all.

        Raises:
            DataError: An identity has no image that its text could come from.
            RuntimeError: The context has no training set.
        """
        found = TrainingFeatures.from_state(_LEARNT, context.state)
        if found is None:
            found = encode_training_set(self.network, training_pass(context), self._modality)
            context.state |= found.to_state(_LEARNT)
        self._pools = self._divide(found, context)
        if self.config.monitor_share > 0 and context.is_recorded and not context.resumed:
            watched = encode_training_set(self.network, training_pass(context, self.config.monitor_share))
            context.state |= watched.to_state(_WATCHED)
            self._measure(context)

    def after_epoch(self, epoch: int, context: StageContext) -> None:
        """Record which images the texts find by now."""
        self._measure(context)

    def after_stage(self, context: StageContext) -> None:
        """Store the texts of the finished prompts."""
        self.network.refresh_text_bank()

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast of cached features drawn by `batch.seed` with the texts of their identities.

        Raises:
            RuntimeError: `before_stage` has not run.
        """
        if not self._pools:
            raise RuntimeError("the features are not cached: before_stage runs first")
        generator = torch.Generator().manual_seed(batch.seed)
        drawn = {pool.learner: _draw(pool, generator) for pool in self._pools}
        texts = self.network.texts_of({learner: labels for learner, (_, labels) in drawn.items()})
        scale, losses = self.config.logit_scale, {}
        for learner, (features, labels) in drawn.items():
            for way, (anchors, others) in {
                "i2t": (features, texts[learner]),
                "t2i": (texts[learner], features),
            }.items():
                losses[way + _suffix(learner)] = supervised_contrastive(
                    anchors, others, labels, labels, 1 / scale
                )
        return losses

    def _divide(self, found: TrainingFeatures, context: StageContext) -> list[_Pool]:
        """What each learner sees; every identity must be among it."""
        identities, size = self.network.text_bank.shape[0], self.config.tsg.batch_size
        if self.config.text_from != "bimodal":
            if self._modality is not None:
                check_every_identity(found, identities, context.label_ids, self._modality)
            return [_Pool(SHARED, found, size)]
        pools = []
        for modality in Modality:
            own = found.of_modality(modality)
            check_every_identity(own, identities, context.label_ids, modality)
            pools.append(_Pool(modality.value, own, size // len(Modality)))
        return pools

    def _measure(self, context: StageContext) -> None:
        watched = TrainingFeatures.from_state(_WATCHED, context.state)
        if watched is not None and context.is_recorded:
            self.network.refresh_text_bank()
            context.record(measure(watched, self.network.text_bank))


def _draw(pool: _Pool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Features and labels of a random part of a pool, none twice."""
    labels = pool.found.labels
    rows = torch.randperm(labels.shape[0], generator=generator)[: pool.size]
    rows = rows.to(labels.device, non_blocking=True)
    return pool.found.features[rows], labels[rows]


def _suffix(learner: str) -> str:
    return "" if learner == SHARED else f"_{learner}"
