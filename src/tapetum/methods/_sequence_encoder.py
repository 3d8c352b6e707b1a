"""LSMRL's spatial-temporal feature learning (STFL): CLIP's image tower made to see a clip.

The abstract of LSMRL says that CLIP's vision encoder is cut into a basic, a spatial-temporal grouped and a
temporal patch shift encoder, with few changes. Our reconstruction keeps every weight and changes, in the
second and third part, only which tokens attend to which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tapetum.errors import ConfigError
from tapetum.models.backbones.blocks import AttentionPattern
from tapetum.models.backbones.vision import VisionTransformer
from tapetum.models.temporal import (
    ChannelShift,
    FrameGroup,
    HeadSplit,
    PatchShift,
    ShiftPattern,
    StripeTube,
)

GroupMode = Literal["stripe_tube", "head_split", "frame_group"]
_Encoder = Literal["basic", "grouped", "patch_shift", "channel_shift"]


@dataclass(frozen=True, slots=True)
class TemporalLayout:
    """Which blocks of the tower see other frames, and how; the fields are those of `LsmrlConfig`.

    Attributes:
        split: Blocks of the basic, the grouped and the patch shift encoder.
        group_mode: How the grouped encoder groups tokens.
        stripes: G of `StripeTube`.
        frame_groups: M of `FrameGroup`.
        shift_pattern: Mosaic of `PatchShift`.
        alternate: Every other block of the shift encoder, from its first, shifts channels instead of patches.
    """

    split: tuple[int, int, int]
    group_mode: GroupMode = "stripe_tube"
    stripes: int = 6
    frame_groups: int = 3
    shift_pattern: ShiftPattern = "C"
    alternate: bool = False

    def encoders(self) -> list[_Encoder]:
        """The encoder that each block belongs to."""
        basic, grouped, shift = self.split
        shifts: list[_Encoder] = [
            "channel_shift" if self.alternate and i % 2 == 0 else "patch_shift" for i in range(shift)
        ]
        return [*["basic"] * basic, *["grouped"] * grouped, *shifts]  # type: ignore[list-item]

    def check(self, layers: int, grid: tuple[int, int], frames: int) -> None:
        """Compare with the tower.

        Raises:
            ConfigError: The split does not sum to the tower's blocks, or groups do not divide what they cut.
        """
        if min(self.split) < 0 or sum(self.split) != layers:
            raise ConfigError(f"stfl_split {list(self.split)} does not sum to the tower's {layers} blocks")
        if not self.split[1]:
            return
        if self.group_mode == "stripe_tube" and grid[0] % self.stripes:
            raise ConfigError(f"stg_groups {self.stripes} does not divide the {grid[0]} rows of patches")
        if self.group_mode == "frame_group" and frames % self.frame_groups:
            raise ConfigError(f"stg_frame_groups {self.frame_groups} does not divide the {frames} frames")

    def patterns(self, frames: int, grid: tuple[int, int]) -> list[AttentionPattern | None]:
        """One pattern per block for clips of `frames` frames; None: every frame alone."""
        made: dict[_Encoder, AttentionPattern | None] = {
            "basic": None,
            "grouped": self._grouped(frames, grid) if self.split[1] else None,
            "patch_shift": PatchShift(frames, grid, self.shift_pattern),
            "channel_shift": ChannelShift(frames),
        }
        return [made[encoder] for encoder in self.encoders()]

    def _grouped(self, frames: int, grid: tuple[int, int]) -> AttentionPattern:
        if self.group_mode == "stripe_tube":
            return StripeTube(frames, grid, self.stripes)
        return HeadSplit(frames) if self.group_mode == "head_split" else FrameGroup(frames, self.frame_groups)


@dataclass(frozen=True, slots=True)
class SequenceFeatures:
    """What the encoder says of clips.

    Attributes:
        last: Class token before the last block, mean over frames: float32 `[B, width]`.
        pooled: Class token after the last norm, mean over frames: float32 `[B, width]`.
        tokens: Class token of each frame in the joint space: `[B, T, D]`.
        patches: Patches of each frame in the joint space, `[B, T, P, D]`; None where not asked for.
    """

    last: Tensor
    pooled: Tensor
    tokens: Tensor
    patches: Tensor | None = None

    @property
    def projected(self) -> Tensor:
        """Mean over frames of `tokens`: float32 `[B, D]`."""
        return self.tokens.float().mean(1)


class SequenceEncoder(nn.Module):
    """An image tower whose blocks follow a `TemporalLayout`.

    Args:
        visual: The tower, trained in place.
        layout: Which blocks see other frames.
        frames: T that the layout is checked for; clips of other lengths work too.
        learned_positions: Add a learnable embedding per frame, at first 0, to all its tokens. Clips of
            another length get it interpolated.
        freeze_stem: The patch embedding does not train.

    Raises:
        ConfigError: The layout does not fit the tower.
    """

    def __init__(
        self,
        visual: VisionTransformer,
        layout: TemporalLayout,
        frames: int,
        *,
        learned_positions: bool = False,
        freeze_stem: bool = False,
    ) -> None:
        super().__init__()
        layout.check(len(visual.blocks), visual.grid, frames)
        self.visual = visual
        self.layout = layout
        self.frame_positions = (
            nn.Parameter(torch.zeros(frames, visual.config.width)) if learned_positions else None
        )
        if freeze_stem:
            visual.stem.requires_grad_(False)

    def forward(self, clips: Tensor, *, with_patches: bool = False) -> SequenceFeatures:
        """Features of clips `[B, T, 3, H, W]`; patches in the joint space only where asked for.

        Without patches the last block computes nothing but the class tokens: equal numbers, less work.
        """
        frames, visual = clips.shape[1], self.visual
        x = self._add_positions(visual.embed(clips.flatten(0, 1)), frames)
        patterns = self.layout.patterns(frames, visual.grid)
        last = len(patterns) - 1
        for index in range(last):
            x = visual.run_block(index, x, patterns[index])
        before_last = x[:, 0]
        x = visual.run_block(last, x, patterns[last], queries=None if with_patches else 1)
        feature, joint = visual.finish(x[:, 0])
        return SequenceFeatures(
            last=_by_clip(before_last, frames).float().mean(1),
            pooled=_by_clip(feature, frames).float().mean(1),
            tokens=_by_clip(joint, frames),
            patches=_by_clip(visual.finish(x[:, 1:])[1], frames) if with_patches else None,
        )

    def _add_positions(self, tokens: Tensor, frames: int) -> Tensor:
        if self.frame_positions is None:
            return tokens
        positions: Tensor = self.frame_positions
        if positions.shape[0] != frames:
            positions = F.interpolate(positions.t()[None], size=frames, mode="linear")[0].t()
        return (_by_clip(tokens, frames) + positions[:, None]).flatten(0, 1)


def _by_clip(rows: Tensor, frames: int) -> Tensor:
    """`[B * T, ...]` as `[B, T, ...]`."""
    return rows.reshape(-1, frames, *rows.shape[1:])
