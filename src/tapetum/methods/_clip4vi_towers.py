"""CLIP's image towers as CLIP4VI-ReID reads them: two features a frame, and a stem per modality if wanted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from tapetum.models.backbones.clip import ImageTower
from tapetum.models.backbones.clip_resnet import ClipResNet
from tapetum.models.backbones.vision import VisionTransformer
from tapetum.models.pooling import GeneralisedMean
from tapetum.models.streams import Routing, Streams
from tapetum.types import Modality

MODALITIES = tuple(modality.value for modality in Modality)


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """What a tower says of frames.

    Attributes:
        g: `[N, width]`, before CLIP's projection.
        f: `[N, D]`, in the joint space.
        last: Class token before the last block, `[N, width]`; None for a ResNet.
    """

    g: Tensor
    f: Tensor
    last: Tensor | None = None


class FrameEncoder(nn.Module, ABC):
    """An image tower that gives g and f of frames.

    Attributes:
        dims: Lengths of g and f.
        visual: The tower; its stem is a `Streams` where modalities have stems of their own.
    """

    dims: Mapping[str, int]
    visual: nn.Module

    @abstractmethod
    def forward(self, images: Tensor, segments: Routing | None = None) -> FrameFeatures:
        """Features of normalised frames `[N, 3, H, W]`.

        Args:
            images: Frames.
            segments: Modality of the rows; not read where both share a stem.

        Raises:
            ValueError: The modalities have stems of their own, and the rows' is not told.
        """

    def reached_by(self, modalities: Iterable[str]) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters with names that make f of frames of these modalities."""
        others = tuple(f"visual.stem.stems.{name}." for name in set(MODALITIES) - set(modalities))
        for name, parameter in self.named_parameters():
            if name.startswith("visual.") and not name.startswith(others):
                yield name, parameter


class TransformerEncoder(FrameEncoder):
    """A vision transformer: g and f are its class token after the last norm and after the projection.

    Args:
        visual: The tower, trained in place.
        per_modality: Give each modality a copy of the patch embedding, equal at first.
    """

    visual: VisionTransformer

    def __init__(self, visual: VisionTransformer, *, per_modality: bool = False) -> None:
        super().__init__()
        self.visual = visual
        self.dims = {"g": visual.config.width, "f": visual.config.output_dim}
        if per_modality:
            visual.stem = Streams(visual.stem, MODALITIES)

    def forward(self, images: Tensor, segments: Routing | None = None) -> FrameFeatures:
        """As the base class says; the last block computes class tokens alone."""
        visual = self.visual
        x = visual.embed(images, stem=self._stem(segments))
        last = len(visual.blocks) - 1
        for index in range(last):
            x = visual.run_block(index, x)
        before_last = x[:, 0]
        feature, joint = visual.finish(visual.run_block(last, x, queries=1)[:, 0])
        return FrameFeatures(feature, joint, before_last)

    def _stem(self, segments: Routing | None) -> partial[Tensor] | None:
        if not isinstance(self.visual.stem, Streams):
            return None
        if segments is None:
            raise ValueError("visible and infrared frames have a stem each: the modality must be told")
        return partial(self.visual.stem, segments=segments)


class ResNetEncoder(FrameEncoder):
    """CLIP's ResNet: g is the generalised mean of its last map, f what its attention pooling makes of it.

    The pooling's key bias, which cannot act, is taken from what learns.

    Attributes:
        pooling: Generalised mean whose exponent learns, at first 3.

    Args:
        visual: The tower, with one stem or two, trained in place.
    """

    visual: ClipResNet

    def __init__(self, visual: ClipResNet) -> None:
        super().__init__()
        self.visual = visual
        self.dims = {"g": visual.config.feature_dim, "f": visual.config.output_dim}
        self.pooling = GeneralisedMean(3.0, learnable=True, form="clamp")
        visual.attnpool.k_proj.bias.requires_grad_(False)

    def forward(self, images: Tensor, segments: Routing | None = None) -> FrameFeatures:
        """As the base class says."""
        maps = self.visual.compute_map(images, segments)
        return FrameFeatures(self.pooling(maps), self.visual.pool(maps))


def create_encoder(visual: ImageTower, *, per_modality: bool, freeze_stem: bool) -> FrameEncoder:
    """The encoder for a tower of either kind.

    Args:
        visual: A ResNet comes with its stems.
        per_modality: Give a transformer's modalities stems of their own.
        freeze_stem: The stem or stems do not train.
    """
    encoder: FrameEncoder
    if isinstance(visual, ClipResNet):
        encoder = ResNetEncoder(visual)
    else:
        encoder = TransformerEncoder(visual, per_modality=per_modality)
    if freeze_stem:
        visual.stem.requires_grad_(False)
    return encoder
