"""Auxiliary modality: a third kind of picture, made of a visible and an infrared picture of one person.

MUN (Yu et al., ICCV 2023) learns to make it. That it has intra-modality learners of several depth-wise
convolutions, a cross-modality learner with pyramid pooling, and layer scales that mix them, is the paper's;
numbers of layers, kernels and channels are our reconstruction (see docs/methods/mun.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tapetum import processes
from tapetum.models.batch_statistics import MapNorm, shared_norm
from tapetum.models.depthwise import depthwise
from tapetum.models.pyramid import Grid, PairedPyramid

KERNELS = (1, 3, 5, 7)
GRIDS: tuple[Grid, ...] = ((1, 1), (2, 1), (4, 2), (8, 4))
"""Rows and columns of pyramid pooling; a standing person is about twice as high as broad."""

_FIRST_WEIGHT = 0.333
"""Of every convolution of MMN's generator."""

ScaleForm = Literal["channel", "scalar"]


class PairConvolution(nn.Module):
    """Convolution 1x1 without bias of each picture's channels, with weights of its own, and a batch norm.

    Args:
        inputs: Channels of a picture that come in.
        outputs: Channels of a picture that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2 * inputs, 2 * outputs, 1, groups=2, bias=False)
        self.norm = MapNorm(2 * outputs)

    def forward(self, maps: Tensor, scale: Tensor | None = None) -> Tensor:
        """Maps `[B, 2 outputs, H, W]` of `[B, 2 inputs, H, W]`, the first picture's channels first.

        Computed as one convolution whose weights from one picture to the other are zero.

        Args:
            maps: Both pictures' maps.
            scale: `[2 outputs]`, a factor of each channel.
        """
        first, second = self.convolution.weight[:, :, 0, 0].chunk(2)
        weight: Tensor = torch.block_diag(first, second)  # type: ignore[no-untyped-call]
        return scaled_norm(self.norm, F.conv2d(maps, weight[:, :, None, None]), scale)


class IntraModalityLearner(nn.Module):
    """IML: patterns of each modality, by depth-wise convolutions of several sizes; weights are not shared.

    `BN(conv1x1(ReLU(sum over k of BN_k(depth-wise convolution k x k))))` for each picture.

    Args:
        width: C, channels of a picture.
        kernels: Odd sizes.

    Raises:
        ValueError: No kernel, or an even one.
    """

    def __init__(self, width: int, kernels: Sequence[int] = KERNELS) -> None:
        super().__init__()
        if not kernels or any(size % 2 == 0 for size in kernels):
            raise ValueError(f"kernels = {list(kernels)}: expected odd sizes, at least one")
        self.filters = nn.ModuleList(
            nn.Conv2d(2 * width, 2 * width, k, padding=k // 2, groups=2 * width, bias=False) for k in kernels
        )
        self.norms = nn.ModuleList(MapNorm(2 * width) for _ in kernels)
        self.mix = PairConvolution(width, width)

    def forward(self, maps: Tensor, scale: Tensor) -> Tensor:
        """`scale (.) u`, `[B, 2 C, H, W]` of both pictures' maps `[B, 2 C, H, W]`."""
        total: Tensor | None = None
        for part, norm in zip(self.filters, self.norms, strict=True):
            one = norm(depthwise(maps, cast(nn.Conv2d, part).weight.to(maps.dtype)))
            total = one if total is None else total.add_(one)
        if total is None:
            raise RuntimeError("an intra-modality learner has at least one kernel")
        return self.mix(F.relu_(total), scale)  # type: ignore[no-any-return]


class CrossModalityLearner(nn.Module):
    """CML: patterns that both modalities share, by pyramid pooling with common weights and a fusion.

    Args:
        width: C, channels of a picture.
        grids: Cells of each level of the pyramid.
    """

    def __init__(self, width: int, grids: Sequence[Grid] = GRIDS) -> None:
        super().__init__()
        self.pyramid = PairedPyramid(width, grids)
        self.norm = MapNorm(width)

    def forward(self, maps: Tensor, scale: Tensor) -> Tensor:
        """`scale (.) s`, `[B, C, H, W]` of both pictures' maps `[B, 2 C, H, W]`."""
        return scaled_norm(self.norm, self.pyramid(maps), scale)


