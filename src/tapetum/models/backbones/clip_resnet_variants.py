"""What a method may change in the shape of a ResNet image tower whose weights are given."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from tapetum.models.backbones.clip_resnet import (
    STREAMS,
    ClipResNet,
    ClipResNetConfig,
    LastStride,
    StemRelus,
    Stems,
)
from tapetum.models.backbones.positions import ResizeMode, check_resize_mode, resize_grid


class ResNetVariant(TypedDict, total=False):
    """Fields of `ClipResNetConfig` that do not follow from weights; what is left out stays as it is."""

    last_stride: LastStride
    stems: Stems
    stem_relus: StemRelus


def vary(
    tower: ClipResNet,
    *,
    image_size: tuple[int, int] | None = None,
    resize: ResizeMode = "bilinear",
    **variant: Unpack[ResNetVariant],
) -> ClipResNet:
    """A tower with the same weights and another size of frames, last stride, or more stems.

    Positions are interpolated once, from the tower's grid to the new one. Two stems are copies of the one.
    All other tensors are those of `tower`, which is not to be used any longer.

    Args:
        tower: Where the weights come from.
        image_size: (height, width) of the frames; None: as they are.
        resize: How positions are interpolated.
        **variant: Fields of the configuration to change.

    Raises:
        ValueError: One stem is asked of a tower with two, frames are too small, or `resize` is unknown.
    """
    check_resize_mode(resize)
    config = replace(tower.config, image_size=image_size or tower.config.image_size, **variant)
    if config.stems < tower.config.stems:
        raise ValueError("stems = 1: these weights have a stem for each modality, which cannot become one")
    with torch.device("meta"):
        made = ClipResNet(config)
    made.load_state_dict(_fitted(tower, config, resize), assign=True)
    made.gradient_checkpointing = tower.gradient_checkpointing
    return made.train(tower.training)


def _fitted(tower: ClipResNet, config: ClipResNetConfig, resize: ResizeMode) -> dict[str, Tensor]:
    """The tensors of `tower` under the names, and of the sizes, that a tower of `config` has."""
    state: dict[str, Tensor] = {}
    for name, tensor in tower.state_dict().items():
        if name == "attnpool.positional_embedding" and tower.grid != config.grid:
            state[name] = resize_grid(tensor, tower.grid, config.grid, resize)
        elif name.startswith("stem.") and config.stems > tower.config.stems:
            part = name.removeprefix("stem.")
            state.update({f"stem.stems.{stream}.{part}": tensor.clone() for stream in STREAMS})
        else:
            state[name] = tensor
    return state
