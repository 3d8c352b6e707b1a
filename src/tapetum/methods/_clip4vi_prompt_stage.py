"""CLIP4VI-ReID's stages that learn from cached features: prompts (TSG), and CSDN's fusion of two texts."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from tapetum import processes
from tapetum.losses import supervised_contrastive
from tapetum.methods._base import (
    AugmentConfig,
    BatchConfig,
    ParameterGroup,
    Stage,
    StageContext,
    split_parameters,
)
from tapetum.methods._clip4vi_config import CachedConfig, Clip4ViReidConfig
from tapetum.methods._clip4vi_features import (
    TrainingFeatures,
    check_every_identity,
    encode_training_set,
    measure,
)
from tapetum.methods._clip4vi_network import SHARED, Clip4ViNetwork
from tapetum.types import Batch, Modality

_LEARNT, _WATCHED = "learnt", "watched"
_FUSION_DROPOUT = 0.1


class CachedStage(Stage):
    """A stage against frozen towers: each image is encoded once, before the first step; steps read none.

    The losses are supervised contrast of images over texts and of texts over images (Li et al., AAAI 2023,
    Eq. 3-4).
    """

    reads_frames: ClassVar[bool] = False
    takes_modalities: ClassVar[tuple[str, ...]] = ("both", "visible", "infrared")

    def __init__(
        self, network: Clip4ViNetwork, config: Clip4ViReidConfig, training: CachedConfig, rows: int
    ) -> None:
        """Set up the stage.

        Args:
            network: What it trains a part of.
            config: All settings.
            training: Those of this stage.
            rows: Cached images of one modality that a step draws; an epoch is as many steps as that many
                go into those of the modality that has more.
        """
        self.network = network
        self.config = config
        source = config.text_from
        self._modality = None if source in ("both", "bimodal") else Modality(source)
        self.batches = BatchConfig(identities=rows, tracklets=1, modality=self._modality or "both")
        self.augment = AugmentConfig(pad=0, flip=0, erase=0, channels=False)
        self.schedule = training.schedule
        self.optim = training.optim
        self.rows = rows
        self.loss_weights = {"i2t": 1.0, "t2i": 1.0}
        self._cache: TrainingFeatures | None = None

    def before_stage(self, context: StageContext) -> None:
        """Encode the training images that texts come from once; and, where it is recorded, a share of all.

        Raises:
            DataError: An identity has no image that its text could come from.
            RuntimeError: The context has no training set.
        """
        found = TrainingFeatures.from_state(_LEARNT, context.state)
        if found is None:
            found = encode_training_set(self.network, context.training_pass(), self._modality)
            context.state |= found.to_state(_LEARNT)
        self._check(found, context)
        self._prepare(found)
        self._cache = found
        if self.config.monitor_share > 0 and context.is_recorded and not context.resumed:
            watched = encode_training_set(self.network, context.training_pass(self.config.monitor_share))
            context.state |= watched.to_state(_WATCHED)
            self._measure(context)

    def after_epoch(self, epoch: int, context: StageContext) -> None:
        """Record which images the texts find by now."""
        self._measure(context)

    def after_stage(self, context: StageContext) -> None:
        """Store the texts as they are at the end."""
        self.network.refresh_text_bank()

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast of cached features drawn by `batch.seed` with the texts of their identities.

        Raises:
            RuntimeError: `before_stage` has not run.
        """
        if self._cache is None:
            raise RuntimeError("the features are not cached: before_stage runs first")
        drawn = self._draw(self._cache, torch.Generator().manual_seed(batch.seed))
        rows = drawn.to(self._cache.labels.device, non_blocking=True)
        images, labels = self._cache.features[rows], self._cache.labels[rows]
        texts, temperature = self._texts(labels), 1 / self.config.logit_scale
        return {
            "i2t": supervised_contrastive(images, texts, labels, labels, temperature),
            "t2i": supervised_contrastive(texts, images, labels, labels, temperature),
        }

    def _prepare(self, found: TrainingFeatures) -> None:
        """Hook: what steps need beside the cache."""

    def _draw(self, found: TrainingFeatures, generator: torch.Generator) -> Tensor:
        """Rows of the cache for one step, on the host, none twice."""
        return torch.randperm(found.labels.shape[0], generator=generator)[: self.rows]

    @abstractmethod
    def _texts(self, labels: Tensor) -> Tensor:
        """The text of each row's identity, with gradients to what the stage trains."""

    def _check(self, found: TrainingFeatures, context: StageContext) -> None:
        """Every identity must have an image that its text, or each of its texts, comes from."""
        wanted = tuple(Modality) if self.config.text_from == "bimodal" else (self._modality,)
        for modality in wanted:
            if modality is not None:
                own, identities = found.of_modality(modality), self.network.text_bank.shape[0]
                check_every_identity(own, identities, context.label_ids, modality)

    def _measure(self, context: StageContext) -> None:
        watched = TrainingFeatures.from_state(_WATCHED, context.state)
        if watched is not None and context.is_recorded:
            self.network.refresh_text_bank()
            context.record(measure(watched, self.network.text_bank))


