"""CLIP's ResNet image tower (Radford et al., ICML 2021): RN50 and its wider and deeper kin.

    feature_map = tower.compute_map(images)            # [N, 2048, h, w]
    joint = tower.pool(feature_map)                    # [N, 1024]

It is a ResNet with a stem of three convolutions, average pooling in the place of strided convolutions, and
attention pooling. Names of the weights are those of OpenAI's files, but for the stem, which lies in `stem`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tapetum.models.backbones.attention_pool import AttentionPool
from tapetum.models.backbones.positions import ResizeMode, check_resize_mode, resized_parameter
from tapetum.models.batch_statistics import MapNorm
from tapetum.models.recomputation import recomputed
from tapetum.models.streams import Routing, Streams
from tapetum.types import Modality

_EXPANSION = 4
"""Channels that leave a bottleneck over its inner ones."""

_LAYERS = ("layer1", "layer2", "layer3", "layer4")

LastStride = Literal[1, 2]
Stems = Literal[1, 2]
StemRelus = Literal[1, 3]

STREAMS = tuple(modality.value for modality in Modality)
"""Streams of a tower with two stems."""


@dataclass(frozen=True)
class ClipResNetConfig:
    """Shape of a ResNet image tower; the defaults are those of CLIP RN50.

    Attributes:
        layers: Bottlenecks of each of the four layers.
        width: Channels that leave the stem; 32 times as many leave the last layer.
        heads: Heads of the attention pooling; in CLIP one per 64 channels.
        output_dim: Length of the joint embedding.
        image_size: (height, width) of the frames in pixels.
        last_stride: Stride of the last layer. 2: CLIP's own; 1: maps twice as high and wide, as
            re-identification has it.
        stems: 1: all frames pass one stem; 2: visible and infrared frames have a stem each.
        stem_relus: ReLUs of a stem. 3: one behind each convolution, CLIP's own; 1: behind the last alone, as
            the code of CSDN has it (Dong et al., IEEE TMM 2025).
    """

    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: int = 64
    heads: int = 32
    output_dim: int = 1024
    image_size: tuple[int, int] = (224, 224)
    last_stride: LastStride = 2
    stems: Stems = 1
    stem_relus: StemRelus = 3

    def __post_init__(self) -> None:
        if len(self.layers) != 4 or min(self.layers) < 1:
            raise ValueError(f"layers {self.layers}: expected four numbers of at least 1")
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width {self.width}: expected an even number of at least 2")
        if self.heads < 1 or self.feature_dim % self.heads:
            raise ValueError(f"heads {self.heads} do not divide the {self.feature_dim} channels of the map")
        for name, known in (("last_stride", (1, 2)), ("stems", (1, 2)), ("stem_relus", (1, 3))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)}: expected {known[0]} or {known[1]}")
        if min(self.grid) < 1:
            raise ValueError(
                f"image_size {self.image_size} (height, width) is too small: the map would be "
                f"{self.grid[0]}x{self.grid[1]}"
            )

    @property
    def feature_dim(self) -> int:
        """Channels of the last map."""
        return 8 * _EXPANSION * self.width

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the last map."""
        height, width = self.image_size
        return self._after(height), self._after(width)

    def _after(self, side: int) -> int:
        """Length of a side of the last map: a padded stride, then pools that drop an odd row."""
        side = (side + 1) // 2
        for stride in (2, 2, 2, self.last_stride):
            side //= stride
        return side


CLIP_RN50 = ClipResNetConfig()
"""The image tower of CLIP RN50."""

TINY_RESNET = ClipResNetConfig(layers=(1, 1, 1, 1), width=16, heads=8, output_dim=128, image_size=(96, 48))
"""An image tower for tests and quick runs, of random weights."""


