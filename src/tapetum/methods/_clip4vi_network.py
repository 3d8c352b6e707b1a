"""CLIP4VI-ReID's network: image tower, heads on two of its features, one prompt per identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from tapetum.methods._clip4vi_config import Clip4ViReidConfig
from tapetum.methods._clip4vi_towers import create_encoder
from tapetum.methods._clip_method import Towers
from tapetum.models.necks import BatchNormNeck
from tapetum.models.prompts import SharedPrompts
from tapetum.models.streams import Routing
from tapetum.models.text_fusion import TextFusion

SHARED = "shared"
"""Name of the one learner of prompts that both modalities share."""

_TEXTS_AT_ONCE = 256
"""Prompts of one pass of the text tower where no gradient is kept: about 150 MiB at CLIP's sizes."""


@dataclass(frozen=True, slots=True)
class ClipFeatures:
    """What the image tower says of clips, mean over frames, float32.

    Attributes:
        g: Before CLIP's projection, `[B, width]`.
        f: In the joint space, `[B, D]`.
        last: Class token before the last block, `[B, width]`; None for a convolutional tower.
    """

    g: Tensor
    f: Tensor
    last: Tensor | None = None


class Clip4ViNetwork(nn.Module):
    """The parts of CLIP4VI-ReID.

    Attributes:
        dims: Lengths of g and f.
        images: Image tower.
        necks: Batch norm and classifier of g and of f.
        text: Frozen text tower; None where there are no texts.
        prompts: Learners of prompts by name: "shared", or one per modality.
        fusion: Makes one text of a person's two; None: their mean.
        text_bank: Text features of all training identities as they were last computed, `[I, D]`. Encoding
            does not read it.

    Args:
        towers: CLIP's towers.
        config: Which parts there are.
        num_identities: I.
    """

    text_bank: Tensor

    def __init__(self, towers: Towers, config: Clip4ViReidConfig, num_identities: int) -> None:
        super().__init__()
        self.images = create_encoder(
            towers.visual, per_modality=config.modality_stems, freeze_stem=config.freeze_patch_embed
        )
        self.dims = self.images.dims
        self.necks = nn.ModuleDict(
            {
                name: BatchNormNeck(dim, num_identities, bias_trains=config.neck_bias)
                for name, dim in self.dims.items()
            }
        )
        self.text = towers.text
        self.prompts = nn.ModuleDict()
        self.fusion = TextFusion(self.dims["f"]) if config.fuses else None
        self._sentence: tuple[int, ...] = ()
        self._add_prompts(towers, config, num_identities)
        bank = torch.zeros(num_identities if config.uses_text else 0, self.dims["f"])
        self.register_buffer("text_bank", bank)

    def _add_prompts(self, towers: Towers, config: Clip4ViReidConfig, num_identities: int) -> None:
        if towers.text is None or towers.template is None:
            return
        template = towers.template
        if not config.learns_prompts:
            before, after = template.ids[: template.first], template.ids[template.first + template.count :]
            self._sentence = (*before, *after)
            return
        names = ("visible", "infrared") if config.text_from == "bimodal" else (SHARED,)
        for name in names:
            self.prompts[name] = SharedPrompts(towers.text, template, num_identities)

    def encode_clips(self, clips: Tensor, segments: Routing | None = None) -> ClipFeatures:
        """Features of clips `[B, T, 3, H, W]`, every frame alone, then the mean over frames.

        Args:
            clips: Normalised.
            segments: Modality of the frames, row by row; needed where modalities have stems of their own.
        """
        frames = clips.shape[1]
        encoded = self.images(clips.flatten(0, 1), segments)
        g, f = (_mean_over_frames(x, frames) for x in (encoded.g, encoded.f))
        last = None if encoded.last is None else _mean_over_frames(encoded.last, frames)
        return ClipFeatures(g, f, last)

    def texts_of(self, wanted: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """Text features of each learner by its name, from one pass of the text tower; with gradients.

        Args:
            wanted: For each learner the identities, int64 `[N]`; None: all of them in label order.

        Raises:
            RuntimeError: The network has no learner of prompts.
        """
        if self.text is None or not self.prompts:
            raise RuntimeError("this network was built without prompts that learn")
        learners = {name: cast(SharedPrompts, self.prompts[name]) for name in wanted}
        first = next(iter(learners.values()))
        tokens = [learners[name].own_tokens(labels) for name, labels in wanted.items()]
        texts = self.text.encode_embeddings(torch.cat(tokens), first.end, prefix=first.prefix)
        parts = texts.split_with_sizes([len(some) for some in tokens])
        return dict(zip(wanted, parts, strict=True))

    def combined(self, texts: Mapping[str, Tensor], dropout: float = 0.0) -> Tensor:
        """One text `[N, D]` for each row of the learners' texts `[N, D]`; `dropout` as in `TextFusion`."""
        if self.fusion is None:
            return torch.stack(list(texts.values())).mean(0)
        return self.fusion(texts["visible"], texts["infrared"], dropout)  # type: ignore[no-any-return]

    def text_features(self, labels: Tensor | None = None) -> Tensor:
        """Text features `[I, D]` of all identities, or `[N, D]` of those of `labels` `[N]`; with gradients.

        The texts of two learners are made one. Without learners every identity has the same sentence.

        Raises:
            RuntimeError: The network has no texts.
        """
        if self.text is None:
            raise RuntimeError("this network was built without texts")
        if self.prompts:
            return self.combined(self.texts_of(dict.fromkeys(self.prompts, labels)))
        ids = torch.tensor([self._sentence], device=self.text_bank.device)
        same = self.text.encode_embeddings(self.text.embed_tokens(ids), ids.shape[1] - 1)
        return same.expand(len(self.text_bank if labels is None else labels), -1)

    @torch.no_grad()
    def refresh_text_bank(self) -> None:
        """Recompute the text bank from the prompts as they are; nothing where there are no texts."""
        device, count = self.text_bank.device, self.text_bank.shape[0]
        for start in range(0, count, _TEXTS_AT_ONCE):
            stop = min(start + _TEXTS_AT_ONCE, count)
            self.text_bank[start:stop] = self.text_features(torch.arange(start, stop, device=device))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, the network is in evaluation mode and keeps no gradients; on leaving, as it was."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, training in modes:
                module.training = training


def _mean_over_frames(rows: Tensor, frames: int) -> Tensor:
    """Float32 `[B, D]` of frames' features `[B * T, D]`."""
    return rows.reshape(-1, frames, rows.shape[-1]).float().mean(1)
