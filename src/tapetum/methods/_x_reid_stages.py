"""X-ReID's one stage of training, and the pass that fills its memories."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum import processes
from tapetum.losses import batch_hard_triplet, identity_loss, prototype_contrast, squared_gap
from tapetum.methods._base import ParameterGroup, Stage, StageContext, split_parameters
from tapetum.methods._x_reid_config import XReidConfig
from tapetum.methods._x_reid_network import ClipFeatures, XReidNetwork
from tapetum.models.granularity import Branches
from tapetum.types import Batch

_log = logging.getLogger(__name__)


class NetworkStage(Stage):
    """Everything but the patch embedding learns, against memories that follow the clips.

    Batches hold B visible rows, then B infrared rows of the same persons in the same order.
    """

    name: ClassVar[str] = "network"

    def __init__(self, network: XReidNetwork, config: XReidConfig) -> None:
        self.network = network
        self.config = config
        self.batches = config.batches
        self.augment = config.augment
        self.schedule = config.schedule
        self.optim = config.optim
        loss = config.loss
        self.loss_weights = {
            **dict.fromkeys(("cpc_visible", "cpc_infrared"), loss.cpc),
            **dict.fromkeys(("triplet_g", "triplet_p", "triplet_o"), loss.triplet),
            **dict.fromkeys(("id", "id_o"), loss.id),
            **dict.fromkeys(("frame", "frame_o"), loss.frame),
            **dict.fromkeys(("cmcl_sii", "cmcl_lii", "cmcl_class"), loss.cmcl),
            **dict.fromkeys(("norm_sii", "norm_lii", "norm_class"), 0.0),
        }

    def parameter_groups(self) -> list[ParameterGroup]:
        """Groups by learning rate: classifiers, interactions and their biases, other biases, all else."""
        optim = self.config.optim
        interaction = [
            ("mii_biases", ("bias",), optim.mii_bias_factor),
            ("mii", (), optim.mii_factor),
        ]
        others = [
            ("mii_classifiers", ("mii_neck.classifier",), optim.mii_classifier_factor),
            ("classifiers", ("classifier",), optim.classifier_factor),
            ("biases", ("bias",), optim.bias_factor),
            ("tower", (), 1.0),
        ]
        named = list(self.network.named_parameters())
        inside = [(name, p) for name, p in named if name.startswith("interaction.")]
        outside = [(name, p) for name, p in named if not name.startswith("interaction.")]
        return [
            *split_parameters(inside, interaction, optim),
            *split_parameters(outside, others, optim),
        ]

    def before_stage(self, context: StageContext) -> None:
        """Fill the memories, unless training goes on with those of a checkpoint or each epoch fills them."""
        if not (context.resumed or self.config.rebuild_memory_each_epoch):
            self._fill_memory(context)

    def before_epoch(self, epoch: int, context: StageContext) -> None:
        """Fill the memories anew where the configuration says so."""
        if self.config.rebuild_memory_each_epoch:
            self._fill_memory(context)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a cross-modal batch; then the memories move, which the losses do not see."""
        network = self.network
        features = network.encode_frames(batch.clips, batch.cameras)
        everyone, seen = processes.gather_batch(batch), _of_everyone(features, batch.parts)
        g, p = seen.g, seen.p
        normed = network.neck.normed(g, p)
        losses = self._clip_losses({"g": g, "p": p}, normed, seen, everyone)
        if network.interaction is not None:
            branches = network.interact(features)
            losses |= self._interaction_losses(branches, everyone, batch.parts)
            losses |= self._partner_losses(branches, features, batch.parts)
        losses |= self._contrast(p if self.config.memory_feature == "projected" else normed, everyone)
        return losses

    def _clip_losses(
        self, pooled: Mapping[str, Tensor], normed: Tensor, features: ClipFeatures, batch: Batch
    ) -> dict[str, Tensor]:
        """Triplets on g and p, identity losses of clips and of frames."""
        losses = self._triplets(pooled, batch.labels)
        network, weights = self.network, self.config.loss
        if weights.id > 0:
            losses["id"] = identity_loss(network.neck.classifier(normed), batch.labels)
        if weights.frame > 0:
            frames = [x.flatten(0, 1).float() for x in (features.classes, features.projected)]
            losses["frame"] = _frame_loss(network.frame_neck(*frames), batch)
        return losses

    def _interaction_losses(self, branches: Branches, batch: Batch, parts: int) -> dict[str, Tensor]:
        """Triplet and identity losses on o; none where no branch gives one."""
        network, weights = self.network, self.config.loss
        if network.mii_neck is None or network.mii_frame_norm is None:
            return {}
        (frames,) = processes.gather(branches.fused.float(), parts=parts)
        pooled = frames.mean(1)
        losses = self._triplets({"o": pooled}, batch.labels)
        if weights.id > 0:
            losses["id_o"] = identity_loss(network.mii_neck(pooled), batch.labels)
        if weights.frame > 0:
            normed = network.mii_frame_norm(frames.flatten(0, 1))
            losses["frame_o"] = _frame_loss(network.mii_neck.classifier(normed), batch)
        return losses

    def _partner_losses(self, branches: Branches, features: ClipFeatures, parts: int) -> dict[str, Tensor]:
        """CMCL of each branch, and for the log the mean length of what it compares.

        Half the mean over rows of each modality is the mean over all rows. Without a branch, CII works on
        the tower's class tokens.
        """
        interaction = self.network.interaction
        if interaction is None or interaction.partner is None:
            return {}
        found = {"sii": branches.short, "lii": branches.long}
        sources = {name: x for name, x in found.items() if x is not None} or {"class": features.classes}
        losses = {}
        for name, tokens in sources.items():
            pooled = tokens.float().mean(1)
            pooled, met = processes.gather(pooled, interaction.meet(pooled, branches.patches), parts=parts)
            losses[f"cmcl_{name}"] = squared_gap(pooled, met)
            losses[f"norm_{name}"] = pooled.detach().norm(dim=1).mean()
        return losses

    def _triplets(self, pooled: Mapping[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        if self.config.loss.triplet == 0:
            return {}
        margin = self.config.triplet_margin
        return {f"triplet_{name}": batch_hard_triplet(x, labels, margin) for name, x in pooled.items()}

    def _contrast(self, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Contrast with both memories as they are; then the clips move them."""
        memory, config = self.network.memory, self.config
        if memory is None:
            return {}
        losses = {}
        for name, bank, own in (
            ("visible", memory.visible, ~batch.infrared),
            ("infrared", memory.infrared, batch.infrared),
        ):
            losses[f"cpc_{name}"] = prototype_contrast(
                features,
                bank,
                batch.labels,
                config.temperature,
                counted=own if config.collaboration == "own" else None,
            )
        memory.update(
            features.detach(),
            batch.labels,
            batch.infrared,
            rule=config.memory_update,
            momentum=config.memory_momentum,
        )
        return losses

    @torch.no_grad()
    def _fill_memory(self, context: StageContext) -> None:
        """One pass over the training set, in evaluation mode: no statistic of a batch norm moves.

        Departure: cameras are left out, as in the released code, but its pass runs in whatever mode the
        network is in.
        """
        network, share = self.network, self.config.memory_share
        if network.memory is None:
            return
        if context.iterate_training_set is None:
            raise RuntimeError("memories are filled from the training set, which the context lacks")
        was_training = network.training
        network.eval()
        features, labels, infrared = self._memory_features(context)
        network.train(was_training)
        network.memory.fill(features, labels, infrared, context.label_ids)
        if share < 1:
            _log.warning(
                "memory_share = %g: the memories are of %d tracklets, not of all", share, len(labels)
            )

    def _memory_features(self, context: StageContext) -> tuple[Tensor, Tensor, Tensor]:
        """Unit features `[N, D]`, labels and infrared mask of the training set, or of the share."""
        rows = []
        for batch in context.training_pass(self.config.memory_share):
            rows.append((self._memory_rows(batch), batch.labels, batch.infrared))
        features, labels, infrared = zip(*processes.join_turns(rows), strict=True)
        return torch.cat(features), torch.cat(labels), torch.cat(infrared)

    @torch.inference_mode()
    def _memory_rows(self, batch: Batch) -> Tensor:
        """Unit features `[B, D]` of a batch, by the same work as an embedding."""
        network, config = self.network, self.config
        kind = batch.clips.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=config.memory_precision == "bf16"):
            encoded = network.encode_frames(batch.clips, with_patches=False)
        p = encoded.p
        return F.normalize(
            p if config.memory_feature == "projected" else network.neck.normed(encoded.g, p), dim=1
        )


def _of_everyone(features: ClipFeatures, parts: int) -> ClipFeatures:
    """Features of the clips of all processes, without patches."""
    classes, projected = processes.gather(features.classes, features.projected, parts=parts)
    return ClipFeatures(classes, projected)


def _frame_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy of frames' logits `[B * T, I]`, over T."""
    frames = batch.clips.shape[1]
    labels = batch.labels[:, None].expand(-1, frames).flatten()
    return identity_loss(logits, labels) / frames
