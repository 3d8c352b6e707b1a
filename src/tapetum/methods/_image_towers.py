"""CLIP's image tower as a method's configuration asks for it: random, the stand-in, or a weight file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Discriminator, Field, Tag

from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods._base import MethodConfig
from tapetum.models.backbones.clip import Clip, ImageTower, ImageTowerShape, create_clip
from tapetum.models.backbones.clip_files import load_clip
from tapetum.models.backbones.clip_resnet import CLIP_RN50, TINY_RESNET, ClipResNetConfig
from tapetum.models.backbones.clip_resnet_variants import ResNetVariant
from tapetum.models.backbones.text import TextConfig
from tapetum.models.backbones.vision import VIT_B_16, VisionConfig, VisionTransformer
from tapetum.models.standin import TINY_VISION, standin_path

Backbone = Literal["ViT-B/16", "tiny", "RN50", "tiny-RN"]

RESNETS: tuple[Backbone, ...] = ("RN50", "tiny-RN")
"""The backbones that are ResNets; the others are vision transformers."""

_SHAPES: dict[Backbone, ImageTowerShape] = {
    "ViT-B/16": VIT_B_16,
    "tiny": TINY_VISION,
    "RN50": CLIP_RN50,
    "tiny-RN": TINY_RESNET,
}

_PUBLISHED: tuple[Backbone, ...] = ("ViT-B/16", "RN50")
"""Backbones whose sizes a weight file must have; the sizes of the others are the file's own."""

_REID: ResNetVariant = {"last_stride": 1}
"""What methods change in a ResNet unless they say otherwise, as all of re-identification does."""


def _kind_of_shape(value: Any) -> str:
    """Which kind of tower a `vision` is of, given as a shape or as its fields: a ResNet lists its layers."""
    layers = value.get("layers") if isinstance(value, dict) else getattr(value, "layers", None)
    return "ResNet" if isinstance(layers, list | tuple) else "ViT"


Vision = Annotated[
    Annotated[VisionConfig, Tag("ViT")] | Annotated[ClipResNetConfig, Tag("ResNet")],
    Discriminator(_kind_of_shape),
]
"""Sizes of an image tower of either kind, as a field of a configuration."""


class ImageTowerConfig(MethodConfig):
    """What configurations of methods on CLIP's image tower have in common."""

    backbone: Backbone = Field(
        "ViT-B/16", description="image tower; those called tiny take their sizes from their weights"
    )
    vision: Vision | None = Field(
        None, description="sizes of the image tower; filled in when a method is built"
    )
    freeze_patch_embed: bool = Field(False, description="the patch embedding does not train")
    gradient_checkpointing: bool = Field(
        False, description="recompute the image tower's blocks in the backward pass: less memory, more time"
    )


ConfigT = TypeVar("ConfigT", bound=ImageTowerConfig)


def build_transformer(config: ConfigT) -> tuple[VisionTransformer, ConfigT]:
    """The image tower of `config` alone, for methods that take its tokens apart, and `config` with its sizes.

    Raises:
        ConfigError: The backbone is a ResNet, or sizes that the configuration states differ.
        CheckpointError: The weight file is of another backbone.
        FileNotFoundError: There is no such weight file, or the stand-in was never made.
    """
    visual = as_transformer(prepare_clip(config, weight_path(config.weights), None, None).visual)
    return visual, config.model_copy(update={"vision": visual.config})


def as_transformer(visual: ImageTower) -> VisionTransformer:
    """The same tower, which has to be a vision transformer.

    Raises:
        TypeError: It is a ResNet.
    """
    if not isinstance(visual, VisionTransformer):
        raise TypeError(f"expected a vision transformer, found a tower of {visual.config}")
    return visual


def weight_path(weights: str) -> Path | None:
    """The file that `weights` of a configuration means; None for random weights.

    Raises:
        FileNotFoundError: The stand-in was never made.
    """
    if weights == "none":
        return None
    return standin_path() if weights == "stand-in" else Path(weights)


