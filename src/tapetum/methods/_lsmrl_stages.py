"""LSMRL's stages of training: one for everything, or prompts first and then the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum import processes
from tapetum.losses import (
    center_alignment,
    cross_modal_contrastive,
    discriminative_center,
    identity_loss,
    maximum_mean_discrepancy,
    modality_shared_enhancement,
    multi_modality_alignment,
    squared_gap,
    supervised_contrastive,
    text_to_visual,
    visual_to_text,
    weighted_regularised_triplet,
)
from tapetum.methods._base import ParameterGroup, Stage, StageContext, split_parameters
from tapetum.methods._lsmrl_config import LsmrlConfig
from tapetum.methods._lsmrl_network import LsmrlNetwork
from tapetum.models.interaction import draw_partners
from tapetum.types import Batch

_ModalityLoss = Callable[[Tensor, Tensor, Tensor], Tensor]

MODALITY_LOSSES: Mapping[str, _ModalityLoss] = {
    "msel": modality_shared_enhancement,
    "dcl": lambda features, labels, infrared: discriminative_center(features, labels),
    "xmod_nce": cross_modal_contrastive,
    "mma": multi_modality_alignment,
    "center_align": center_alignment,
    "mmd": lambda features, labels, infrared: maximum_mean_discrepancy(features, infrared),
}
"""Modality-level losses of features, labels and infrared mask, by their key in the configuration."""


class NetworkStage(Stage):
    """Everything but the text tower learns; the prompts too where they learn jointly.

    Batches hold B visible rows, then B infrared rows of the same persons in the same order.
    """

    name: ClassVar[str] = "network"
    settings: ClassVar[tuple[str, ...]] = (
        *("batches", "augment", "optim", "schedule", "loss", "label_smooth", "wrt_compat", "msel_norm"),
        *("modality_on", "neck_feature", "test_feature", "sd_detach_text", "sd_at_test"),
        *("cmi_shuffle", "cmi_self_prob", "cmi_test"),
    )

    def __init__(self, network: LsmrlNetwork, config: LsmrlConfig) -> None:
        self.network = network
        self.config = config
        self.batches = config.batches
        self.augment = config.augment
        self.schedule = config.schedule
        self.optim = config.optim
        has_modules = network.diffusion is not None or network.interaction is not None
        self.triplet_features = ("f_last", "f", "f_p", *(["g"] if has_modules else []))
        self.modality_losses = [name for name in MODALITY_LOSSES if getattr(config.loss, name) > 0]
        self.loss_weights = self._weights()

    def _weights(self) -> dict[str, float]:
        loss = self.config.loss
        heads = {f"id_{name}": loss.id for name in self.network.necks}
        triplets = {f"wrt_{name}": loss.wrt for name in self.triplet_features}
        modality = {
            f"{name}_{feature}": getattr(loss, name)
            for name in self.modality_losses
            for feature in self.config.modality_on
        }
        return {**heads, **triplets, "v2t": loss.v2t, "t2v": loss.t2v, "cmcl": loss.cmcl, **modality}

    def parameter_groups(self) -> list[ParameterGroup]:
        """Groups by learning rate: heads and prompts, every other bias, SD and CMI, the image tower."""
        optim = self.config.optim
        rules = [
            ("heads", ("prompts.", "necks."), optim.head_factor),
            ("biases", ("bias",), optim.bias_factor),
            ("modules", ("diffusion.", "interaction."), optim.module_factor),
            ("tower", (), 1.0),
        ]
        learns = [
            (name, parameter)
            for name, parameter in self.network.named_parameters()
            if self.config.is_joint or not name.startswith("prompts.")
        ]
        return split_parameters(learns, rules, optim)

    def before_stage(self, context: StageContext) -> None:
        """Make the text bank that of the prompts."""
        self.network.refresh_text_bank()

    def after_stage(self, context: StageContext) -> None:
        """Make the text bank that of the prompts after the last update."""
        self.network.refresh_text_bank()

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Identity, triplet, text and modality-level losses of a cross-modal batch."""
        bank = self._bank()
        encoded = self.network.encode_frames(batch.clips)
        tokens = self.network.diffuse(encoded, bank.detach() if self.config.sd_detach_text else bank)
        everyone = processes.gather_batch(batch)
        met = self.network.interact(tokens, tokens[self._partners(everyone, batch)])
        features = {"f_last": encoded.last, "f": encoded.pooled, "f_p": encoded.projected, "g": met}
        if self.config.loss.v2t > 0 or self.config.loss.t2v > 0:
            features["beside_texts"] = encoded.projected
        if self.config.loss.cmcl > 0:
            features["alone"] = self.network.interact(tokens)
        features = processes.gather_named(features, batch.parts)
        losses = {
            **self._identity_losses(features, everyone),
            **self._text_losses(features, bank, everyone),
            **self._modality_level_losses(features, everyone),
        }
        if self.config.loss.cmcl > 0:
            losses["cmcl"] = squared_gap(features["alone"], features["g"])
        return losses

    def _bank(self) -> Tensor:
        """Text features as they train now (kept as the text bank), or the bank of fixed prompts."""
        if not self.config.is_joint:
            return self.network.text_bank
        rows = self.network.text_bank.shape[0]
        share = processes.share_of(rows, self.network.text_bank.device)
        bank = processes.join_shares(self.network.text_features(share), rows)
        with torch.no_grad():
            self.network.text_bank.copy_(bank)
        return bank

    def _partners(self, everyone: Batch, batch: Batch) -> Tensor:
        """Row of each row's partner among those of `batch`, drawn for everyone's rows together."""
        partners = draw_partners(
            everyone.labels,
            shuffle=self.config.cmi_shuffle,
            self_probability=self.config.cmi_self_prob,
            generator=torch.Generator().manual_seed(batch.seed),
        )
        return processes.own_rows(partners, batch)

    def _identity_losses(self, features: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        config = self.config
        losses = {
            f"id_{name}": identity_loss(neck(features[name]), batch.labels, config.label_smooth)
            for name, neck in self.network.necks.items()
        }
        if config.loss.wrt > 0:
            for name in self.triplet_features:
                losses[f"wrt_{name}"] = weighted_regularised_triplet(
                    features[name], batch.labels, compat=config.wrt_compat
                )
        return losses

    def _text_losses(self, features: Mapping[str, Tensor], bank: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = {}
        if self.config.loss.v2t > 0:
            losses["v2t"] = visual_to_text(features["beside_texts"], bank, batch.labels)
        if self.config.loss.t2v > 0:
            losses["t2v"] = text_to_visual(bank, features["beside_texts"], batch.labels)
        return losses

    def _modality_level_losses(self, features: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        losses = {}
        for name in self.modality_losses:
            for feature in self.config.modality_on:
                value = features[feature]
                if self.config.neck_feature == "after":
                    value = self.network.normed(feature, value)
                if name == "msel" and self.config.msel_norm:
                    value = F.normalize(value, dim=1)
                losses[f"{name}_{feature}"] = MODALITY_LOSSES[name](value, batch.labels, batch.infrared)
        return losses


class PromptStage(Stage):
    """The prompts learn alone, against cached features of the training set (stage 1 of CLIP-ReID).

    Both towers are frozen, so each tracklet is encoded once, before the first step. The two losses are
    supervised contrast of images over texts and of texts over images (Li et al., AAAI 2023, Eq. 3-4).
    """

    name: ClassVar[str] = "prompts"
    reads_frames: ClassVar[bool] = False
    settings: ClassVar[tuple[str, ...]] = ("prompt_learning",)

    def __init__(self, network: LsmrlNetwork, config: LsmrlConfig) -> None:
        self.network = network
        self.batch_size = config.prompt_learning.batch_size
        self.batches = config.batches
        self.augment = config.augment
        self.schedule = config.prompt_learning.schedule
        self.optim = config.prompt_learning.optim
        self.loss_weights = {"v2t": 1.0, "t2v": 1.0}
        self._cache: tuple[Tensor, Tensor] | None = None

    def parameter_groups(self) -> list[ParameterGroup]:
        """The prompts."""
        prompts = ((n, p) for n, p in self.network.named_parameters() if n.startswith("prompts."))
        return split_parameters(prompts, [("prompts", (), 1.0)], self.optim)

    @torch.no_grad()
    def before_stage(self, context: StageContext) -> None:
        """Encode the training set once.

        Raises:
            RuntimeError: The context has no training set.
        """
        if context.iterate_training_set is None:
            raise RuntimeError("prompts learn from features of the training set, which the context lacks")
        was_training = self.network.training
        self.network.eval()
        encoded = [(self.network.encoder(b.clips).projected, b.labels) for b in context.training_pass()]
        self.network.train(was_training)
        features, labels = zip(*processes.join_turns(encoded), strict=True)
        self._cache = torch.cat(features), torch.cat(labels)

    def after_stage(self, context: StageContext) -> None:
        """Store the text features of the finished prompts."""
        self.network.refresh_text_bank()

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast of cached features drawn by `batch.seed` with the texts of their identities.

        Raises:
            RuntimeError: `before_stage` has not run.
        """
        if self._cache is None:
            raise RuntimeError("the features are not cached: before_stage runs first")
        features, labels = self._cache
        generator = torch.Generator().manual_seed(batch.seed)
        rows = torch.randperm(labels.shape[0], generator=generator)[: self.batch_size]
        rows = rows.to(labels.device, non_blocking=True)
        features, labels = features[rows], labels[rows]
        share = processes.share_of(len(labels), labels.device)
        own = labels if share is None else labels[share]
        texts = processes.join_shares(self.network.text_features(own), len(labels))
        return {
            "v2t": supervised_contrastive(features, texts, labels, labels),
            "t2v": supervised_contrastive(texts, features, labels, labels),
        }
