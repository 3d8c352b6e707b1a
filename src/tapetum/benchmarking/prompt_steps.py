"""CLIP4VI-ReID's first stage, where prompts learn against frozen towers; and with its savings undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tapetum.methods import create_method
from tapetum.methods._base import StageContext
from tapetum.methods._clip4vi_network import SHARED
from tapetum.methods._clip4vi_prompt_stage import TsgStage
from tapetum.methods.clip4vi_reid import Clip4ViReid
from tapetum.models.streams import segments_of
from tapetum.types import Batch, Modality

IDENTITIES, IMAGES = 395, 22_258
"""Of the training part of SYSU-MM01: people, visible images."""

_CAMERAS = 6
_RATE = 3e-4


@dataclass(slots=True)
class PromptSteps:
    """The method in its first stage, with what its variants share.

    Attributes:
        method: Its prompts learn.
        stage: The first one, its features cached.
        clips: Images of one batch, normalised.
        optimiser: Of the prompts.
    """

    method: Clip4ViReid
    stage: TsgStage
    clips: Tensor
    optimiser: torch.optim.Optimizer

    def step(self) -> None:
        """The stage's own step."""
        none = torch.empty(0, dtype=torch.long)
        losses = self.stage.step(Batch(torch.empty(0), none, none, none, seed=1))
        self._update(self.stage.total(losses))

    def step_with(self, encode: Callable[[Tensor], Tensor]) -> None:
        """The stage's step with texts `[N, D]` that `encode` makes of labels `[N]`."""
        network = self.method.network
        real = network.texts_of

        def texts_of(wanted: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
            return {name: encode(labels) for name, labels in wanted.items() if labels is not None}

        network.texts_of = texts_of  # type: ignore[method-assign]
        try:
            self.step()
        finally:
            network.texts_of = real  # type: ignore[method-assign]

    def whole_prompts(self, labels: Tensor) -> Tensor:
        """Texts where each prompt runs its words before the gap too, up to the end token."""
        text, prompts = self._parts()
        found: Tensor = text.encode_embeddings(*prompts(labels))
        return found

    def all_positions(self, labels: Tensor) -> Tensor:
        """Texts where padding is run too, and every token in the last block."""
        text, prompts = self._parts()
        tokens, end = prompts(labels)
        rest = text.config.context_length - tokens.shape[1]
        padding = text.token_embedding.weight[:1].expand(len(labels), rest, -1)
        ends = torch.full((len(labels),), end)
        found: Tensor = text.encode_embeddings(torch.cat([tokens, padding], 1), ends)
        return found

    def encode_images(self) -> None:
        """What a step without a cache does first."""
        segments = segments_of([Modality.VISIBLE] * len(self.clips))
        with self.method.network.evaluating():
            self.method.network.encode_clips(self.clips, segments)

    def _parts(self) -> tuple[Any, Any]:
        network = self.method.network
        return network.text, network.prompts[SHARED]

    def _update(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.optimiser.zero_grad()


def make_prompt_steps(
    preset: str, settings: Mapping[str, Any], *, identities: int = IDENTITIES, images: int = IMAGES
) -> PromptSteps:
    """The method with random weights, and features of images that are drawn, which changes no time.

    Args:
        preset: Of the method.
        settings: Further ones.
        identities: People.
        images: In the cache.
    """
    torch.manual_seed(0)
    method = create_method(
        "clip4vi-reid",
        num_identities=identities,
        num_cameras=_CAMERAS,
        preset=preset,
        **{"weights": "none", **settings},
    )
    assert isinstance(method, Clip4ViReid)
    stage = next(stage for stage in method.stages() if isinstance(stage, TsgStage))
    parameters = [p for group in stage.parameter_groups() for p in group.parameters]
    method.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    method.train()
    stage.before_stage(StageContext(state=_made_up_features(method, identities, images)))
    size = method.preprocessing
    clips = torch.randn(method.config.tsg.batch_size, 1, 3, size.height, size.width)
    return PromptSteps(method, stage, clips, torch.optim.Adam(parameters, lr=_RATE))


def _made_up_features(method: Clip4ViReid, identities: int, images: int) -> dict[str, Tensor]:
    """A cache as a pass over the training set leaves it."""
    labels = torch.arange(images) % identities
    return {
        "learnt_features": torch.randn(images, method.network.dims["f"]),
        "learnt_labels": labels,
        "learnt_infrared": torch.zeros_like(labels, dtype=torch.bool),
    }