def prepare_clip(
    config: ImageTowerConfig, path: Path | None, text: TextConfig | None, resnet: ResNetVariant | None
) -> Clip:
    """CLIP for the configured frames.

    Args:
        config: Of the method.
        path: Weight file; None: random weights.
        text: Shape of the text tower where weights are random; None: none.
        resnet: What the method changes in a ResNet; its last stride becomes 1 unless this says otherwise.
            None: the method cannot use a ResNet.

    Raises:
        ConfigError: The backbone is a ResNet and the method cannot use one, or the stand-in is to be one;
            sizes that the configuration states differ.
        CheckpointError: The weight file is of another backbone.
        FileNotFoundError: There is no such weight file.
    """
    variant = _variant(config, resnet)
    if path is None:
        clip = _random_clip(config, text, variant)
    else:
        clip = load_clip(path, image_size=(config.height, config.width), **variant)
    _check_sizes(config, clip.visual.config, variant)
    clip.visual.gradient_checkpointing = config.gradient_checkpointing
    return clip


def _variant(config: ImageTowerConfig, resnet: ResNetVariant | None) -> ResNetVariant:
    """What changes in the image tower; nothing in a vision transformer."""
    if config.backbone not in RESNETS:
        return {}
    if resnet is None:
        known = " or ".join(name for name in get_args(Backbone) if name not in RESNETS)
        raise ConfigError(
            f"backbone = {config.backbone!r}: this method works on the tokens of a vision transformer, and a "
            f"ResNet has none; choose {known}"
        )
    if config.weights == "stand-in":
        raise ConfigError(
            f"weights = 'stand-in': this is a vision transformer (backbone=tiny), and backbone = "
            f"{config.backbone!r} is a ResNet; give a weight file, or weights=none"
        )
    return {**_REID, **resnet}


def _random_clip(config: ImageTowerConfig, text: TextConfig | None, variant: ResNetVariant) -> Clip:
    vision = config.vision or _SHAPES[config.backbone]
    if not _is_of(config.backbone, vision):
        raise ConfigError(f"backbone = {config.backbone!r}, but vision = {vision}")
    vision = _changed(vision, (config.height, config.width), variant)
    text = None if text is None else replace(text, output_dim=vision.output_dim)
    return create_clip(vision, text, warn=config.vision is None)


def _is_of(backbone: Backbone, vision: ImageTowerShape) -> bool:
    """Whether a shape is of the backbone's kind."""
    return isinstance(vision, ClipResNetConfig) == (backbone in RESNETS)


def _changed(vision: ImageTowerShape, image_size: tuple[int, int], variant: ResNetVariant) -> ImageTowerShape:
    if isinstance(vision, ClipResNetConfig):
        return replace(vision, image_size=image_size, **variant)
    return replace(vision, image_size=image_size)


def _check_sizes(config: ImageTowerConfig, found: ImageTowerShape, variant: ResNetVariant) -> None:
    is_file = config.weights not in ("none", "stand-in")
    is_alike = config.backbone not in _PUBLISHED or _sizes(found) == _sizes(_SHAPES[config.backbone])
    if is_file and not (_is_of(config.backbone, found) and is_alike):
        raise CheckpointError(
            f"{config.weights}: expected an image tower of {config.backbone}, found {found}"
        )
    stated = config.vision
    if stated is not None and not (
        _is_of(config.backbone, stated) and _changed(stated, found.image_size, variant) == found
    ):
        raise ConfigError(f"vision = {stated}, but the weights {config.weights} are of {found}")


def _sizes(vision: ImageTowerShape) -> tuple[object, ...]:
    """What a published tower is known by."""
    if isinstance(vision, ClipResNetConfig):
        return vision.layers, vision.width, vision.heads, vision.output_dim
    return vision.layers, vision.width, vision.heads, vision.patch_size
