"""CLIP (Radford et al., ICML 2021): an image tower and a text tower with one joint space."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tapetum.models.backbones.clip_resnet import ClipResNet, ClipResNetConfig
from tapetum.models.backbones.text import TextConfig, TextTransformer
from tapetum.models.backbones.vision import VisionConfig, VisionTransformer
from tapetum.models.streams import Segment

ImageTower = VisionTransformer | ClipResNet
"""Either kind of image tower: frames to joint embeddings when called."""

ImageTowerShape = VisionConfig | ClipResNetConfig
"""Shape of an image tower; its type says which kind."""

_LOG = logging.getLogger(__name__)
INITIAL_LOGIT_SCALE = math.log(1 / 0.07)
"""Logarithm of the factor on similarities in OpenAI's initialisation: a temperature of 0.07."""


class Clip(nn.Module):
    """Two towers that meet in a joint space.

    Attributes:
        visual: Image tower: a vision transformer or a ResNet, as the shape says.
        text: Text tower; None where the weights hold none.
        logit_scale: Logarithm of the factor on cosine similarities.
    """

    def __init__(self, vision: ImageTowerShape, text: TextConfig | None) -> None:
        super().__init__()
        if text is not None and text.output_dim != vision.output_dim:
            raise ValueError(
                f"joint embeddings differ: {vision.output_dim} from images, {text.output_dim} from texts"
            )
        self.visual: ImageTower = (
            ClipResNet(vision) if isinstance(vision, ClipResNetConfig) else VisionTransformer(vision)
        )
        self.text = TextTransformer(text) if text is not None else None
        self.logit_scale = nn.Parameter(torch.tensor(INITIAL_LOGIT_SCALE))

    def encode_image(self, images: Tensor, segments: Sequence[Segment] | None = None) -> Tensor:
        """Joint embeddings `[N, output_dim]`, not normalised, of normalised frames `[N, 3, H, W]`.

        Args:
            images: Frames of the image tower's size.
            segments: Which rows are visible and which infrared, for a ResNet with a stem for each.
        """
        if isinstance(self.visual, ClipResNet):
            return self.visual(images, segments)  # type: ignore[no-any-return]
        return self.visual(images)  # type: ignore[no-any-return]

    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Joint embeddings `[N, output_dim]`, not normalised, of token ids `[N, L]` (see `TextTransformer`).

        Raises:
            RuntimeError: The weights hold no text tower.
        """
        if self.text is None:
            raise RuntimeError("these CLIP weights hold an image tower only: there is no text to encode")
        return self.text(token_ids)  # type: ignore[no-any-return]


def create_clip(vision: ImageTowerShape, text: TextConfig | None = None, *, warn: bool = True) -> Clip:
    """A CLIP with random weights, drawn from PyTorch's global generator as OpenAI does.

    Args:
        vision: Shape of the image tower.
        text: Shape of the text tower; None for an image tower alone.
        warn: Log a warning that the weights are random: a method built on them knows nothing before training.
    """
    if warn:
        _LOG.warning(
            "RANDOM CLIP WEIGHTS: the %d-block image tower%s starts untrained. Published results need "
            "pretrained weights: give a weight file to load them.",
            sum(vision.layers) if isinstance(vision, ClipResNetConfig) else vision.layers,
            "" if text is None else f" and the {text.layers}-block text tower",
        )
    return Clip(vision, text)
