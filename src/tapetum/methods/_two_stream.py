"""The network that the family of AGW shares: a ResNet stem per modality, one body, pooling, one neck.

Methods on it differ in streams (MUN has a third), losses and batches; what an embedding is they share.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tapetum.errors import ConfigError
from tapetum.methods._base import Method, MethodConfig, OptimConfig, ParameterGroup, split_parameters
from tapetum.models.backbones.resnet import RESNET_50, ResNet, ResNetConfig
from tapetum.models.backbones.resnet_files import load_resnet
from tapetum.models.necks import BatchNormNeck
from tapetum.models.pooling import GeneralisedMean
from tapetum.models.streams import Routing, Streams, frame_routing, segments_of
from tapetum.types import Id, Modality

_log = logging.getLogger(__name__)

MODALITIES = (Modality.VISIBLE.value, Modality.INFRARED.value)
"""Streams that an embedding needs."""


class TwoStreamOptimConfig(OptimConfig):
    """SGD as AGW has it: the neck learns ten times as fast as the pretrained rest."""

    algorithm: Literal["adamw", "adam", "sgd"] = "sgd"
    lr: float = Field(0.1, gt=0, description="of the batch-norm neck and the classifier")
    weight_decay: float = Field(5e-4, ge=0)
    backbone_factor: float = Field(0.1, gt=0, description="of the base rate: stems, body and pooling")


class TwoStreamConfig(MethodConfig):
    """What configurations of methods on the two-stream network have in common."""

    frames: int = Field(1, ge=1, description="T, frames a clip; of several the features are averaged")
    test_sampling: Literal["chunk-first", "uniform", "dense"] = "dense"
    weights: str = Field("none", description="'none', or a ResNet's weight file in torchvision's layout")
    resnet: ResNetConfig = Field(RESNET_50, description="shape of stem and body")
    stem_layers: int = Field(
        0, ge=0, le=3, description="layers of the body that each stream has a copy of, behind its stem"
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute the body's blocks in the backward pass: less memory, more time"
    )
    gem_p: float = Field(3, gt=0, description="exponent of the generalised mean over positions; 1: mean")
    gem_trains: bool = Field(False, description="the exponent learns")
    neck_feature: Literal["after", "before"] = Field(
        "after", description="embeddings are features behind or before the batch norm"
    )
    unknown_modality: Literal["mean", "error"] = Field(
        "mean",
        description="encoding clips of unknown modality: mean of what both stems lead to, or an error",
    )

    @property
    def stem_channels(self) -> int:
        """Channels of the maps at which the streams meet."""
        if not self.stem_layers:
            return self.resnet.width
        halvings = len(self.resnet.layers) - self.stem_layers
        return self.resnet.output_dim >> halvings


class TwoStreamNetwork(nn.Module):
    """Stems, one body, pooling and a neck.

    Attributes:
        stems: A copy of the ResNet's stem per stream.
        body: The four layers that all streams share.
        pool: Positions to one vector.
        neck: Batch norm (`neck.norm`, bias frozen at 0) and classifier.

    Args:
        config: Shape, and the weight file that all stems and the body start from.
        num_identities: I.
        streams: Names of the streams.

    Raises:
        ConfigError: The ResNet does not read three channels, the stand-in is asked for, or non-local blocks
            lie in layers that each stream has of its own.
        CheckpointError: The weight file does not fit.
        FileNotFoundError: There is no such weight file.
    """

    def __init__(
        self, config: TwoStreamConfig, num_identities: int, streams: Sequence[str] = MODALITIES
    ) -> None:
        super().__init__()
        resnet = _resnet(config)
        self.stems = Streams(_deepened(resnet, config.stem_layers), streams)
        self.body = resnet.body
        self.body.gradient_checkpointing = config.gradient_checkpointing
        self.pool = GeneralisedMean(config.gem_p, learnable=config.gem_trains)
        self.neck = BatchNormNeck(config.resnet.output_dim, num_identities, bias_trains=False)

    def forward(self, images: Tensor, segments: Routing) -> Tensor:
        """Pooled features f before the neck: float32 `[N, D]`, row i of image i.

        Images are laid out channels last, in which convolutions and batch norms are quicker and which all
        layers keep. Weights are not, for fused optimisers pair them with their state by place in memory.

        Args:
            images: Normalised images `[N, 3, H, W]`.
            segments: Stream of each row (see `Streams`).
        """
        images = images.contiguous(memory_format=torch.channels_last)
        return self.pool(self.body(self.stems(images, segments)))  # type: ignore[no-any-return]

    def clip_features(self, clips: Tensor, segments: Routing) -> Tensor:
        """Mean over frames of `forward`: float32 `[B, D]` of clips `[B, T, 3, H, W]`.

        Args:
            clips: Normalised clips.
            segments: Stream of each frame, clip by clip.
        """
        features: Tensor = self(clips.flatten(0, 1), segments)
        return features.view(*clips.shape[:2], -1).mean(1)

    def parameter_groups(
        self, optim: TwoStreamOptimConfig, layers: Mapping[str, float] = MappingProxyType({})
    ) -> list[ParameterGroup]:
        """The neck's parameters, the rest's, and pooling's (without weight decay), where they learn.

        Args:
            optim: Base rate and factors.
            layers: Factors of the body's layers that have one of their own, such as "layer3".
        """
        named = [(name, p) for name, p in self.named_parameters() if not name.startswith("pool.")]
        own = [(name, (f"body.{name}.",), factor) for name, factor in layers.items()]
        rules = [("neck", ("neck.",), 1.0), *own, ("backbone", (), optim.backbone_factor)]
        groups = split_parameters(named, rules, optim)
        exponents = list(self.pool.parameters())
        if exponents:
            groups.append(ParameterGroup("pooling", exponents, optim.lr * optim.backbone_factor, 0.0))
        return groups


class TwoStreamMethod(Method):
    """A method whose embeddings come from a two-stream network.

    Attributes:
        network: Stems, body, pooling and neck.
    """

    config_type: ClassVar[type[MethodConfig]] = TwoStreamConfig
    config: TwoStreamConfig
    network: TwoStreamNetwork

    @property
    def reads_modality(self) -> bool:
        """Always: it decides the stem."""
        return True

    @property
    def embedding_dim(self) -> int:
        """D: channels of the last layer."""
        return self.config.resnet.output_dim

    def encode(
        self,
        clips: Tensor,
        *,
        modality: Modality | Sequence[Modality] | None = None,
        camera_ids: Sequence[Id | None] | None = None,
    ) -> Tensor:
        """Embeddings of clips: float32 `[B, D]`, L2-normalised; camera makes no difference.

        Args:
            clips: `[B, T, 3, H, W]` float, normalised; any T, over which features are averaged.
            modality: Decides which stem a clip passes; `unknown_modality` says what becomes of None.
            camera_ids: Not used.

        Raises:
            ValueError: Clips of another shape, another number of modalities than clips, a modality that
                there is not, or None with `unknown_modality=error`.
        """
        if clips.ndim != 5 or clips.shape[2] != 3:
            raise ValueError(f"clips of shape {list(clips.shape)}: expected [B, T, 3, H, W]")
        if modality is None:
            if self.config.unknown_modality == "error":
                raise ValueError("the clips' modality is unknown: expected visible or infrared for each")
            both = [self.encode(clips, modality=each) for each in Modality]
            return F.normalize(both[0] + both[1], dim=1)
        streams = [modality] * len(clips) if isinstance(modality, str) else list(modality)
        if len(streams) != len(clips):
            raise ValueError(f"{len(streams)} modalities for {len(clips)} clips")
        return self._embed(clips, segments_of(streams, clips.shape[1]))

    def encode_rows(
        self, clips: Tensor, *, infrared: Tensor | None = None, cameras: Tensor | None = None
    ) -> Tensor:
        """As `Method.encode_rows`; every frame passes both stems.

        Raises:
            ValueError: `infrared` is not told.
        """
        return self._embed(clips, frame_routing(clips, infrared))

    def _embed(self, clips: Tensor, segments: Routing) -> Tensor:
        features = self.network.clip_features(clips, segments)
        if self.config.neck_feature == "after":
            features = self.network.neck.norm(features)
        return F.normalize(features.float(), dim=1)


def warn_of_random_weights(config: TwoStreamConfig, *, resumed: bool) -> None:
    """Say so where a full-size network starts to train from random weights."""
    if config.weights == "none" and not resumed and config.resnet.width >= RESNET_50.width:
        _log.warning(
            "RANDOM WEIGHTS: the ResNet starts untrained. Published results need ImageNet weights: give "
            "their file as weights=FILE."
        )


def _deepened(resnet: ResNet, layers: int) -> nn.Module:
    """The stem, followed by the first `layers` layers, which the body loses."""
    if not layers:
        return resnet.stem
    names = [f"layer{number}" for number in range(1, layers + 1)]
    if any(name in resnet.body.non_local for name in names):
        raise ConfigError(f"stem_layers = {layers}: non-local blocks belong to layers that all streams share")
    taken = OrderedDict[str, nn.Module](stem=resnet.stem)
    for name in names:
        taken[name] = resnet.body.get_submodule(name)
        delattr(resnet.body, name)
    return nn.Sequential(taken)


def _resnet(config: TwoStreamConfig) -> ResNet:
    """The ResNet that all streams start from."""
    if config.resnet.channels != len("RGB"):
        raise ConfigError(f"resnet.channels = {config.resnet.channels}: frames have 3 channels")
    if config.weights == "none":
        return ResNet(config.resnet)
    if config.weights == "stand-in":
        raise ConfigError("weights = 'stand-in': that is a small CLIP; expected 'none' or a ResNet's file")
    return load_resnet(Path(config.weights), config.resnet)
