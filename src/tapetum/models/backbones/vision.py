"""CLIP's image tower: a vision transformer that a method can take apart and put together again.

    tokens = visual.embed(images)
    for i in range(len(visual.blocks) - 1):
        tokens = visual.run_block(i, tokens, pattern)          # any pattern, any extra tokens
    last = visual.run_block(len(visual.blocks) - 1, tokens, queries=1)
    feature, joint = visual.finish(last[:, 0])

Blocks work on any `[N, L, D]`: to inject tokens, concatenate them after the class token and the patches (or
between them) before a block and drop them when they have done their work.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tapetum.models.backbones.blocks import Activation, Tower
from tapetum.models.backbones.positions import ResizeMode, check_resize_mode, resized_parameter


def _check_image_size(image_size: tuple[int, int], patch_size: int) -> None:
    if min(image_size) < patch_size or any(side % patch_size for side in image_size):
        raise ValueError(
            f"image_size {image_size} (height, width): expected multiples of patch_size {patch_size}"
        )


@dataclass(frozen=True)
class VisionConfig:
    """Shape of an image tower; the defaults are those of CLIP ViT-B/16.

    Attributes:
        width: D, length of a token.
        layers: Number of blocks.
        heads: Attention heads of a block.
        patch_size: Pixels from one patch to the next, both ways.
        image_size: (height, width) of the frames in pixels, both multiples of `patch_size`.
        output_dim: Length of the joint embedding.
        activation: Of the MLPs; belongs to the weights.
        mlp_ratio: Hidden width of the MLPs over `width`.
        stem: "patch": one linear map per patch (CLIP). "conv": a small convolutional network.
        stem_channels: Conv stem only: channels after each level; every level halves the resolution.
        stem_depth: Conv stem only: residual 3x3 convolutions after each halving.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    patch_size: int = 16
    image_size: tuple[int, int] = (224, 224)
    output_dim: int = 512
    activation: Activation = "quick_gelu"
    mlp_ratio: float = 4.0
    stem: Literal["patch", "conv"] = "patch"
    stem_channels: tuple[int, ...] = ()
    stem_depth: int = 0

    def __post_init__(self) -> None:
        if self.stem not in ("patch", "conv"):
            raise ValueError(f"unknown stem {self.stem!r}; known: patch, conv")
        if self.stem == "patch" and (self.stem_channels or self.stem_depth):
            raise ValueError("stem_channels and stem_depth belong to stem='conv'")
        if self.stem == "conv" and (not self.stem_channels or self.patch_size % 2 ** len(self.stem_channels)):
            raise ValueError(
                f"stem_channels {self.stem_channels}: expected at least one level, and 2 to the number of "
                f"levels to divide patch_size {self.patch_size}"
            )
        _check_image_size(self.image_size, self.patch_size)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches in a frame."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size


VIT_B_16 = VisionConfig()
"""The image tower of CLIP ViT-B/16."""


