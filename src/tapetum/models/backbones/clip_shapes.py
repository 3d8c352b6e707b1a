"""How large the towers of somebody else's CLIP are: read off its tensors and the configuration beside them.

Shapes say all but two things: the number of heads, and the activation. These come from the configuration
where there is one, else from the rules of the file's maker.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

from tapetum.errors import CheckpointError
from tapetum.models.backbones.blocks import Activation
from tapetum.models.backbones.clip import ImageTowerShape
from tapetum.models.backbones.clip_layouts import HUGGING_FACE, OPENAI, OPENAI_RESNET
from tapetum.models.backbones.clip_resnet import ClipResNetConfig, LastStride
from tapetum.models.backbones.clip_tensors import FileTensors
from tapetum.models.backbones.text import TextConfig
from tapetum.models.backbones.vision import VisionConfig
from tapetum.models.weight_files import WeightFile

_LOG = logging.getLogger(__name__)

_HEAD_WIDTH = 64
_RESNET_STRIDE = 32
_LARGEST_OF_HEAD_WIDTH = 1024
_HEADS_OF_LARGER = 16
_NORM_EPSILON = 1e-5
_OPENAI_SCALARS = ("input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True)
class TowerSettings:
    """What a configuration says of one tower; None where it says nothing.

    Attributes:
        heads: Attention heads.
        activation: Of the MLPs.
        layers: Number of blocks, of each layer in a ResNet, to check the file against.
    """

    heads: int | None = None
    activation: Activation | None = None
    layers: int | tuple[int, ...] | None = None


def read_settings(config: Mapping[str, Any], tower: str) -> TowerSettings:
    """What Hugging Face's `config.json` or open_clip's `open_clip_config.json` says of "vision" or "text".

    Raises:
        CheckpointError: A Hugging Face configuration that our towers cannot follow.
    """
    if "model_cfg" in config:
        return _open_clip_settings(config["model_cfg"], tower)
    if "model_type" in config:
        return _hugging_face_settings(config.get(f"{tower}_config", config), tower)
    return TowerSettings()


def read_shapes(
    weights: WeightFile,
    tensors: FileTensors,
    config: Mapping[str, Any],
    activation: Activation | None,
    image_size: tuple[int, int] | None,
    last_stride: LastStride | None = None,
) -> tuple[ImageTowerShape, TextConfig | None]:
    """Shapes of the image and of the text tower; None for a file without text.

    Args:
        weights: The file.
        tensors: Its tensors under our names.
        config: The configuration beside it; empty where there is none.
        activation: What the caller says, which goes first.
        image_size: (height, width) that the caller wants; needed where the file's positions are no square.
        last_stride: Of a ResNet, that the caller wants; needed there too.

    Raises:
        CheckpointError: The shapes are no CLIP's, or contradict the configuration.
    """
    vision, text = (read_settings(config, tower) for tower in ("vision", "text"))
    has_text = tensors.layout.has_text(tensors.names)
    image_tower: ImageTowerShape
    if tensors.layout.is_resnet:
        chosen = activation or text.activation
        image_tower = _resnet_config(tensors, vision, image_size, last_stride)
    else:
        chosen = activation or vision.activation or _assume_activation(weights, tensors)
        image_tower = _vision_config(tensors, vision, chosen, image_size)
    if not has_text:
        return image_tower, None
    chosen = activation or text.activation or chosen or _assume_activation(weights, tensors)
    return image_tower, replace(_text_config(tensors, text, chosen), output_dim=image_tower.output_dim)


def _vision_config(
    tensors: FileTensors, settings: TowerSettings, activation: Activation, image_size: tuple[int, int] | None
) -> VisionConfig:
    width, _, patch_size, _ = tensors.sizes("visual.stem.projection.weight", 4)
    positions, _ = tensors.sizes("visual.positional_embedding", 2)
    if width <= _LARGEST_OF_HEAD_WIDTH:
        heads = settings.heads or _count_heads(tensors, "image", width)
    else:  # every published CLIP above ViT-L has 16 heads in its image tower
        heads = settings.heads or _HEADS_OF_LARGER
    return VisionConfig(
        width=width,
        layers=_count_layers(tensors, "visual", settings),
        heads=heads,
        patch_size=patch_size,
        image_size=_stored_size(tensors, positions - 1, patch_size, image_size),
        output_dim=tensors.sizes("visual.projection.weight", 2)[0],
        activation=activation,
        mlp_ratio=tensors.sizes("visual.blocks.0.mlp.expand.weight", 2)[0] / width,
    )


def _resnet_config(
    tensors: FileTensors,
    settings: TowerSettings,
    image_size: tuple[int, int] | None,
    last_stride: LastStride | None,
) -> ClipResNetConfig:
    """A ResNet as in the file: CLIP's own strides, unless its positions are for another grid."""
    width = tensors.sizes("visual.layer1.0.conv1.weight", 4)[0]
    places = tensors.sizes("visual.attnpool.positional_embedding", 2)[0] - 1
    first, second, third, fourth = (
        tensors.layout.count_blocks(f"layer{number}", tensors.names) for number in range(1, 5)
    )
    _check_layers(tensors, "visual", (first, second, third, fourth), settings)
    output_dim = tensors.sizes("visual.attnpool.c_proj.weight", 2)[0]
    heads = settings.heads or max(1, width * _RESNET_STRIDE // _HEAD_WIDTH)
    try:
        config = ClipResNetConfig((first, second, third, fourth), width, heads, output_dim)
    except ValueError as error:
        raise CheckpointError(f"{tensors.path}: {error}") from None
    if isqrt(places) ** 2 != places and image_size is not None:
        wanted = replace(config, image_size=image_size, last_stride=last_stride or config.last_stride)
        if wanted.grid[0] * wanted.grid[1] == places:
            return wanted
    return replace(config, image_size=_stored_size(tensors, places, _RESNET_STRIDE, None))


def _text_config(tensors: FileTensors, settings: TowerSettings, activation: Activation) -> TextConfig:
    vocab_size, width = tensors.sizes("text.token_embedding.weight", 2)
    return TextConfig(
        vocab_size=vocab_size,
        context_length=tensors.sizes("text.positional_embedding", 2)[0],
        width=width,
        layers=_count_layers(tensors, "text", settings),
        heads=settings.heads or _count_heads(tensors, "text", width),
        activation=activation,
        mlp_ratio=tensors.sizes("text.blocks.0.mlp.expand.weight", 2)[0] / width,
    )


def _count_layers(tensors: FileTensors, tower: str, settings: TowerSettings) -> int:
    """Blocks in the file; where a configuration names another number, the file is cut short or overfull."""
    found = tensors.layout.count_blocks(tower, tensors.names)
    _check_layers(tensors, tower, found, settings)
    return found


def _check_layers(
    tensors: FileTensors, tower: str, found: int | tuple[int, ...], settings: TowerSettings
) -> None:
    if settings.layers not in (None, found):
        raise CheckpointError(
            f"{tensors.path}: {found} blocks of the {tower} tower; the configuration beside the file says "
            f"{settings.layers}"
        )


def _count_heads(tensors: FileTensors, tower: str, width: int) -> int:
    """CLIP's rule: a head is 64 wide."""
    if width % _HEAD_WIDTH:
        raise CheckpointError(
            f"{tensors.path}: {tower} tower of width {width}: no configuration beside the file says how many "
            f"heads it has, and CLIP's rule, width / {_HEAD_WIDTH}, gives no whole number"
        )
    return width // _HEAD_WIDTH


def _stored_size(
    tensors: FileTensors, patches: int, patch_size: int, image_size: tuple[int, int] | None
) -> tuple[int, int]:
    """(height, width) in pixels that the file's positions are for: a square, unless it cannot be one."""
    side = isqrt(patches)
    if side * side == patches:
        return side * patch_size, side * patch_size
    if image_size is not None and image_size[0] // patch_size * (image_size[1] // patch_size) == patches:
        return image_size
    raise CheckpointError(
        f"{tensors.path}: positions for {patches} patches, which is no square grid: give the (height, width) "
        f"that they are for as image_size{' and last_stride' if tensors.layout.is_resnet else ''}"
    )


def _assume_activation(weights: WeightFile, tensors: FileTensors) -> Activation:
    """The activation by who wrote the file, where nothing states it.

    Raises:
        CheckpointError: A Hugging Face file on its own, which may have either.
    """
    if tensors.layout is HUGGING_FACE:
        raise CheckpointError(
            f"{weights.path}: no config.json says which activation these weights were trained with: load the "
            "folder, or pass activation='quick_gelu' (OpenAI's weights) or 'gelu' (most others)"
        )
    if weights.kind == "archive" or any(name in weights.tensors for name in _OPENAI_SCALARS):
        return "quick_gelu"
    assumed: Activation = "quick_gelu" if _is_ordered_as_openai(weights, tensors) else "gelu"
    _LOG.warning(
        "%s does not say which activation its weights were trained with; assuming %s (%s). Pass activation= "
        "to load_clip if that is wrong.",
        weights.path,
        assumed,
        "tensors in the order of OpenAI's code" if assumed == "quick_gelu" else "open_clip's default",
    )
    return assumed


def _is_ordered_as_openai(weights: WeightFile, tensors: FileTensors) -> bool:
    """Whether a block's attention comes before its first norm: so in OpenAI's code, not in open_clip's.

    Their files have equal names; safetensors sorts its entries and says nothing.
    """
    if tensors.layout not in (OPENAI, OPENAI_RESNET) or weights.kind == "safetensors":
        return False
    block = f"{tensors.layout.roots['text' if tensors.layout.is_resnet else 'visual']}0."
    first = next((name for name in weights.tensors if name.startswith(block)), "")
    return first.startswith(f"{block}attn.")


def _open_clip_settings(config: Mapping[str, Any], tower: str) -> TowerSettings:
    part = config.get(f"{tower}_cfg", {})
    activation: Activation = "quick_gelu" if config.get("quick_gelu") else "gelu"
    if tower == "text":
        return TowerSettings(part.get("heads"), activation, part.get("layers"))
    width, layers = part.get("width"), part.get("layers")
    if isinstance(layers, list):  # a ResNet, whose map has 32 times its width
        layers, width = tuple(layers), width and _RESNET_STRIDE * width
    heads = width // part.get("head_width", _HEAD_WIDTH) if width else None
    return TowerSettings(heads, activation, layers)


def _hugging_face_settings(part: Mapping[str, Any], tower: str) -> TowerSettings:
    """Defaults are those of transformers, which leaves them out of older files."""
    activation = part.get("hidden_act", "quick_gelu")
    if activation not in ("quick_gelu", "gelu"):
        raise CheckpointError(f"config.json: hidden_act {activation!r} of the {tower} tower is not supported")
    if part.get("layer_norm_eps", _NORM_EPSILON) != _NORM_EPSILON:
        raise CheckpointError(
            f"config.json: layer_norm_eps {part['layer_norm_eps']}: CLIP's is {_NORM_EPSILON}"
        )
    heads = part.get("num_attention_heads", 12 if tower == "vision" else 8)
    return TowerSettings(heads, activation, part.get("num_hidden_layers"))