class ClipStem(nn.Module):
    """Three 3x3 convolutions with batch norms, the first of stride 2, then an average pool of 2."""

    def __init__(self, width: int, relus: StemRelus = 3) -> None:
        super().__init__()
        self.relus = relus
        half = width // 2
        self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.bn1 = MapNorm(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.bn2 = MapNorm(half)
        self.conv3 = nn.Conv2d(half, width, 3, padding=1, bias=False)
        self.bn3 = MapNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """Maps `[N, width, H / 4, W / 4]` of frames `[N, 3, H, W]`."""
        x = self._between(self.bn1(self.conv1(images)))
        x = self._between(self.bn2(self.conv2(x)))
        return F.avg_pool2d(F.relu_(self.bn3(self.conv3(x))), 2)

    def _between(self, x: Tensor) -> Tensor:
        return F.relu_(x) if self.relus == 3 else x


class ClipBottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1, added to the input; all strides are average pools before a convolution.

    Args:
        channels: Of the input.
        inner: Of the 3x3 convolution; four times as many leave.
        stride: By how much the map shrinks.
    """

    def __init__(self, channels: int, inner: int, stride: int = 1) -> None:
        super().__init__()
        outer = inner * _EXPANSION
        self.stride = stride
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = MapNorm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = MapNorm(inner)
        self.conv3 = nn.Conv2d(inner, outer, 1, bias=False)
        self.bn3 = MapNorm(outer)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or channels != outer:
            self.downsample = nn.Sequential(nn.Conv2d(channels, outer, 1, bias=False), MapNorm(outer))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, 4 inner, H / stride, W / stride]` of maps `[N, channels, H, W]`."""
        x = F.relu_(self.bn1(self.conv1(maps)))
        x = F.relu_(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(self._pooled(x)))
        return F.relu_(x.add_(self.downsample(self._pooled(maps))))

    def _pooled(self, maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, self.stride) if self.stride > 1 else maps


class ClipResNet(nn.Module):
    """The image tower: frames to maps to joint embeddings.

    Maps are in `channels_last` memory, which accelerators want for half precision.

    Attributes:
        config: Shape of the tower; `image_size` follows `resize_positions`.
        stem: A `ClipStem`, or `Streams` of two of them.
        gradient_checkpointing: Recompute the stem and each bottleneck in the backward pass instead of keeping
            their activations: equal gradients and batch norms, less memory, about a third more time.
    """

    def __init__(self, config: ClipResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        stem = ClipStem(config.width, config.stem_relus)
        self.stem: nn.Module = stem if config.stems == 1 else Streams(stem, STREAMS)
        channels = config.width
        strides = (1, 2, 2, config.last_stride)
        for index, (name, blocks) in enumerate(zip(_LAYERS, config.layers, strict=True)):
            inner = config.width * 2**index
            first = ClipBottleneck(channels, inner, strides[index])
            channels = inner * _EXPANSION
            rest = (ClipBottleneck(channels, inner) for _ in range(blocks - 1))
            self.add_module(name, nn.Sequential(first, *rest))
        self.attnpool = AttentionPool(channels, config.heads, config.output_dim, config.grid)
        self.reset_parameters()

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the last map."""
        return self.config.grid

    def reset_parameters(self) -> None:
        """Draw weights as OpenAI does: convolutions as PyTorch, every bottleneck at first adds nothing."""
        self.attnpool.reset_parameters()
        for part in self.modules():
            if isinstance(part, ClipBottleneck):
                nn.init.zeros_(part.bn3.weight)

    def compute_map(self, images: Tensor, segments: Routing | None = None) -> Tensor:
        """The last map `[N, 32 width, rows, columns]`.

        Args:
            images: Normalised frames `[N, 3, H, W]` of the configured size.
            segments: Which rows are visible and which infrared; read where there are two stems alone.

        Raises:
            ValueError: Frames of another size; two stems and no segments, or segments that do not fit.
        """
        if images.shape[-2:] != self.config.image_size:
            raise ValueError(
                f"frames of {images.shape[-2]}x{images.shape[-1]} given to an image tower for "
                f"{self.config.image_size[0]}x{self.config.image_size[1]}; see resize_positions"
            )
        maps = self._run_stem(images.contiguous(memory_format=torch.channels_last), segments)
        for layer in _LAYERS:
            for block in self.get_submodule(layer).children():
                maps = self._run(block, maps)
        return maps

    def pool(self, feature_map: Tensor) -> Tensor:
        """Joint embeddings `[N, output_dim]`, not normalised, of last maps `[N, 32 width, rows, columns]`."""
        return self.attnpool(feature_map)  # type: ignore[no-any-return]

    def forward(self, images: Tensor, segments: Routing | None = None) -> Tensor:
        """Joint embeddings `[N, output_dim]`, not normalised, of normalised frames `[N, 3, H, W]`.

        Args:
            images: Frames of the configured size.
            segments: As in `compute_map`.
        """
        return self.pool(self.compute_map(images, segments))

    def _run_stem(self, images: Tensor, segments: Routing | None) -> Tensor:
        if not isinstance(self.stem, Streams):
            return self._run(self.stem, images)
        if segments is None:
            raise ValueError(
                "visible and infrared frames have a stem each: say by `segments` which are which"
            )
        return self._run(self.stem, images, segments)

    def _run(self, module: nn.Module, *inputs: object) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return recomputed(module, *inputs)
        return module(*inputs)  # type: ignore[no-any-return]

    def resize_positions(self, height: int, width: int, mode: ResizeMode = "bilinear") -> None:
        """Interpolate the positions of the attention pooling for frames of another size, in place.

        That of the mean is kept. The parameter is replaced, so make optimisers afterwards.

        Args:
            height: New frame height in pixels.
            width: New frame width in pixels.
            mode: "bilinear" (the rule of the re-identification field) or "bicubic"; neither smooths first.

        Raises:
            ValueError: An unknown mode, or frames too small for a map.
        """
        check_resize_mode(mode)
        config = replace(self.config, image_size=(height, width))
        pool = self.attnpool
        pool.positional_embedding = resized_parameter(pool.positional_embedding, self.grid, config.grid, mode)
        self.config = config
