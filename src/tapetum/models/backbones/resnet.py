"""ResNet with bottlenecks (He et al., CVPR 2016) as torchvision lays it out, in two parts.

The stem (first convolution to max pooling) and the body (four layers) are modules of their own, so that
methods for two modalities can copy the one and share the other. Strides are in the 3x3 convolutions ("v1.5").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from tapetum.config import Config
from tapetum.models.backbones.non_local import NonLocal
from tapetum.models.batch_statistics import MapNorm
from tapetum.models.recomputation import recomputed

_EXPANSION = 4
"""Output channels of a bottleneck over its inner ones."""

Counts = tuple[int, int, int, int]


class ResNetConfig(Config):
    """Shape of a ResNet; the defaults are those of ResNet-50 with the last stride of re-identification."""

    layers: Counts = Field((3, 4, 6, 3), description="blocks of each layer")
    width: int = Field(64, ge=1, description="channels of the stem; 32 times as many leave the last layer")
    last_stride: Literal[1, 2] = Field(
        1,
        description="stride of the last layer; 1: maps twice as large (Luo et al., 2019); 2: as for ImageNet",
    )
    channels: int = Field(3, ge=1, description="channels of an image")
    non_local: Counts = Field(
        (0, 0, 0, 0), description="last blocks of each layer that a non-local block follows; AGW: 0, 2, 3, 0"
    )
    non_local_inner: int | None = Field(
        None, ge=1, description="channels inside non-local blocks; None: half of those outside"
    )

    @model_validator(mode="after")
    def _check_counts(self) -> ResNetConfig:
        if min(self.layers) < 1:
            raise ValueError(f"layers = {self.layers}: expected at least one block in each")
        if any(not 0 <= some <= blocks for some, blocks in zip(self.non_local, self.layers, strict=True)):
            raise ValueError(f"non_local = {self.non_local}: expected 0 up to the blocks, {self.layers}")
        return self

    @property
    def output_dim(self) -> int:
        """Channels of the last layer's maps."""
        return 8 * self.width * _EXPANSION


RESNET_50 = ResNetConfig()
"""ResNet-50 with last stride 1."""


class ResNetStem(nn.Module):
    """Convolution 7x7, batch norm, ReLU and max pooling: a quarter of the height and width."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(config.channels, config.width, 7, stride=2, padding=3, bias=False)
        self.bn1 = MapNorm(config.width)
        _draw_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Maps `[N, width, H / 4, W / 4]` of images `[N, channels, H, W]`; sides are rounded up."""
        maps = F.relu_(self.bn1(self.conv1(images)))
        return F.max_pool2d(maps, 3, stride=2, padding=1)


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1, added to the input (projected where its shape differs).

    Args:
        channels: Of the input.
        inner: Of the 3x3 convolution; the output has four times as many.
        stride: Of the 3x3 convolution.
    """

    def __init__(self, channels: int, inner: int, stride: int = 1) -> None:
        super().__init__()
        outer = inner * _EXPANSION
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = MapNorm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = MapNorm(inner)
        self.conv3 = nn.Conv2d(inner, outer, 1, bias=False)
        self.bn3 = MapNorm(outer)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != outer:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, outer, 1, stride=stride, bias=False), MapNorm(outer)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, 4 inner, H / stride, W / stride]` of maps `[N, channels, H, W]`."""
        inside = F.relu_(self.bn1(self.conv1(maps)))
        inside = F.relu_(self.bn2(self.conv2(inside)))
        return F.relu_(self.bn3(self.conv3(inside)) + self.downsample(maps))


class ResNetBody(nn.Module):
    """The four layers behind the stem, with non-local blocks where they are asked for.

    As in AGW, non-local blocks follow the last blocks of a layer, one each.

    Attributes:
        gradient_checkpointing: Recompute each block in the backward pass instead of keeping its activations:
            equal gradients and equal batch norms, less memory, about a third more time.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.non_local = nn.ModuleDict()
        channels = config.width
        for index, blocks in enumerate(config.layers):
            inner, stride = config.width * 2**index, _stride(config, index)
            first = Bottleneck(channels, inner, stride)
            channels = inner * _EXPANSION
            rest = (Bottleneck(channels, inner) for _ in range(blocks - 1))
            self.add_module(f"layer{index + 1}", nn.Sequential(first, *rest))
            if extra := config.non_local[index]:
                added = (NonLocal(channels, config.non_local_inner) for _ in range(extra))
                self.non_local[f"layer{index + 1}"] = nn.ModuleList(added)
        _draw_convolutions(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, 32 width, H / 8, W / 8]` (last stride 1; else / 16) of the stem's `[N, width, H, W]`."""
        for part in self._parts():
            maps = self._run(part, maps)
        return maps

    def _parts(self) -> Iterator[nn.Module]:
        """Blocks and non-local blocks in the order in which maps pass them."""
        for name, layer in self.named_children():
            if not isinstance(layer, nn.Sequential):
                continue
            extra = list(cast(nn.ModuleList, self.non_local[name])) if name in self.non_local else []
            plain = len(layer) - len(extra)
            for index, block in enumerate(layer):
                yield block
                if index >= plain:
                    yield extra[index - plain]

    def _run(self, part: nn.Module, maps: Tensor) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return recomputed(part, maps)
        return part(maps)  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """Stem and body: images to maps, without pooling or classifier.

    Attributes:
        config: Shape of the network.
        stem: First convolution to max pooling.
        body: The four layers.
    """

    def __init__(self, config: ResNetConfig = RESNET_50) -> None:
        super().__init__()
        self.config = config
        self.stem = ResNetStem(config)
        self.body = ResNetBody(config)

    def forward(self, images: Tensor) -> Tensor:
        """Maps `[N, 32 width, H / 16, W / 16]` (last stride 1; else / 32) of images `[N, channels, H, W]`."""
        return self.body(self.stem(images))  # type: ignore[no-any-return]


def _stride(config: ResNetConfig, index: int) -> int:
    if index == 0:
        return 1
    return config.last_stride if index == len(config.layers) - 1 else 2


def _draw_convolutions(module: nn.Module) -> None:
    """Random weights as torchvision draws them; those of non-local blocks stay as PyTorch draws them."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.bias is None:
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
