"""How CLIP's tensors are named and packed in the files of OpenAI, open_clip, Hugging Face and this package.

A layout answers one question: from which tensors of the file is this tensor of ours made, and how? Everything
else (what is missing, what is left over, how large the towers are) follows from the answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tapetum.errors import CheckpointError

_RESNET_NAMES = ("visual.layer1.", "visual.attnpool.")
_RESNET_ROOTS = {f"layer{number}": f"visual.layer{number}." for number in range(1, 5)}
_OUR_BLOCK = re.compile(r"(visual|text)\.blocks\.(\d+)\.(.+)")


@dataclass(frozen=True)
class Recipe:
    """One of our tensors, made from tensors of a file.

    Attributes:
        sources: Names in the file; in a block's recipe without the block's prefix.
        make: The sources to our tensor.
    """

    sources: tuple[str, ...]
    make: Callable[..., Tensor]


@dataclass(frozen=True)
class Layout:
    """Naming of a kind of file.

    Attributes:
        title: For messages.
        outside: Recipes of our tensors outside the blocks.
        block: Recipes of a block's tensors.
        roots: What stands before a block's number in the file, by tower ("visual", "text"); in a ResNet by
            layer ("layer1", ...) in the place of "visual".
        text_names: How names of the text tower begin.
        harmless: Names that carry no weights and may be in the file.
    """

    title: str
    outside: Mapping[str, Recipe]
    block: Mapping[str, Recipe]
    roots: Mapping[str, str]
    text_names: tuple[str, ...]
    harmless: re.Pattern[str]

    @property
    def is_resnet(self) -> bool:
        """Whether the image tower is a ResNet."""
        return "layer1" in self.roots

    def recipe(self, ours: str) -> Recipe:
        """How our tensor `ours` is made."""
        match = _OUR_BLOCK.fullmatch(ours)
        if match is None:
            return self.outside[ours]
        tower, number, part = match.groups()
        recipe = self.block[part]
        return Recipe(tuple(f"{self.roots[tower]}{number}.{s}" for s in recipe.sources), recipe.make)

    def count_blocks(self, tower: str, names: Iterable[str]) -> int:
        """Number of blocks of a tower: one more than the largest number in the file's names."""
        numbered = re.compile(re.escape(self.roots[tower]) + r"(\d+)\.")
        matches = (numbered.match(name) for name in names)
        return max((int(match[1]) + 1 for match in matches if match), default=0)

    def has_text(self, names: Iterable[str]) -> bool:
        """Whether the file holds any tensor of a text tower."""
        return any(name.startswith(self.text_names) and not self.harmless.fullmatch(name) for name in names)


def find_layout(names: Iterable[str]) -> Layout:
    """The layout that the names of a file follow.

    Raises:
        CheckpointError: None; towers of other libraries are named.
    """
    known = set(names)
    if any(name.startswith("visual.trunk.") for name in known):
        raise CheckpointError("the image tower is a timm model (visual.trunk ...): only CLIP's own loads")
    if any(name.startswith("vision_model.") for name in known):
        return HUGGING_FACE
    if any(name.startswith("visual.") for name in known):
        is_nested = any(name.startswith("text.") for name in known)
        if any(name.startswith(_RESNET_NAMES) for name in known):
            return OPEN_CLIP_NESTED_RESNET if is_nested else OPENAI_RESNET
        return OPEN_CLIP_NESTED if is_nested else OPENAI
    some = ", ".join(sorted(known)[:3])
    raise CheckpointError(f"no CLIP: expected tensors named visual.* or vision_model.*, found {some} ...")


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _transposed(tensor: Tensor) -> Tensor:
    return tensor.t()


