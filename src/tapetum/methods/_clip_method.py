"""CLIP's towers and a prompt for them, as the configuration of a method on both towers asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from pydantic import Field

from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods._image_towers import (
    Backbone,
    ImageTowerConfig,
    as_transformer,
    prepare_clip,
    weight_path,
)
from tapetum.models.backbones.clip import ImageTower
from tapetum.models.backbones.clip_resnet_variants import ResNetVariant
from tapetum.models.backbones.text import TEXT_B, TextConfig, TextTransformer
from tapetum.models.backbones.vision import VisionTransformer
from tapetum.models.standin import TINY_TEXT, read_words
from tapetum.models.text import (
    DAY_AND_NIGHT,
    PADDING,
    PHOTO,
    BpeTokenizer,
    PromptTemplate,
    Tokenizer,
    WordTokenizer,
)

PROMPTS = {
    "A {} person observed in both day and night conditions.": DAY_AND_NIGHT,
    "A photo of a {} person.": PHOTO,
}
"""Prompts whose token ids in CLIP's vocabulary are known without the vocabulary file."""

_TEXTS: dict[Backbone, TextConfig] = {
    "ViT-B/16": TEXT_B,
    "tiny": TINY_TEXT,
    "RN50": TEXT_B,
    "tiny-RN": TINY_TEXT,
}
"""Text towers; the joint space has the length of the image tower's."""


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


ConfigT = TypeVar("ConfigT", bound=ClipMethodConfig)


@dataclass(frozen=True, slots=True)
class Towers:
    """The parts of CLIP that a method uses.

    Attributes:
        visual: Image tower for frames of the configured size; a vision transformer unless the method can use
            a ResNet too.
        text: Frozen text tower; None where the method uses no text.
        template: The prompt's token ids; None where the method uses no text.
    """

    visual: ImageTower
    text: TextTransformer | None = None
    template: PromptTemplate | None = None

    @property
    def transformer(self) -> VisionTransformer:
        """`visual`, for methods that take its tokens apart.

        Raises:
            TypeError: It is a ResNet.
        """
        return as_transformer(self.visual)


def build_towers(
    config: ConfigT, *, with_text: bool, resnet: ResNetVariant | None = None
) -> tuple[Towers, ConfigT]:
    """The towers of `config`, and `config` with their sizes filled in.

    A method rebuilt from the filled-in configuration has the same sizes without the weight file.

    Args:
        config: Of the method.
        with_text: Whether the method uses texts.
        resnet: What the method changes in a ResNet; its last stride becomes 1 unless this says otherwise.
            None: the method cannot use a ResNet.

    Raises:
        ConfigError: The backbone is a ResNet and the method cannot use one; the prompt has unknown words, is
            too long or of another vocabulary than the weights; sizes that the configuration states differ.
        CheckpointError: The weight file is of another backbone or lacks a text tower that is needed.
        FileNotFoundError: There is no such weight file, or the stand-in was never made.
    """
    path = weight_path(config.weights)
    text_config = (config.text or _TEXTS[config.backbone]) if with_text else None
    clip = prepare_clip(config, path, text_config, resnet)
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
