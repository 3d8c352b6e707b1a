"""MUN's one stage of training: a third modality made of the other two, and the losses that it bridges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tapetum import processes
from tapetum.errors import DataError
from tapetum.losses import (
    assignment_gap,
    centre_spread,
    direction_moments,
    identity_centre_alignment,
    identity_loss,
    modality_gap,
    weighted_regularised_triplet,
)
from tapetum.losses.alignment import AUXILIARY, INFRARED, VISIBLE
from tapetum.methods._base import ParameterGroup, Stage, StageContext
from tapetum.methods._mun_config import MunConfig
from tapetum.methods._two_stream import MODALITIES, TwoStreamNetwork, warn_of_random_weights
from tapetum.models import streams
from tapetum.models.prototypes import ModalityPrototypes
from tapetum.models.streams import Segment, batch_segments
from tapetum.types import Batch, Id

_GENERATOR_SCALES = "scales."
"""How the names of the generator's layer scales begin."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a step works on: the rows of a batch, then the auxiliary ones.

    Attributes:
        features: Pooled, before the neck, mean over frames: float32 `[N, D]`.
        labels: int64 `[N]`.
        modalities: `VISIBLE`, `INFRARED` or `AUXILIARY`: int64 `[N]`.
        fused: What the generator was given, visible and infrared, and what it made of each pair (MMN's: of
            each single one), of this process's own rows; empty without a generator.
    """

    features: Tensor
    labels: Tensor
    modalities: Tensor
    fused: tuple[Tensor, ...] = ()

    def detached(self) -> Rows:
        """The same without gradients."""
        fused = tuple(x.detach() for x in self.fused)
        return replace(self, features=self.features.detach(), fused=fused)


class AlignmentStage(Stage):
    """Network and generator learn together.

    Row i of the visible half is fused with row i of the infrared one. Exchanged views count as visible rows
    and are not fused.
    """

    name: ClassVar[str] = "network"
    takes_views: ClassVar[bool] = True

    def __init__(
        self,
        network: TwoStreamNetwork,
        generator: nn.Module | None,
        prototypes: ModalityPrototypes,
        config: MunConfig,
    ) -> None:
        self.network, self.generator, self.prototypes = network, generator, prototypes
        self.config = config
        self.batches = config.batches
        self.augment = config.augment
        self.schedule = config.schedule
        self.optim = config.optim
        self.loss_weights = config.loss.model_dump()
        self._label_ids: Sequence[Id] = ()
        self._last: Rows | None = None

    def parameter_groups(self) -> list[ParameterGroup]:
        """The network's groups, the generator's weights, and its layer scales, which do not decay."""
        optim = self.config.optim
        groups = self.network.parameter_groups(optim, optim.layer_factors)
        if self.generator is None:
            return groups
        named = list(self.generator.named_parameters())
        lr = optim.lr * optim.generator_factor
        scales = [p for name, p in named if name.startswith(_GENERATOR_SCALES)]
        weights = [p for name, p in named if not name.startswith(_GENERATOR_SCALES)]
        groups.append(ParameterGroup("generator", weights, lr, optim.weight_decay))
        groups.append(ParameterGroup("layer_scales", scales, lr, 0.0))
        return [group for group in groups if group.parameters]

    def before_stage(self, context: StageContext) -> None:
        """Say so where a full-size network starts from random weights."""
        self._label_ids = context.label_ids
        warn_of_random_weights(self.config, resumed=context.resumed)

    def check(self, batch: Batch) -> None:
        """Refuse a batch whose rows do not pair.

        Raises:
            DataError: The first half is not visible, the second not infrared, or a row's partner is somebody
                else; the message names row and persons.
        """
        half = (batch.clips.shape[0] - batch.views) // 2
        labels, infrared = batch.labels.tolist(), batch.infrared.tolist()
        if infrared[: 2 * half] != [False] * half + [True] * half:
            raise DataError(
                f"a batch of {2 * half} rows: expected {half} visible ones, then {half} infrared ones"
            )
        for row, (one, other) in enumerate(zip(labels[:half], labels[half : 2 * half], strict=True)):
            if one != other:
                raise DataError(
                    f"row {row} of the batch pairs {self._name(one)} (visible) with {self._name(other)} "
                    "(infrared): the generator fuses pictures of one person"
                )

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a cross-modal batch; then the prototypes move, which the losses do not see.

        Raises:
            DataError: Rows do not pair (on a processor; CUDA stops by an assertion of its own).
        """
        kind = batch.labels.device.type
        if kind == "cpu":
            self.check(batch)
        elif kind == "cuda":
            half = (batch.clips.shape[0] - batch.views) // 2
            torch._assert_async(_are_paired(batch, half), "visible and infrared rows do not pair")
        rows = self._encode(batch)
        losses = self._row_losses(rows)
        losses |= self._align_modalities(rows)
        self._last = rows.detached()
        return losses

    @torch.no_grad()
    def monitors(self) -> dict[str, Tensor]:
        """What warns of a generator that copies one modality, and of identities that collapse."""
        rows = self._last
        if rows is None:
            return {}
        same, other = centre_spread(rows.features, rows.labels, rows.modalities)
        found = {"centre distance/same identity": same, "centre distance/nearest other identity": other}
        means = dict(zip(("visible", "infrared", "auxiliary"), self.prototypes.moments[0], strict=False))
        for one, partner in (("visible", "infrared"), ("visible", "auxiliary"), ("infrared", "auxiliary")):
            if partner in means:
                found[f"prototype distance/{one} to {partner}"] = (means[one] - means[partner]).norm()
        scales = getattr(self.generator, "scales", {})
        found |= {f"layer scale norm/{name}": scale.norm() for name, scale in scales.items()}
        for name, given in zip(MODALITIES, rows.fused, strict=False):
            gap = rows.fused[-1].view(-1, *given.shape) - given
            found[f"auxiliary differs from/{name}"] = processes.mean(gap.float().square().mean()).sqrt()
        return found

    def _encode(self, batch: Batch) -> Rows:
        """Features of the rows of all processes and of those made of them."""
        half = (batch.clips.shape[0] - batch.views) // 2
        frames = batch.clips.shape[1]
        images = batch.clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        segments, network = batch_segments(batch), self.network
        fused: tuple[Tensor, ...] = ()
        if self.generator is None:
            features = network(images, segments)
        elif self.config.auxiliary_level == "image":
            fused = _fuse(self.generator, images, half * frames)
            features = network(torch.cat([images, fused[2]]), [*segments, *self._added(half * frames)])
        else:
            maps = network.stems(images, segments)
            fused = _fuse(self.generator, maps, half * frames)
            features = network.pool(network.body(torch.cat([maps, fused[2]])))
        features = features.view(-1, frames, features.shape[1]).mean(1)
        return self._of_everyone(features, batch, fused)

    def _of_everyone(self, features: Tensor, batch: Batch, fused: tuple[Tensor, ...]) -> Rows:
        """The rows of all processes: those of the batch, then the auxiliary ones."""
        half = (batch.labels.shape[0] - batch.views) // 2
        times = (features.shape[0] - batch.labels.shape[0]) // half
        (features,) = processes.gather(features, parts=batch.parts + times)
        batch = processes.gather_batch(batch)
        own = batch.labels[: half * processes.count()].repeat(times)
        kinds = torch.where(batch.infrared, INFRARED, VISIBLE)
        modalities = torch.cat([kinds, torch.full_like(own, AUXILIARY)])
        return Rows(features, torch.cat([batch.labels, own]), modalities, fused)

    def _added(self, pictures: int) -> list[Segment]:
        """Streams of the auxiliary pictures: their own, or those of the pictures that they were made of."""
        if self.config.auxiliary == "mmn":
            return [Segment(name, pictures) for name in MODALITIES]
        return [Segment(streams.AUXILIARY if self.config.has_third_stem else MODALITIES[0], pictures)]

    def _row_losses(self, rows: Rows) -> dict[str, Tensor]:
        """Losses of rows and of identity centres."""
        config, losses = self.config, {}
        normed = self.network.neck.norm(rows.features)
        if config.loss.id > 0:
            logits = self.network.neck.classifier(normed)
            losses["id"] = identity_loss(logits, rows.labels, config.label_smooth)
        points = normed if config.triplet_on == "after" else rows.features
        if config.triplet_unit:
            points = F.normalize(points, dim=1)
        if config.loss.ia > 0:
            anchors = AUXILIARY if config.ia_anchors == "auxiliary" else None
            losses["ia"] = identity_centre_alignment(
                points, rows.labels, rows.modalities, config.ia_margin, anchors=anchors
            )
        if config.sample_triplet:
            losses["triplet"] = weighted_regularised_triplet(points, rows.labels)
        return losses

    def _align_modalities(self, rows: Rows) -> dict[str, Tensor]:
        """L_ma, whose value is that without the factor and whose gradient that with it; prototypes move."""
        config, prototypes = self.config, self.prototypes
        features = rows.features if config.loss.ma > 0 else rows.features.detach()
        count = prototypes.moments.shape[1]
        moments = torch.stack(direction_moments(features, rows.modalities, count))
        blend, factor = prototypes.blend(moments, config.ma_momentum)
        losses = {}
        if config.loss.ma > 0:
            losses["ma"] = self._modality_loss(rows, blend, factor)
        if prototypes.training:
            prototypes.keep(blend)
        return losses

    def _modality_loss(self, rows: Rows, blend: Tensor, factor: Tensor) -> Tensor:
        config = self.config
        if config.ma_reading == "assignments":
            return assignment_gap(
                rows.features, rows.modalities, blend[0], config.ma_pairs, config.ma_temperature
            )
        gap = modality_gap(blend[0], config.ma_pairs)
        if config.ma_reading == "moments":
            gap = gap + modality_gap(blend[1], config.ma_pairs)
        return gap + (factor - 1) * (gap - gap.detach())

    def _name(self, label: int) -> str:
        known = 0 <= label < len(self._label_ids)
        return f"person {self._label_ids[label]}" if known else f"label {label}"


def _fuse(generator: nn.Module, rows: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first `count` rows, which are visible, the next, which are infrared, and what is made of them."""
    visible, infrared = rows[:count], rows[count : 2 * count]
    return visible, infrared, generator(visible, infrared)


def _are_paired(batch: Batch, half: int) -> Tensor:
    """Bool `[]` on the batch's device: visible rows, then infrared ones of the same persons in that order."""
    labels, infrared = batch.labels[: 2 * half], batch.infrared[: 2 * half]
    same = (labels[:half] == labels[half:]).all()
    return same & ~infrared[:half].any() & infrared[half:].all()