def _first_third(packed: Tensor) -> Tensor:
    return packed[: packed.shape[0] // 3]


def _last_two_thirds(packed: Tensor) -> Tensor:
    return packed[packed.shape[0] // 3 :]


def _stacked(*parts: Tensor) -> Tensor:
    return torch.cat(parts)


def _pairs(names: Mapping[str, str]) -> dict[str, Recipe]:
    """Recipes of weight and bias of layers that only have another name."""
    return {
        f"{ours}.{kind}": Recipe((f"{theirs}.{kind}",), _same)
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }


def _renamed(names: Mapping[str, str]) -> dict[str, Recipe]:
    return {ours: Recipe((theirs,), _same) for ours, theirs in names.items()}


def _openai_outside(text: str) -> dict[str, Recipe]:
    """OpenAI's names outside the blocks; `text` stands before those of the text tower."""
    return {
        **_renamed(
            {
                "logit_scale": "logit_scale",
                "visual.stem.projection.weight": "visual.conv1.weight",
                "visual.class_embedding": "visual.class_embedding",
                "visual.positional_embedding": "visual.positional_embedding",
                "text.token_embedding.weight": f"{text}token_embedding.weight",
                "text.positional_embedding": f"{text}positional_embedding",
            }
        ),
        **_pairs(
            {
                "visual.ln_pre": "visual.ln_pre",
                "visual.ln_post": "visual.ln_post",
                "text.ln_final": f"{text}ln_final",
            }
        ),
        "visual.projection.weight": Recipe(("visual.proj",), _transposed),
        "text.projection.weight": Recipe((f"{text}text_projection",), _transposed),
    }


def _openai_block() -> dict[str, Recipe]:
    names = {"ln_1": "ln_1", "ln_2": "ln_2", "attn.out": "attn.out_proj"}
    recipes = _pairs({**names, "mlp.expand": "mlp.c_fc", "mlp.contract": "mlp.c_proj"})
    for kind in ("weight", "bias"):
        recipes[f"attn.query.{kind}"] = Recipe((f"attn.in_proj_{kind}",), _first_third)
        recipes[f"attn.key_value.{kind}"] = Recipe((f"attn.in_proj_{kind}",), _last_two_thirds)
    return recipes


def _hugging_face_block() -> dict[str, Recipe]:
    norms = {"ln_1": "layer_norm1", "ln_2": "layer_norm2"}
    mlp = {"mlp.expand": "mlp.fc1", "mlp.contract": "mlp.fc2"}
    attention = {"attn.query": "self_attn.q_proj", "attn.out": "self_attn.out_proj"}
    recipes = _pairs({**norms, **mlp, **attention})
    for kind in ("weight", "bias"):
        sources = (f"self_attn.k_proj.{kind}", f"self_attn.v_proj.{kind}")
        recipes[f"attn.key_value.{kind}"] = Recipe(sources, _stacked)
    return recipes


_NO_WEIGHTS = re.compile(r"(.*\.)?attn_mask|input_resolution|context_length|vocab_size")

OPENAI = Layout(
    title="OpenAI",
    outside=_openai_outside(""),
    block=_openai_block(),
    roots={"visual": "visual.transformer.resblocks.", "text": "transformer.resblocks."},
    text_names=("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection"),
    harmless=_NO_WEIGHTS,
)
"""OpenAI's names, which open_clip keeps."""

OPEN_CLIP_NESTED = Layout(
    title="open_clip",
    outside=_openai_outside("text."),
    block=_openai_block(),
    roots={"visual": "visual.transformer.resblocks.", "text": "text.transformer.resblocks."},
    text_names=("text.",),
    harmless=_NO_WEIGHTS,
)
"""open_clip's models with the text tower under `text.`."""

HUGGING_FACE = Layout(
    title="Hugging Face",
    outside={
        **_renamed(
            {
                "logit_scale": "logit_scale",
                "visual.stem.projection.weight": "vision_model.embeddings.patch_embedding.weight",
                "visual.class_embedding": "vision_model.embeddings.class_embedding",
                "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
                "visual.projection.weight": "visual_projection.weight",
                "text.token_embedding.weight": "text_model.embeddings.token_embedding.weight",
                "text.positional_embedding": "text_model.embeddings.position_embedding.weight",
                "text.projection.weight": "text_projection.weight",
            }
        ),
        **_pairs(
            {
                "visual.ln_pre": "vision_model.pre_layrnorm",
                "visual.ln_post": "vision_model.post_layernorm",
                "text.ln_final": "text_model.final_layer_norm",
            }
        ),
    },
    block=_hugging_face_block(),
    roots={"visual": "vision_model.encoder.layers.", "text": "text_model.encoder.layers."},
    text_names=("text_model.", "text_projection."),
    harmless=re.compile(r"(vision|text)_model\.embeddings\.position_ids"),
)
"""The names of transformers' CLIPModel."""


class _ResNetLayout(Layout):
    """Files whose image tower is a ResNet: its names are ours, but for the stem."""

    def recipe(self, ours: str) -> Recipe:
        if ours.startswith("visual."):
            return Recipe((ours.replace("visual.stem.", "visual."),), _same)
        return super().recipe(ours)


def _with_resnet(layout: Layout) -> Layout:
    """The layout of the same maker's files with a ResNet."""
    return _ResNetLayout(
        title=f"{layout.title} with a ResNet",
        outside=layout.outside,
        block=layout.block,
        roots={**_RESNET_ROOTS, "text": layout.roots["text"]},
        text_names=layout.text_names,
        harmless=layout.harmless,
    )


OPENAI_RESNET = _with_resnet(OPENAI)
"""OpenAI's names, which open_clip keeps, of a CLIP with a ResNet."""

OPEN_CLIP_NESTED_RESNET = _with_resnet(OPEN_CLIP_NESTED)
"""open_clip's models with a ResNet and the text tower under `text.`."""


class _OwnLayout(Layout):
    """Files of this package: the names are ours."""

    def recipe(self, ours: str) -> Recipe:
        return Recipe((ours,), _same)


OWN = _OwnLayout(
    title="this package",
    outside={},
    block={},
    roots={"visual": "visual.blocks.", "text": "text.blocks."},
    text_names=("text.",),
    harmless=re.compile("(?!)"),
)
"""The names of `save_clip`."""
