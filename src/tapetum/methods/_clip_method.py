"""CLIP's towers as a method's configuration asks for them: random, the stand-in, or a weight file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, cast

from pydantic import Field

from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods._base import MethodConfig
from tapetum.models.backbones.clip import Clip, create_clip
from tapetum.models.backbones.clip_files import load_clip
from tapetum.models.backbones.text import TEXT_B, TextConfig, TextTransformer
from tapetum.models.backbones.vision import VIT_B_16, VisionConfig, VisionTransformer
from tapetum.models.standin import TINY_TEXT, TINY_VISION, read_words, standin_path
from tapetum.models.text import (
    DAY_AND_NIGHT,
    PADDING,
    PHOTO,
    BpeTokenizer,
    PromptTemplate,
    Tokenizer,
    WordTokenizer,
)

Backbone = Literal["ViT-B/16", "tiny"]

PROMPTS = {
    "A {} person observed in both day and night conditions.": DAY_AND_NIGHT,
    "A photo of a {} person.": PHOTO,
}
"""Prompts whose token ids in CLIP's vocabulary are known without the vocabulary file."""

_SIZES: dict[Backbone, tuple[VisionConfig, TextConfig]] = {
    "ViT-B/16": (VIT_B_16, TEXT_B),
    "tiny": (TINY_VISION, TINY_TEXT),
}


class ImageTowerConfig(MethodConfig):
    """What configurations of methods on CLIP's image tower have in common."""

    backbone: Backbone = Field("ViT-B/16", description="image tower; 'tiny' takes its sizes from its weights")
    vision: VisionConfig | None = Field(
        None, description="sizes of the image tower; filled in when a method is built"
    )
    freeze_patch_embed: bool = Field(False, description="the patch embedding does not train")
    gradient_checkpointing: bool = Field(
        False, description="recompute the image tower's blocks in the backward pass: less memory, more time"
    )


class ClipMethodConfig(ImageTowerConfig):
    """What configurations of methods on both of CLIP's towers have in common."""

    text: TextConfig | None = Field(
        None, description="sizes of the text tower; filled in when a method is built"
    )
    prompt: str = Field(next(iter(PROMPTS)), description="sentence with one gap {} for learnable tokens")
    prompt_tokens: int = Field(4, ge=1, description="learnable tokens in the gap")
    vocabulary: str | None = Field(
        None, description="CLIP's BPE vocabulary file, for a prompt whose ids are not built in"
    )
    template: PromptTemplate | None = Field(
        None, description="token ids of the prompt; filled in when a method is built"
    )


ImageConfigT = TypeVar("ImageConfigT", bound=ImageTowerConfig)
ConfigT = TypeVar("ConfigT", bound=ClipMethodConfig)


@dataclass(frozen=True, slots=True)
class Towers:
    """The parts of CLIP that a method uses.

    Attributes:
        visual: Image tower for frames of the configured size.
        text: Frozen text tower; None where the method uses no text.
        template: The prompt's token ids; None where the method uses no text.
    """

    visual: VisionTransformer
    text: TextTransformer | None = None
    template: PromptTemplate | None = None


def build_image_tower(config: ImageConfigT) -> tuple[VisionTransformer, ImageConfigT]:
    """The image tower of `config` alone, and `config` with its sizes filled in; raises as `build_towers`."""
    path = _weight_path(config.weights)
    visual = _prepared_clip(config, path, None).visual
    return visual, config.model_copy(update={"vision": visual.config})


def build_towers(config: ConfigT, *, with_text: bool) -> tuple[Towers, ConfigT]:
    """The towers of `config`, and `config` with their sizes filled in.

    A method rebuilt from the filled-in configuration has the same sizes without the weight file.

    Raises:
        ConfigError: The prompt has unknown words, is too long or of another vocabulary than the weights, or
            sizes that the configuration states differ.
        CheckpointError: The weight file is of another backbone or lacks a text tower that is needed.
        FileNotFoundError: There is no such weight file, or the stand-in was never made.
    """
    path = _weight_path(config.weights)
    text_config = (config.text or _SIZES[config.backbone][1]) if with_text else None
    clip = _prepared_clip(config, path, text_config)
    visual = clip.visual
    if not with_text:
        filled = config.model_copy(update={"vision": visual.config, "text": None, "template": None})
        return Towers(visual), filled
    if clip.text is None:
        raise CheckpointError(f"{path}: holds no text tower, which the configured prompts need")
    text = clip.text.requires_grad_(False)
    template = config.template or _template(config, text.config, path)
    _check_template(template, config, text.config)
    update = {"vision": visual.config, "text": text.config, "template": template}
    return Towers(visual, text, template), config.model_copy(update=update)


