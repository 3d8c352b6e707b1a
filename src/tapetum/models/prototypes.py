"""Prototypes: what stands for an identity or for a modality, moved as batches pass by.

X-ReID (AAAI 2026, "cross-modality prototype collaboration") contrasts clips with a unit vector per identity
and modality where other methods contrast with the text of an identity. MUN (ICCV 2023) compares modalities by
the means of their features, accumulated over steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tapetum.errors import DataError
from tapetum.types import Id

UpdateRule = Literal["cross", "all", "intra"]
"""Whose clips move a memory: those of the other modality, of both, or of its own."""


class PrototypeMemory(nn.Module):
    """Two banks of unit vectors `[I, D]`, one a modality. Not trained by gradients, nor saved with a model.

    Attributes:
        visible: float32 `[I, D]`; zeros until `fill`.
        infrared: The same of the other modality.
    """

    visible: Tensor
    infrared: Tensor

    def __init__(self, num_identities: int, dim: int) -> None:
        super().__init__()
        for name in ("visible", "infrared"):
            self.register_buffer(name, torch.zeros(num_identities, dim), persistent=False)

    @torch.no_grad()
    def fill(self, features: Tensor, labels: Tensor, infrared: Tensor, label_ids: Sequence[Id] = ()) -> None:
        """Set each prototype to the direction of its identity's mean feature; the host waits for the counts.

        Args:
            features: `[N, D]`, each identity in both modalities; averaged as they are.
            labels: int64 `[N]`, 0..I-1.
            infrared: bool `[N]`.
            label_ids: Person of each label, for messages.

        Raises:
            DataError: An identity has no feature in one modality; some are named. Nothing is changed.
        """
        sums = {name: torch.zeros_like(bank) for name, bank in self.named_buffers()}
        missing = []
        for name, rows in (("visible", ~infrared), ("infrared", infrared)):
            weight = rows.to(features.dtype)
            sums[name].index_add_(0, labels, (features * weight[:, None]).to(sums[name].dtype))
            counts = weight.new_zeros(self.visible.shape[0]).index_add_(0, labels, weight)
            missing += _name_missing(name, counts, label_ids)
        if missing:
            raise DataError(
                f"each identity needs tracklets of both modalities for its two prototypes: "
                f"{'; '.join(missing)}. Leave these people out of the training part"
            )
        for name, bank in self.named_buffers():
            bank.copy_(F.normalize(sums[name], dim=1))

    @torch.no_grad()
    def update(
        self, features: Tensor, labels: Tensor, infrared: Tensor, *, rule: UpdateRule, momentum: float
    ) -> None:
        """Move the prototypes of a batch's identities towards their hardest clips, all at once.

        `prototype = normalise(momentum * prototype + (1 - momentum) * hardest)`, where the hardest of the
        clips that `rule` allows is the least similar to the prototype. An identity without such a clip keeps
        its prototype. The host waits for nothing.

        Args:
            features: `[N, D]`; their directions count.
            labels: int64 `[N]`, 0..I-1.
            infrared: bool `[N]`.
            rule: Whose clips move a memory.
            momentum: Share of the old prototype, 0..1.

        Raises:
            ValueError: An unknown rule.

        >>> memory = PrototypeMemory(1, 2)
        >>> here, there = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8], [0.8, 0.6]])
        >>> infrared = torch.tensor([False, True, True])
        >>> memory.fill(torch.cat([here, there]), torch.zeros(3).long(), infrared)
        >>> clips = torch.cat([here, there])
        >>> memory.update(clips, torch.zeros(3).long(), infrared, rule="cross", momentum=0.2)
        >>> [round(x, 4) for x in memory.visible[0].tolist()]  # 0.2 (1, 0) + 0.8 (0.6, 0.8)
        [0.7282, 0.6854]
        """
        if rule not in get_args(UpdateRule):
            raise ValueError(f"unknown memory update {rule!r}; known: {', '.join(get_args(UpdateRule))}")
        unit = F.normalize(features.detach().to(self.visible.dtype), dim=1)
        for bank, own in ((self.visible, ~infrared), (self.infrared, infrared)):
            allowed = {"cross": ~own, "all": torch.ones_like(own), "intra": own}[rule]
            _move(bank, unit, labels, allowed, momentum)


class ModalityPrototypes(nn.Module):
    """Mean and variance of each modality's unit features, accumulated over steps, where gradients may pass.

    With 8 identities a batch, its mean depends much on who was drawn; an accumulated one less. Not trained by
    gradients, nor saved with a model.

    Attributes:
        moments: float32 `[2, M, D]`: means, then variances; zeros until the first `keep`.
        begun: float32 `[]`: 0 until the first `keep`, then 1.
    """

    moments: Tensor
    begun: Tensor

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("moments", torch.zeros(2, count, dim), persistent=False)
        self.register_buffer("begun", torch.zeros(()), persistent=False)

    def blend(self, moments: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
        """`momentum * accumulated + (1 - momentum) * moments`, and the factor that undoes the second share.

        At first there is nothing accumulated, and the momentum counts as 0. The gradient reaches `moments`; a
        loss on the blend, times the factor, has the gradient of one on `moments` themselves where both agree.

        Args:
            moments: Of a batch, `[2, M, D]`.
            momentum: Share of what is accumulated, from 0 to below 1.

        >>> prototypes = ModalityPrototypes(1, 1)
        >>> prototypes.keep(prototypes.blend(torch.ones(2, 1, 1), 0.9)[0])
        >>> blend, factor = prototypes.blend(torch.zeros(2, 1, 1), 0.9)
        >>> round(blend[0].item(), 4), round(factor.item(), 4)
        (0.9, 10.0)
        """
        share = momentum * self.begun
        return share * self.moments + (1 - share) * moments, 1 / (1 - share)

    @torch.no_grad()
    def keep(self, moments: Tensor) -> None:
        """Take over `moments` `[2, M, D]` as what is accumulated; the host waits for nothing."""
        self.moments.copy_(moments)
        self.begun.fill_(1.0)


def _move(bank: Tensor, unit: Tensor, labels: Tensor, allowed: Tensor, momentum: float) -> None:
    """Rows of one identity all compute the same new prototype, so it makes no difference which is kept."""
    old = bank[labels]
    similarity = (unit * old).sum(1)
    candidate = (labels[:, None] == labels[None, :]) & allowed[None, :]
    hardest = torch.where(candidate, similarity[None, :], torch.inf).argmin(1)
    new = F.normalize(momentum * old + (1 - momentum) * unit[hardest], dim=1)
    bank.index_copy_(0, labels, torch.where(candidate.any(1, keepdim=True), new, old))


def _name_missing(modality: str, counts: Tensor, label_ids: Sequence[Id], most: int = 8) -> list[str]:
    """A sentence on the identities without a feature of this modality; none where there is no such."""
    labels = torch.nonzero(counts == 0).flatten().tolist()
    if not labels:
        return []
    names = [str(label_ids[i] if i < len(label_ids) else f"label {i}") for i in labels[:most]]
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return [f"no {modality} tracklet of {', '.join(names)}{more}"]
