"""CLIP4VI-ReID's stages 2 and 3, in which the image tower learns: IFE and HSA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tapetum import processes
from tapetum.losses import (
    identity_loss,
    modality_shared_enhancement,
    supervised_contrastive,
    text_to_visual,
    visual_to_text,
    weighted_regularised_triplet,
)
from tapetum.methods._base import ParameterGroup, Stage, StageContext, split_parameters
from tapetum.methods._clip4vi_config import Clip4ViReidConfig
from tapetum.methods._clip4vi_features import encode_training_set, measure
from tapetum.methods._clip4vi_network import Clip4ViNetwork, ClipFeatures
from tapetum.models.batch_statistics import hold_statistics
from tapetum.models.pooling import GeneralisedMean
from tapetum.models.streams import Segment, batch_segments
from tapetum.types import Batch, Modality


class TowerStage(Stage):
    """A stage that moves the image tower; measures before its first step and after each epoch."""

    def __init__(self, network: Clip4ViNetwork, config: Clip4ViReidConfig) -> None:
        self.network = network
        self.config = config

    def before_stage(self, context: StageContext) -> None:
        """Make the text bank that of the prompts, and measure where the stage starts."""
        self.network.refresh_text_bank()
        if not context.resumed:
            self._measure(context)

    def after_epoch(self, epoch: int, context: StageContext) -> None:
        """Record what texts find which images, and how far the modalities are apart."""
        self._measure(context)

    def _measure(self, context: StageContext) -> None:
        share = self.config.monitor_share
        if share == 0 or not context.is_recorded:
            return
        found = encode_training_set(self.network, context.training_pass(share))
        context.record(measure(found, self.network.text_bank if self.config.uses_text else None))


class IfeStage(TowerStage):
    """IFE: infrared features are pulled to the finished texts; prompts, heads and statistics stay.

    Each image is classified among the texts of all identities, and each text finds the images of its
    identity in the batch. Batch norms of the tower use the statistics they came with, for the batch holds one
    modality alone; their weights learn.
    """

    name: ClassVar[str] = "ife"
    takes_modalities: ClassVar[tuple[str, ...]] = ("both", "visible", "infrared")
    settings: ClassVar[tuple[str, ...]] = ("ife", "use_ife", "text_smooth")

    def __init__(self, network: Clip4ViNetwork, config: Clip4ViReidConfig) -> None:
        super().__init__(network, config)
        ife = config.ife
        self.batches = ife.batches.model_copy(update={"modality": config.ife_modality})
        self.augment = ife.augment
        self.schedule = ife.schedule
        self.optim = ife.optim
        self.loss_weights = {"i2t": ife.loss.i2t, "t2i": ife.loss.t2i, "replay": ife.loss.replay}

    def parameter_groups(self) -> list[ParameterGroup]:
        """The image tower, without the stem of a modality that is not seen."""
        seen = ("visible", "infrared") if self.config.ife_modality == "both" else (self.config.ife_modality,)
        return split_parameters(self.network.images.reached_by(seen), [("tower", (), 1.0)], self.optim)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of images against the texts, which take no gradient."""
        hold_statistics(self.network.images)
        encoded = self.network.encode_clips(batch.clips, self._segments(batch))
        (features,) = processes.gather(encoded.f, parts=batch.parts)
        batch = processes.gather_batch(batch)
        bank, scale, smooth = self.network.text_bank, self.config.logit_scale, self.config.text_smooth
        images, labels = features, batch.labels
        losses = {}
        if self.config.ife_modality == "both":
            half = len(labels) // 2
            parts = [(features[:half], labels[:half]), (features[half:], labels[half:])]
            own, other = parts if self.config.rectified is Modality.VISIBLE else parts[::-1]
            images, labels = own
            losses["replay"] = visual_to_text(scale * other[0], bank, other[1], smooth)
        if self.loss_weights["i2t"] > 0:
            losses["i2t"] = visual_to_text(scale * images, bank, labels, smooth)
        if self.loss_weights["t2i"] > 0:
            losses["t2i"] = text_to_visual(bank, images, labels, 1 / scale)
        return losses

    def _segments(self, batch: Batch) -> list[Segment]:
        if self.config.ife_modality == "both":
            return batch_segments(batch)
        return [Segment(self.config.ife_modality, batch.clips.shape[0] * batch.clips.shape[1])]