def _weight_path(weights: str) -> Path | None:
    if weights == "none":
        return None
    return standin_path() if weights == "stand-in" else Path(weights)


def _prepared_clip(config: ImageTowerConfig, path: Path | None, text: TextConfig | None) -> Clip:
    """CLIP from the file at `path`, or a random one with the text tower `text`, for the configured frames."""
    size = (config.height, config.width)
    clip = _random_clip(config, text) if path is None else load_clip(path, image_size=size)
    clip.visual.gradient_checkpointing = config.gradient_checkpointing
    _check_sizes(config, clip.visual.config)
    return clip


def _random_clip(config: ImageTowerConfig, text: TextConfig | None) -> Clip:
    vision = config.vision or _SIZES[config.backbone][0]
    vision = replace(vision, image_size=(config.height, config.width))
    text = None if text is None else replace(text, output_dim=vision.output_dim)
    return create_clip(vision, text, warn=config.vision is None)


def _check_sizes(config: ImageTowerConfig, found: VisionConfig) -> None:
    if config.vision is not None and replace(config.vision, image_size=found.image_size) != found:
        raise ConfigError(f"vision = {config.vision}, but the weights {config.weights} are of {found}")
    is_file = config.weights not in ("none", "stand-in")
    if is_file and config.backbone == "ViT-B/16" and _shape(found) != _shape(VIT_B_16):
        raise CheckpointError(f"{config.weights}: expected an image tower of ViT-B/16, found {found}")


def _shape(vision: VisionConfig) -> tuple[int, int, int, int]:
    return vision.width, vision.layers, vision.heads, vision.patch_size


def _template(config: ClipMethodConfig, text: TextConfig, path: Path | None) -> PromptTemplate:
    """Token ids of the configured prompt in the vocabulary of the weights at `path`."""
    if config.vocabulary is None and text.vocab_size == TEXT_B.vocab_size:
        return _known_template(config.prompt, config.prompt_tokens)
    if config.vocabulary is None and path is None:
        return _made_up_template(config.prompt, text.vocab_size, config.prompt_tokens)
    tokenizer: Tokenizer
    if config.vocabulary is not None:
        tokenizer = BpeTokenizer(config.vocabulary)
    else:
        tokenizer = WordTokenizer(read_words(cast(Path, path)))
    try:
        return PromptTemplate.parse(config.prompt, tokenizer, config.prompt_tokens)
    except ValueError as error:
        raise ConfigError(f"prompt = {config.prompt!r}: {error}") from None


def _check_template(template: PromptTemplate, config: ClipMethodConfig, text: TextConfig) -> None:
    """Refuse a prompt that the text tower cannot read, or would read as other words."""
    prompt = f"prompt = {config.prompt!r} with prompt_tokens = {template.count}"
    if len(template.ids) > text.context_length:
        raise ConfigError(
            f"{prompt} has {len(template.ids)} tokens, but the text tower of the weights {config.weights} "
            f"takes {text.context_length}"
        )
    if template.ids[-1] != text.vocab_size - 1 or max(template.ids) >= text.vocab_size:
        words = config.vocabulary or "the built-in ids"
        raise ConfigError(
            f"{prompt}: {words} has the end token {template.ids[-1]}, but that of the weights "
            f"{config.weights} is {text.vocab_size - 1}, the last of {text.vocab_size} ids: vocabulary and "
            "weights do not belong together"
        )


def _known_template(prompt: str, count: int) -> PromptTemplate:
    """One of the sentences whose ids in CLIP's vocabulary are built in, with `count` learnable tokens."""
    known = PROMPTS.get(prompt)
    if known is None:
        sentences = " | ".join(PROMPTS)
        raise ConfigError(f"prompt = {prompt!r}: without `vocabulary` only these are known: {sentences}")
    after = known.ids[known.first + known.count :]
    return PromptTemplate((*known.ids[: known.first], *[PADDING] * count, *after), known.first, count)


def _made_up_template(prompt: str, vocab_size: int, count: int) -> PromptTemplate:
    """Ids for a random text tower, where a word means nothing: numbered as they come."""
    parts = prompt.split("{}")
    if len(parts) != 2:
        raise ConfigError(f"prompt = {prompt!r}: expected exactly one gap {{}}")
    before, after = (part.split() for part in parts)
    ids = list(range(1, 1 + len(before) + len(after)))
    gap = [PADDING] * count
    return PromptTemplate(
        (vocab_size - 2, *ids[: len(before)], *gap, *ids[len(before) :], vocab_size - 1),
        1 + len(before),
        count,
    )