class TsgStage(CachedStage):
    """TSG: one prompt per identity learns to say what its images show; nothing else learns."""

    name: ClassVar[str] = "tsg"
    settings: ClassVar[tuple[str, ...]] = ("tsg",)

    def __init__(self, network: Clip4ViNetwork, config: Clip4ViReidConfig) -> None:
        super().__init__(network, config, config.tsg, config.tsg.batch_size)

    def parameter_groups(self) -> list[ParameterGroup]:
        """The prompts."""
        return split_parameters(self.network.prompts.named_parameters(), [("prompts", (), 1.0)], self.optim)

    def _texts(self, labels: Tensor) -> Tensor:
        own = _share(labels)
        return processes.join_shares(self.network.texts_of({SHARED: own})[SHARED], len(labels))


class BimodalTsgStage(TsgStage):
    """TSG with a learner for each modality, as CSDN has it: pairs of images of one person, one contrast.

    Half of a step's rows are visible, the other half infrared images of the same people. An image finds its
    person's texts of both modalities, and a text its person's images of both.
    """

    def __init__(self, network: Clip4ViNetwork, config: Clip4ViReidConfig) -> None:
        CachedStage.__init__(self, network, config, config.tsg, config.tsg.batch_size // len(Modality))
        self._pairs: _Pairs | None = None

    def _prepare(self, found: TrainingFeatures) -> None:
        self._pairs = _Pairs(found, self.network.text_bank.shape[0])

    def _draw(self, found: TrainingFeatures, generator: torch.Generator) -> Tensor:
        if self._pairs is None:
            raise RuntimeError("the features are not cached: before_stage runs first")
        return self._pairs.draw(self.rows, generator)

    def _texts(self, labels: Tensor) -> Tensor:
        visible, infrared = labels.chunk(len(Modality))
        texts = self.network.texts_of({"visible": _share(visible), "infrared": _share(infrared)})
        whole = [processes.join_shares(texts[m], len(visible)) for m in ("visible", "infrared")]
        return torch.cat(whole)


class FusionStage(CachedStage):
    """CSDN's second stage: a small network learns to make one text of a person's two; prompts are finished.

    Nothing in a step but that network runs: the texts of both learners are cached too.
    """

    name: ClassVar[str] = "fusion"
    settings: ClassVar[tuple[str, ...]] = ("fusion",)

    def __init__(self, network: Clip4ViNetwork, config: Clip4ViReidConfig) -> None:
        super().__init__(network, config, config.fusion, config.fusion.batch_size)
        self._banks: dict[str, Tensor] = {}

    def parameter_groups(self) -> list[ParameterGroup]:
        """The fusing network."""
        named = self.network.named_parameters()
        fusion = ((name, p) for name, p in named if name.startswith("fusion."))
        return split_parameters(fusion, [("fusion", (), 1.0)], self.optim)

    def _prepare(self, found: TrainingFeatures) -> None:
        with torch.no_grad():
            self._banks = self.network.texts_of(dict.fromkeys(self.network.prompts))

    def _texts(self, labels: Tensor) -> Tensor:
        return self.network.combined({m: bank[labels] for m, bank in self._banks.items()}, _FUSION_DROPOUT)


def _share(labels: Tensor) -> Tensor:
    """The labels whose texts this process computes."""
    share = processes.share_of(len(labels), labels.device)
    return labels if share is None else labels[share]


class _Pairs:
    """Draws visible images, and an infrared one of the same person for each; on the host."""

    def __init__(self, found: TrainingFeatures, identities: int) -> None:
        labels, infrared = found.labels.cpu(), found.infrared.cpu()
        self._visible = (~infrared).nonzero().flatten()
        self._labels = labels[self._visible]
        rows = infrared.nonzero().flatten()
        self._infrared = rows[labels[rows].argsort(stable=True)]
        self._counts = torch.bincount(labels[rows], minlength=identities)
        self._starts = self._counts.cumsum(0) - self._counts

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Up to `count` visible rows, none twice, then as many infrared ones."""
        chosen = torch.randperm(len(self._visible), generator=generator)[:count]
        labels = self._labels[chosen]
        share = torch.rand(len(chosen), generator=generator, dtype=torch.float64)
        partners = self._starts[labels] + (share * self._counts[labels]).long()
        return torch.cat([self._visible[chosen], self._infrared[partners]])