class PatchStem(nn.Module):
    """CLIP's patch embedding: one linear map of each patch's pixels, without bias."""

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, patch_size, stride=patch_size, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` to patch features `[N, D, rows, columns]`."""
        return self.projection(images)  # type: ignore[no-any-return]


class ConvStem(nn.Module):
    """A small convolutional network in place of the patch embedding, for small towers trained from scratch.

    Each level is a 3x3 convolution of stride 2 and `depth` residual 3x3 convolutions; a last projection
    covers the stride that is left. Early convolutions make small vision transformers learn faster and more
    stably (Xiao et al., NeurIPS 2021). Group norm instead of their batch norm: a frame's tokens never depend
    on the rest of the batch, also not in training, where the other half is of the other modality.
    """

    def __init__(self, width: int, patch_size: int, channels: tuple[int, ...], depth: int) -> None:
        super().__init__()
        sizes = (3, *channels)
        self.levels = nn.ModuleList(
            _Level(before, after, depth) for before, after in itertools.pairwise(sizes)
        )
        left = patch_size // 2 ** len(channels)
        self.projection = nn.Conv2d(channels[-1], width, left, stride=left)

    def forward(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` to patch features `[N, D, rows, columns]`."""
        x = images
        for level in self.levels:
            x = level(x)
        return self.projection(x)  # type: ignore[no-any-return]


class _Level(nn.Module):
    """Halve the resolution, then refine with residual convolutions."""

    def __init__(self, before: int, after: int, depth: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.norm = _norm(after)
        self.refine = nn.ModuleList(
            nn.Sequential(nn.Conv2d(after, after, 3, padding=1, bias=False), _norm(after))
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.down(x)))
        for refine in self.refine:
            x = F.relu(x + refine(x))
        return x


def _norm(channels: int) -> nn.GroupNorm:
    """Up to eight groups of channels; as fast as batch norm on a CPU."""
    return nn.GroupNorm(math.gcd(channels, 8), channels)


class VisionTransformer(Tower):
    """The image tower: frames to class tokens to joint embeddings.

    Attributes:
        config: Shape of the tower; `image_size` follows `resize_positions`.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__(config.width, config.layers, config.heads, config.activation, config.mlp_ratio)
        self.config = config
        self.stem: nn.Module = (
            PatchStem(config.width, config.patch_size)
            if config.stem == "patch"
            else ConvStem(config.width, config.patch_size, config.stem_channels, config.stem_depth)
        )
        rows, columns = config.grid
        self.class_embedding = nn.Parameter(torch.empty(config.width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + rows * columns, config.width))
        self.ln_pre = nn.LayerNorm(config.width)
        self.ln_post = nn.LayerNorm(config.width)
        self.projection = nn.Linear(config.width, config.output_dim, bias=False)
        self.reset_parameters()

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches in a frame."""
        return self.config.grid

    def reset_parameters(self) -> None:
        """Draw weights as OpenAI does.

        Departure: OpenAI leaves the blocks of its image tower as PyTorch draws them; here they get the
        depth-scaled normal weights of its text tower.
        """
        std = self.config.width**-0.5
        for weight in (self.class_embedding, self.positional_embedding, self.projection.weight):
            nn.init.normal_(weight, std=std)
        self.reset_blocks()

    def embed(
        self,
        images: Tensor,
        class_shift: Tensor | None = None,
        *,
        stem: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Tokens `[N, 1 + rows * columns, D]` before the first block, class token first, then row by row.

        Args:
            images: Normalised frames `[N, 3, H, W]` of the configured size.
            class_shift: `[N, D]`, added to each frame's class token (what is known of its camera, say).
            stem: Makes patch features `[N, D, rows, columns]` in the place of the tower's own stem.

        Raises:
            ValueError: Frames of another size.
        """
        if images.shape[-2:] != self.config.image_size:
            raise ValueError(
                f"frames of {images.shape[-2]}x{images.shape[-1]} given to an image tower for "
                f"{self.config.image_size[0]}x{self.config.image_size[1]}; see resize_positions"
            )
        patches = (stem or self.stem)(images).flatten(2).transpose(1, 2)
        class_tokens = self.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        if class_shift is not None:
            class_tokens = class_tokens + class_shift[:, None].to(patches.dtype)
        tokens = torch.cat([class_tokens, patches], dim=1) + self.positional_embedding
        return self.ln_pre(tokens)  # type: ignore[no-any-return]

    def finish(self, class_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[N, D]` after the last norm, and joint embeddings `[N, output_dim]` of the same tokens.

        Args:
            class_tokens: Class tokens after the last block, `[N, D]`; any other tokens work as well.
        """
        feature = self.ln_post(class_tokens)
        return feature, self.projection(feature)

    def forward(self, images: Tensor) -> Tensor:
        """Joint embeddings `[N, output_dim]`, not normalised, of normalised frames `[N, 3, H, W]`.

        The last block computes the class token only, which nothing else depends on.
        """
        x = self.embed(images)
        last = len(self.blocks) - 1
        for index in range(last):
            x = self.run_block(index, x)
        x = self.run_block(last, x, queries=1)
        return self.finish(x[:, 0])[1]

    def resize_positions(self, height: int, width: int, mode: ResizeMode = "bilinear") -> None:
        """Interpolate the position grid for frames of another size, in place; the class entry is kept.

        The parameter is replaced, so make optimisers afterwards.

        Args:
            height: New frame height in pixels, a multiple of the patch size.
            width: New frame width in pixels, a multiple of the patch size.
            mode: "bilinear" (the rule of the re-identification field) or "bicubic"; neither smooths first.

        Raises:
            ValueError: An unknown mode, or a size that is no multiple of the patch size.
        """
        check_resize_mode(mode)
        config = replace(self.config, image_size=(height, width))
        self.positional_embedding = resized_parameter(self.positional_embedding, self.grid, config.grid, mode)
        self.config = config
