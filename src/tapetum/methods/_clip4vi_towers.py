"""CLIP's image towers as CLIP4VI-ReID reads them: two features a frame, and a stem per modality if wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from tapetum.models.backbones.vision import VisionTransformer
from tapetum.models.streams import Segment, Streams
from tapetum.types import Modality

MODALITIES = tuple(modality.value for modality in Modality)


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """What a tower says of frames.

    Attributes:
        g: `[N, width]`, before CLIP's projection.
        f: `[N, D]`, in the joint space.
        last: Class token before the last block, `[N, width]`; None for a convolutional tower.
    """

    g: Tensor
    f: Tensor
    last: Tensor | None = None


class FrameEncoder(nn.Module):
    """An image tower that gives g and f.

    Attributes:
        visual: The tower; its stem is a `Streams` where modalities have stems of their own.
        per_modality: Whether they have.
        dims: Lengths of g and f.

    Args:
        visual: The tower, trained in place.
        per_modality: Give each modality a copy of the stem, equal at first.
        freeze_stem: The stem does not train.
    """

    def __init__(
        self, visual: VisionTransformer, *, per_modality: bool = False, freeze_stem: bool = False
    ) -> None:
        super().__init__()
        self.visual = visual
        self.per_modality = per_modality
        self.dims = {"g": visual.config.width, "f": visual.config.output_dim}
        if per_modality:
            visual.stem = Streams(visual.stem, MODALITIES)
        if freeze_stem:
            visual.stem.requires_grad_(False)

    def forward(self, images: Tensor, segments: Sequence[Segment] | None = None) -> FrameFeatures:
        """Features of frames `[N, 3, H, W]`, normalised.

        Args:
            images: Frames.
            segments: Modality of the rows; not read where both share a stem.

        Raises:
            ValueError: The modalities have stems of their own, and the rows' is not told.
        """
        visual = self.visual
        x = visual.embed(images, stem=self._stem(segments))
        last = len(visual.blocks) - 1
        for index in range(last):
            x = visual.run_block(index, x)
        before_last = x[:, 0]
        feature, joint = visual.finish(visual.run_block(last, x, queries=1)[:, 0])
        return FrameFeatures(feature, joint, before_last)

    def reached_by(self, modalities: Iterable[str]) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters with names that make f of frames of these modalities."""
        others = [f"visual.stem.stems.{name}." for name in set(MODALITIES) - set(modalities)]
        for name, parameter in self.named_parameters():
            if not (self.per_modality and name.startswith(tuple(others))):
                yield name, parameter

    def _stem(self, segments: Sequence[Segment] | None) -> partial[Tensor] | None:
        if not self.per_modality:
            return None
        if segments is None:
            raise ValueError(
                "each modality has a stem of its own (modality_stems), so every clip's modality must be "
                "told: pass modality="
            )
        return partial(self.visual.stem, segments=segments)