class HsaStage(TowerStage):
    """HSA: image tower, heads and prompts learn together from both modalities.

    Batches hold N visible rows, N infrared rows of the same people in the same order, and where asked for N
    exchanged views of the visible ones, which count for identity and triplet losses alone.
    """

    name: ClassVar[str] = "hsa"
    takes_views: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = (
        *("use_hsa", "tune_prompts", "neck_bias", "loss", "wrt_on", "label_smooth"),
        *("batches", "augment", "optim", "schedule", "test_feature", "normalise_parts"),
    )

    def __init__(self, network: Clip4ViNetwork, config: Clip4ViReidConfig) -> None:
        super().__init__(network, config)
        self.batches = config.batches
        self.augment = config.augment
        self.schedule = config.schedule
        self.optim = config.optim
        loss = config.loss
        self.loss_weights = {
            **dict.fromkeys(("id_g", "id_f"), loss.id),
            **dict.fromkeys(("msel_g", "msel_f"), loss.msel),
            **{f"wrt_{name}": loss.wrt for name in config.wrt_on},
            **{f"i2t_{m}": getattr(loss, f"i2t_{m}") for m in Modality},
            **{f"contrast_{m}": getattr(loss, f"contrast_{m}") for m in Modality},
        }

    def parameter_groups(self) -> list[ParameterGroup]:
        """Groups by learning rate: prompts, heads, biases of the tower, all else of the tower."""
        optim, network = self.config.optim, self.network
        rules = [
            ("prompts", ("prompts.",), optim.prompt_factor),
            ("heads", ("necks.", "pooling."), optim.head_factor),
            ("biases", ("bias",), optim.bias_factor),
            ("tower", (), 1.0),
        ]
        learns = [(name, parameter) for name, parameter in network.named_parameters() if self._learns(name)]
        groups = split_parameters(learns, rules, optim)
        return groups if optim.decay_norms else _without_decay(groups, _norm_parameters(network))

    def _learns(self, name: str) -> bool:
        if name.startswith("prompts."):
            return self.config.tunes_prompts
        if name.startswith("fusion."):
            return False
        return self.config.loss.id > 0 or not name.startswith("necks.")

    def before_epoch(self, epoch: int, context: StageContext) -> None:
        """Recompute the text bank, which the losses read without gradient."""
        if self.config.tunes_prompts:
            self.network.refresh_text_bank()

    def after_epoch(self, epoch: int, context: StageContext) -> None:
        """Measure with the texts as they are now."""
        self.before_epoch(epoch, context)
        super().after_epoch(epoch, context)

    def after_stage(self, context: StageContext) -> None:
        """Store the texts of the finished prompts."""
        self.network.refresh_text_bank()

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Identity and triplet losses of all rows, modality and text losses of first views."""
        segments = batch_segments(batch)
        features = _of_everyone(self.network.encode_clips(batch.clips, segments), batch.parts)
        batch = processes.gather_batch(batch)
        first = batch.without_views()
        return {
            **self._identity_losses(features, batch),
            **self._modality_losses(features, first),
            **self._text_losses(features.f, first),
        }

    def _identity_losses(self, features: ClipFeatures, batch: Batch) -> dict[str, Tensor]:
        config, losses = self.config, {}
        if config.loss.id > 0:
            for name, neck in self.network.necks.items():
                logits = neck(getattr(features, name))
                losses[f"id_{name}"] = identity_loss(logits, batch.labels, config.label_smooth)
        if config.loss.wrt > 0:
            for name in config.wrt_on:
                losses[f"wrt_{name}"] = weighted_regularised_triplet(getattr(features, name), batch.labels)
        return losses

    def _modality_losses(self, features: ClipFeatures, first: Batch) -> dict[str, Tensor]:
        if self.config.loss.msel == 0:
            return {}
        rows = len(first.labels)
        return {
            f"msel_{name}": modality_shared_enhancement(x[:rows], first.labels, first.infrared)
            for name, x in (("g", features.g), ("f", features.f))
        }

    def _text_losses(self, features: Tensor, first: Batch) -> dict[str, Tensor]:
        """Of visible and of infrared images: against all texts, and both ways with the batch's texts."""
        if not self.config.uses_text:
            return {}
        visible, infrared = features[: len(first.labels)].chunk(2)
        labels, _ = first.labels.chunk(2)
        sides = ((Modality.VISIBLE, visible), (Modality.INFRARED, infrared))
        losses = {}
        for modality, images in sides:
            if self.loss_weights[f"i2t_{modality}"] > 0:
                losses[f"i2t_{modality}"] = self._classification(images, labels)
        contrasted = [side for side in sides if self.loss_weights[f"contrast_{side[0]}"] > 0]
        if contrasted:
            texts = self._texts(labels)
            for modality, images in contrasted:
                losses[f"contrast_{modality}"] = self._contrast(images, texts, labels)
        return losses

    def _classification(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images among the texts of all identities, as they were when the epoch began."""
        config = self.config
        return visual_to_text(config.logit_scale * images, self.network.text_bank, labels, config.text_smooth)

    def _texts(self, labels: Tensor) -> Tensor:
        """Texts of rows `[N]`, K in a row of one identity: computed once for each and repeated.

        Raises:
            ValueError: The rows are no multiple of K.
        """
        each = self.batches.tracklets
        if len(labels) % each:
            raise ValueError(
                f"{len(labels)} rows a modality: expected a multiple of batches.tracklets = {each}"
            )
        people = labels[::each]
        tunes = self.config.tunes_prompts
        texts = self._learnt_texts(people) if tunes else self.network.text_bank[people]
        return texts.repeat_interleave(each, dim=0)

    def _learnt_texts(self, people: Tensor) -> Tensor:
        share = processes.share_of(len(people), people.device)
        own = people if share is None else people[share]
        return processes.join_shares(self.network.text_features(own), len(people))

    def _contrast(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        """Supervised contrast of images over texts plus that of texts over images."""
        ways = ((images, texts), (texts, images))
        temperature = 1 / self.config.logit_scale
        terms = [supervised_contrastive(a, b, labels, labels, temperature) for a, b in ways]
        return torch.stack(terms).sum()


class HsaAfterTsg(HsaStage):
    """HSA where IFE is left out: what comes before may be of a run that goes on with IFE."""

    settings: ClassVar[tuple[str, ...]] = (*IfeStage.settings, *HsaStage.settings)


def _of_everyone(features: ClipFeatures, parts: int) -> ClipFeatures:
    """Features of the clips of all processes."""
    found = {"g": features.g, "f": features.f}
    if features.last is not None:
        found["last"] = features.last
    return ClipFeatures(**processes.gather_named(found, parts))


def _norm_parameters(network: nn.Module) -> set[nn.Parameter]:
    """Parameters of batch norms, and exponents of pooling."""
    kinds = (_BatchNorm, GeneralisedMean)
    return {p for part in network.modules() if isinstance(part, kinds) for p in part.parameters()}


def _without_decay(groups: Sequence[ParameterGroup], exempt: set[nn.Parameter]) -> list[ParameterGroup]:
    """The groups, with members of `exempt` in groups of their own that do not decay."""
    parted = []
    for group in groups:
        for name, decay, members in (
            (group.name, group.weight_decay, [p for p in group.parameters if p not in exempt]),
            (f"{group.name}_norms", 0.0, [p for p in group.parameters if p in exempt]),
        ):
            if members:
                parted.append(ParameterGroup(name, members, group.lr, decay))
    return parted
