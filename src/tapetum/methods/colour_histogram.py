"""Colour histograms of horizontal stripes: what clothes alone tell, little of which crosses modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tapetum.methods._base import Method, MethodConfig, Stage
from tapetum.types import Id, Modality


class ColourHistogramConfig(MethodConfig):
    """Resolution of the histograms."""

    stripes: int = Field(6, ge=1, description="horizontal stripes of a frame")
    bins: int = Field(16, ge=2, description="bins of a channel, evenly over 0..1")


class ColourHistogram(Method):
    """Histograms per stripe and channel over all frames; not learnt.

    Embeddings hold square roots of frequencies, so that their cosine is the mean Bhattacharyya coefficient.
    """

    name: ClassVar[str] = "colour-histogram"
    config_type: ClassVar[type[MethodConfig]] = ColourHistogramConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "tiny": {"height": 96, "width": 48}}
    config: ColourHistogramConfig

    @property
    def embedding_dim(self) -> int:
        """D: stripes x three channels x bins."""
        return self.config.stripes * 3 * self.config.bins

    def stages(self) -> list[Stage]:
        """None: nothing is learnt."""
        return []

    def encode(
        self,
        clips: Tensor,
        *,
        modality: Modality | Sequence[Modality] | None = None,
        camera_ids: Sequence[Id | None] | None = None,
    ) -> Tensor:
        """Embeddings `[B, D]` of clips `[B, T, 3, H, W]`; modality and camera make no difference.

        Raises:
            ValueError: Fewer rows of pixels than stripes.
        """
        stripes, bins = self.config.stripes, self.config.bins
        if clips.shape[3] < stripes:
            raise ValueError(f"frames of {clips.shape[3]} rows cannot be cut into {stripes} stripes")
        slots = self._bins_of(clips)  # [B, T, 3, H, W]
        stripe = torch.arange(clips.shape[3], device=clips.device) * stripes // clips.shape[3]
        channel = torch.arange(3, device=clips.device)
        slots = slots + bins * (channel.view(3, 1, 1) + 3 * stripe.view(1, -1, 1))
        flat = slots.flatten(1)
        counts = torch.zeros(clips.shape[0], self.embedding_dim, device=clips.device)
        counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=counts.dtype))
        frequencies = F.normalize(counts.view(-1, stripes * 3, bins), p=1, dim=2)
        return F.normalize(frequencies.sqrt().flatten(1), dim=1)

    def _bins_of(self, clips: Tensor) -> Tensor:
        """Bin of every pixel, after undoing the normalisation: int64, the shape of `clips`."""
        expected = self.preprocessing
        mean = clips.new_tensor(expected.mean, dtype=torch.float32).view(3, 1, 1)
        std = clips.new_tensor(expected.std, dtype=torch.float32).view(3, 1, 1)
        values = clips.float() * std + mean
        # The small shift keeps values that rounding put just below a bin's edge inside it.
        return (values * self.config.bins + 1e-4).floor().long().clamp(0, self.config.bins - 1)
