"""Features of training images, computed once: what prompts learn from and what words are measured by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum import processes
from tapetum.errors import DataError
from tapetum.methods._clip4vi_network import Clip4ViNetwork
from tapetum.models.streams import segments_of
from tapetum.types import Batch, Id, Modality

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TrainingFeatures:
    """Features f of training clips, not augmented.

    Attributes:
        features: float32 `[N, D]`.
        labels: int64 `[N]`.
        infrared: bool `[N]`.
    """

    features: Tensor
    labels: Tensor
    infrared: Tensor

    def of_modality(self, modality: Modality) -> TrainingFeatures:
        """The rows of one modality, in the same order."""
        rows = self.infrared if modality is Modality.INFRARED else ~self.infrared
        return TrainingFeatures(self.features[rows], self.labels[rows], self.infrared[rows])

    def to_state(self, prefix: str) -> dict[str, Tensor]:
        """The tensors by name, for `StageContext.state`."""
        return {f"{prefix}_{name}": getattr(self, name) for name in ("features", "labels", "infrared")}

    @classmethod
    def from_state(cls, prefix: str, state: Mapping[str, Tensor]) -> TrainingFeatures | None:
        """What `to_state` gave; None where it is not there."""
        names = [f"{prefix}_{name}" for name in ("features", "labels", "infrared")]
        return cls(*(state[name] for name in names)) if all(name in state for name in names) else None


def encode_training_set(
    network: Clip4ViNetwork, passing: Iterable[Batch], modality: Modality | None = None
) -> TrainingFeatures:
    """Features of the clips in `passing`, in evaluation mode: nothing in the network changes.

    Args:
        network: What encodes.
        passing: Batches of any order of rows; of several processes that train together each its own turns.
        modality: Only clips of this one are encoded; None: of both.
    """
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    with network.evaluating():
        for batch in passing:
            chosen = batch if modality is None else _only(batch, modality)
            parts.append((_encode(network, chosen), chosen.labels, chosen.infrared))
    features, labels, infrared = zip(*processes.join_turns(parts), strict=True)
    return TrainingFeatures(torch.cat(features), torch.cat(labels), torch.cat(infrared))


def _encode(network: Clip4ViNetwork, batch: Batch) -> Tensor:
    if not batch.clips.shape[0]:
        return network.text_bank.new_zeros(0, network.dims["f"])
    names = [Modality.INFRARED if flag else Modality.VISIBLE for flag in batch.infrared.tolist()]
    return network.encode_clips(batch.clips, segments_of(names, batch.clips.shape[1])).f


def _only(batch: Batch, modality: Modality) -> Batch:
    rows = batch.infrared if modality is Modality.INFRARED else ~batch.infrared
    return Batch(batch.clips[rows], batch.labels[rows], batch.infrared[rows], batch.cameras[rows])


def check_every_identity(
    found: TrainingFeatures, identities: int, label_ids: Sequence[Id], modality: Modality
) -> None:
    """Refuse identities without a clip of `modality`: their texts would stay as they were drawn.

    Raises:
        DataError: Such identities; they are named.
    """
    seen = torch.bincount(found.labels, minlength=identities)
    missing = (seen == 0).nonzero().flatten().tolist()
    if missing:
        names = [str(label_ids[y]) if label_ids else f"label {y}" for y in missing]
        listed = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise DataError(
            f"{len(missing)} of {identities} training identities have no {modality.value} images, from which "
            f"their texts are to be learnt: {listed}; see text_from"
        )


def measure(found: TrainingFeatures, texts: Tensor | None) -> dict[str, float]:
    """What the words mean and how far the modalities are apart, as figures to record.

    "text retrieval top-1/<modality>": share of the clips whose text of all `texts` has the largest product
    with their feature. "modality gap/...": distances between centres of unit features, 0..2: of the
    modalities' ("all"), mean over people of their two centres ("same person"), mean over pairs of people of
    one's visible and the other's infrared centre ("different people").

    Args:
        found: Features of both modalities; a figure that needs a missing one is left out.
        texts: `[I, D]`; None: no retrieval.
    """
    sides = {m: found.of_modality(m) for m in Modality}
    values = {}
    if texts is not None:
        for modality, side in sides.items():
            if len(side.labels):
                hits = (side.features @ texts.t()).argmax(1) == side.labels
                values[f"text retrieval top-1/{modality.value}"] = hits.float().mean().item()
    visible, infrared = (sides[m] for m in Modality)
    return values | _gaps(visible, infrared)


def _gaps(visible: TrainingFeatures, infrared: TrainingFeatures) -> dict[str, float]:
    if not (len(visible.labels) and len(infrared.labels)):
        return {}
    units = [F.normalize(side.features, dim=1) for side in (visible, infrared)]
    values = {"all": (units[0].mean(0) - units[1].mean(0)).norm().item()}
    people = torch.unique(visible.labels)
    people = people[torch.isin(people, infrared.labels)]
    if len(people):
        centres = [
            torch.stack([unit[side.labels == person].mean(0) for person in people])
            for unit, side in zip(units, (visible, infrared), strict=True)
        ]
        between = torch.cdist(centres[0], centres[1])
        own = torch.eye(len(people), dtype=torch.bool, device=between.device)
        values["same person"] = between[own].mean().item()
        if len(people) > 1:
            values["different people"] = between[~own].mean().item()
    return {f"modality gap/{name}": value for name, value in values.items()}