class AuxiliaryGenerator(nn.Module):
    """MUN's generator: auxiliary pictures of visible and infrared ones of the same persons.

        e = ReLU(BN(conv1x1(x)))                                        for each modality
        a = g_v (.) IML(e_v) + g_r (.) IML(e_r) + g_c (.) CML(e_v, e_r)
        x_a = (x_v + x_r) / 2 + conv1x1(ReLU(a))

    The layer scales g say how much each part counts. They are folded into the batch norms before them, and
    both pictures' channels lie side by side, so that few maps are kept for the backward pass.

    Attributes:
        scales: g by "visible", "infrared" and "shared", each `[C]` or `[1]`; what is switched off has none,
            and where they are tied "infrared" is left out.

    Args:
        channels: Of a picture.
        width: C, channels inside.
        use_iml: Whether there are intra-modality learners.
        use_cml: Whether there is a cross-modality learner.
        kernels: Sizes of the depth-wise convolutions.
        grids: Cells of each level of the pyramid.
        scale: First value of the layer scales.
        scale_form: A factor per channel, or one number.
        tied: The two modalities share one layer scale.
        pixel_skip: Whether the mean picture is added.
        decodes: False: x_a is made of ReLU(a) itself, without the last convolution.

    Raises:
        ValueError: Neither learner is on, or without decoding `width` is not `channels`.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 16,
        *,
        use_iml: bool = True,
        use_cml: bool = True,
        kernels: Sequence[int] = KERNELS,
        grids: Sequence[Grid] = GRIDS,
        scale: float = 0.1,
        scale_form: ScaleForm = "channel",
        tied: bool = False,
        pixel_skip: bool = True,
        decodes: bool = True,
    ) -> None:
        super().__init__()
        if not (use_iml or use_cml):
            raise ValueError("a generator needs at least one of its two learners")
        if not decodes and width != channels:
            raise ValueError(f"width {width} without decoding: expected that of a picture, {channels}")
        self.width, self.pixel_skip = width, pixel_skip
        self.embedding = PairConvolution(channels, width)
        self.intra = IntraModalityLearner(width, kernels) if use_iml else None
        self.cross = CrossModalityLearner(width, grids) if use_cml else None
        self.decoder = nn.Conv2d(width, channels, 1) if decodes else None
        length = width if scale_form == "channel" else 1
        names = [*(["visible"] if use_iml else []), *(["infrared"] if use_iml and not tied else [])]
        names += ["shared"] if use_cml else []
        self.scales = nn.ParameterDict({name: torch.full((length,), float(scale)) for name in names})

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        """Auxiliary pictures `[B, channels, H, W]`, row i of rows i.

        Args:
            visible: `[B, channels, H, W]`.
            infrared: The same, of the same persons.

        Raises:
            ValueError: The shapes differ.
        """
        _check_pair(visible, infrared)
        both = torch.cat([visible, infrared], dim=1).contiguous(memory_format=torch.channels_last)
        made = F.relu_(self._mixture(F.relu_(self.embedding(both))))
        made = made if self.decoder is None else self.decoder(made)
        return made + (visible + infrared) / 2 if self.pixel_skip else made

    def scale_norms(self) -> dict[str, Tensor]:
        """Euclidean norm of each layer scale, by name: how much its part counts."""
        return {name: scale.detach().norm() for name, scale in self.scales.items()}

    def _mixture(self, maps: Tensor) -> Tensor:
        """a, `[B, C, H, W]`, of both pictures' embeddings `[B, 2 C, H, W]`."""
        total: Tensor | None = None
        if self.intra is not None:
            own = self.scales["visible"].expand(self.width)
            other = self.scales["infrared" if "infrared" in self.scales else "visible"].expand(self.width)
            first, second = self.intra(maps, torch.cat([own, other])).chunk(2, dim=1)
            total = first + second
        if self.cross is not None:
            shared = self.cross(maps, self.scales["shared"].expand(self.width))
            total = shared if total is None else total.add_(shared)
        if total is None:
            raise RuntimeError("a generator has at least one learner")
        return total


class PixelFusion(nn.Module):
    """The mean of both pictures: auxiliary modalities before MUN in their simplest form. Nothing learns."""

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        """`[B, channels, H, W]`, row i of rows i; raises as `AuxiliaryGenerator.forward`."""
        _check_pair(visible, infrared)
        return (visible + infrared) / 2


class MiddleModality(nn.Module):
    """MMN's generator (Zhang et al., ACM MM 2021), as its released code has it: pictures are not paired.

    For each modality convolution 1x1 to one channel, ReLU, convolution 1x1, ReLU, batch norm; then for both a
    convolution 1x1 back to the picture's channels and ReLU. All weights start at 0.333, biases at 0.

    Args:
        channels: Of a picture.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.visible, self.infrared = (_to_one_channel(channels) for _ in range(2))
        self.decoder = nn.Sequential(nn.Conv2d(1, channels, 1), nn.ReLU())
        for part in self.modules():
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                nn.init.constant_(part.weight, _FIRST_WEIGHT)
                nn.init.zeros_(part.bias)

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        """`[2 B, channels, H, W]`: what became of the visible rows, then of the infrared ones."""
        _check_pair(visible, infrared)
        return self.decoder(torch.cat([self.visible(visible), self.infrared(infrared)]))  # type: ignore[no-any-return]


def scaled_norm(norm: nn.BatchNorm2d, maps: Tensor, scale: Tensor | None = None) -> Tensor:
    """`scale (.) norm(maps)`, computed as one batch norm; `scale` `[C]`, None: ones."""
    if scale is None:
        return norm(maps)  # type: ignore[no-any-return]
    weight, bias = norm.weight * scale, norm.bias * scale
    if norm.training and processes.count() > 1:
        return shared_norm(norm, maps, weight, bias)
    statistics = (norm.running_mean, norm.running_var)
    momentum = 0.0 if norm.momentum is None else norm.momentum
    return F.batch_norm(maps, *statistics, weight, bias, norm.training, momentum, norm.eps)


def _check_pair(visible: Tensor, infrared: Tensor) -> None:
    if visible.ndim != 4 or visible.shape != infrared.shape:
        raise ValueError(
            f"visible pictures {list(visible.shape)}, infrared ones {list(infrared.shape)}: expected two of "
            "the same shape [B, channels, H, W]"
        )


def _to_one_channel(channels: int) -> nn.Sequential:
    layers = (nn.Conv2d(channels, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.ReLU(), MapNorm(1))
    return nn.Sequential(*layers)
