"""Small pictures compared pixel by pixel: the floor that any learnt method has to leave behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tapetum.methods._base import Method, MethodConfig, Stage
from tapetum.types import Id, Modality


class RawPixelsConfig(MethodConfig):
    """Size of the small picture."""

    rows: int = Field(24, ge=1, description="rows of the small picture")
    columns: int = Field(12, ge=1, description="columns of the small picture")


class RawPixels(Method):
    """The mean frame, shrunk to `rows` x `columns`; not learnt. Cosine is correlation of pixels."""

    name: ClassVar[str] = "raw-pixels"
    config_type: ClassVar[type[MethodConfig]] = RawPixelsConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "tiny": {"height": 96, "width": 48}}
    config: RawPixelsConfig

    @property
    def embedding_dim(self) -> int:
        """D: three numbers a pixel of the small picture."""
        return 3 * self.config.rows * self.config.columns

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
        """Embeddings `[B, D]` of clips `[B, T, 3, H, W]`; modality and camera make no difference."""
        pictures = F.adaptive_avg_pool2d(clips.float().mean(1), (self.config.rows, self.config.columns))
        pixels = pictures.flatten(1)
        return F.normalize(pixels - pixels.mean(1, keepdim=True), dim=1)
