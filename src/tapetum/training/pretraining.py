"""A stand-in for CLIP's weights: a tiny CLIP trained on visible synthetic walkers and captions of them.

Every method here fine-tunes a pretrained CLIP, and CLIP's own weights cannot be shipped. The stand-in plays
their part at a size that a laptop can train: two towers and a joint space, learnt by the symmetric
contrastive loss of Radford et al. (ICML 2021) from pictures and sentences. It sees visible frames only; the
gap to infrared is left to the methods, as CLIP leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from tapetum.config import Config
from tapetum.data.synthetic import VOCABULARY
from tapetum.data.synthetic.crowd import Crowd, CrowdOptions
from tapetum.errors import CheckpointError
from tapetum.files import replace_tensors
from tapetum.methods._checkpoint import read_tensors
from tapetum.models import Clip, TextConfig, VisionConfig, WordTokenizer, create_clip
from tapetum.training.optim import load_optimizer_tensors, optimizer_tensors
from tapetum.types import Preprocessing

_PAD = 4
_LARGEST_SCALE = math.log(100)
_MODEL, _OPTIMISER = "model:", "optimiser:"
_LUMINANCE = (0.299, 0.587, 0.114)


class PretrainConfig(Config):
    """What the stand-in is and how it is trained."""

    seed: int = Field(0, ge=0)
    identities: int = Field(20_000, ge=2, description="people in the training crowd")
    views: int = Field(3, ge=1, description="visible frames of each, from different cameras")
    captions: int = Field(6, ge=1, description="sentences about each")
    unseen: int = Field(400, ge=2, description="people kept for the zero-shot figures")
    epochs: int = Field(14, ge=1, description="passes over all frames")
    batch: int = Field(128, ge=2, description="people in a batch, one frame and one sentence each")
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup_steps: int = Field(300, ge=0)
    grey: float = Field(
        0.3, ge=0, le=1, description="share of frames shown in grey, as in any crawl of pictures"
    )
    precision: Literal["32", "bf16"] = "bf16"
    height: int = 96
    width: int = 48
    vision_width: int = 192
    vision_layers: int = 5
    patch: int = 16
    stem_channels: tuple[int, ...] = (32, 64, 96, 160)
    stem_depth: int = 1
    text_width: int = 128
    text_layers: int = 3
    context_length: int = 40
    joint: int = Field(128, description="length of the joint embedding")

    def crowd(self, *, unseen: bool) -> CrowdOptions:
        """The training crowd, or the people of the zero-shot figures."""
        people = self.unseen if unseen else self.identities
        size = (self.height, self.width)
        return CrowdOptions(people, self.views, self.captions, size, self.seed, unseen)

    def vision(self) -> VisionConfig:
        """Shape of the image tower."""
        return VisionConfig(
            width=self.vision_width,
            layers=self.vision_layers,
            heads=self.vision_width // 64,
            patch_size=self.patch,
            image_size=(self.height, self.width),
            output_dim=self.joint,
            activation="gelu",
            stem="conv",
            stem_channels=self.stem_channels,
            stem_depth=self.stem_depth,
        )

    def text(self) -> TextConfig:
        """Shape of the text tower."""
        return TextConfig(
            vocab_size=WordTokenizer(VOCABULARY).vocab_size,
            context_length=self.context_length,
            width=self.text_width,
            layers=self.text_layers,
            heads=self.text_width // 64,
            output_dim=self.joint,
            activation="gelu",
        )


@dataclass(slots=True)
class Pretraining:
    """A tiny CLIP on its way.

    Attributes:
        config: Batch, rates, length.
        model: Changed in place.
        optimiser: Of all its parameters.
        epochs: Passes already made.
    """

    config: PretrainConfig
    model: Clip
    optimiser: torch.optim.Optimizer
    epochs: int = 0

    @classmethod
    def start(cls, config: PretrainConfig, device: torch.device) -> Pretraining:
        """Random weights drawn from the configured seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = create_clip(config.vision(), config.text(), warn=False).to(device)
        groups = _groups(model, config.weight_decay)
        return cls(config, model, torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98)))

    def save(self, path: Path) -> None:
        """Write everything that going on needs, whole or not at all."""
        model = {f"{_MODEL}{name}": tensor for name, tensor in self.model.state_dict().items()}
        states = optimizer_tensors(self.optimiser, self._names())
        optimiser = {f"{_OPTIMISER}{name}": tensor for name, tensor in states.items()}
        header = {"epochs": str(self.epochs), "config": self.config.model_dump_json()}
        replace_tensors(path, {**model, **optimiser}, header)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            CheckpointError: The file is damaged, or was written under another configuration.
        """
        tensors, header = read_tensors(path)
        if header.get("config") != self.config.model_dump_json():
            raise CheckpointError(f"{path}: of another configuration: {header.get('config')}")
        self.model.load_state_dict(_under(tensors, _MODEL))
        load_optimizer_tensors(self.optimiser, _under(tensors, _OPTIMISER), self._names())
        self.epochs = int(header["epochs"])

    def _names(self) -> dict[Tensor, str]:
        return {parameter: name for name, parameter in self.model.named_parameters()}

    def epoch(self, crowd: Crowd, on_step: Callable[[int, Tensor], None]) -> None:
        """Make one pass over `crowd`.

        Args:
            crowd: The training crowd.
            on_step: Called after each step with the steps done in all and the loss, a scalar.
        """
        self.model.train()
        steps = steps_per_epoch(self.config)
        for number, (images, sentences) in enumerate(_batches(crowd, self.config, self.epochs)):
            step = self.epochs * steps + number
            factor = _rate(step, steps * self.config.epochs, self.config.warmup_steps)
            for group in self.optimiser.param_groups:
                group["lr"] = self.config.lr * factor
            on_step(step + 1, self.step(images, sentences))
        self.epochs += 1

    def step(self, images: Tensor, sentences: Tensor) -> Tensor:
        """Loss, a scalar, of one update on frames uint8 `[B, 3, H, W]` and token ids `[B, L]`."""
        device = self.model.logit_scale.device
        scale = Preprocessing(self.config.height, self.config.width, 1)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            image = self.model.encode_image(scale.normalise(images.to(device)))
            text = self.model.encode_text(sentences.to(device))
        loss = contrastive_loss(image, text, self.model.logit_scale)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=_LARGEST_SCALE)
        return loss.detach()


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def contrastive_loss(image: Tensor, text: Tensor, logit_scale: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy over cosine similarities, float32 scalar.

    Args:
        image: `[N, d]`, row i belongs to row i of `text`.
        text: `[N, d]`.
        logit_scale: Logarithm of the factor on similarities, scalar.

    >>> same = torch.eye(2)
    >>> round(float(contrastive_loss(same, same, torch.tensor(0.0))), 4)  # log(1 + exp(-1))
    0.3133
    """
    image, text = F.normalize(image.float(), dim=1), F.normalize(text.float(), dim=1)
    logits = logit_scale.float().exp() * image @ text.T
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def steps_per_epoch(config: PretrainConfig) -> int:
    """Batches in a pass over all frames."""
    return config.views * (config.identities // config.batch)


def _rate(step: int, total: int, warmup: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _groups(model: Clip, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay on matrices only, as CLIP does."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _batches(crowd: Crowd, config: PretrainConfig, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames uint8 `[B, 3, H, W]` and sentences `[B, L]` of B different people; all frames once an epoch."""
    tokenizer = WordTokenizer(VOCABULARY)
    rng = np.random.default_rng((config.seed, epoch))
    views = np.argsort(rng.random((config.identities, config.views)), axis=1)
    for turn in range(config.views):
        order = rng.permutation(config.identities)
        for first in range(0, config.identities - config.batch + 1, config.batch):
            people = order[first : first + config.batch]
            sentence = rng.integers(0, config.captions, size=len(people))
            frames = torch.from_numpy(crowd.visible[people, views[people, turn]])
            texts = [crowd.captions[i][j] for i, j in zip(people, sentence, strict=True)]
            yield _augment(frames, config, rng), tokenizer.encode(texts, config.context_length)


def _augment(frames: Tensor, config: PretrainConfig, rng: np.random.Generator) -> Tensor:
    """Flip half of the frames, shift all by up to four pixels, show some in grey."""
    flip = torch.from_numpy(rng.random(len(frames)) < 0.5).view(-1, 1, 1, 1)
    frames = torch.where(flip, frames.flip(-1), frames)
    padded = F.pad(frames, (_PAD,) * 4)
    top, left = (torch.from_numpy(rng.integers(0, 2 * _PAD + 1, len(frames))) for _ in range(2))
    rows = top[:, None] + torch.arange(config.height)
    columns = left[:, None] + torch.arange(config.width)
    index = torch.arange(len(frames))[:, None, None]
    frames = padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
    grey = torch.from_numpy(rng.random(len(frames)) < config.grey).view(-1, 1, 1, 1)
    luminance = (frames.float() * torch.tensor(_LUMINANCE).view(3, 1, 1)).sum(1, keepdim=True)
    return torch.where(grey, luminance.to(torch.uint8), frames)


@torch.inference_mode()
def zero_shot(model: Clip, crowd: Crowd, config: PretrainConfig) -> dict[str, dict[str, float]]:
    """Caption-to-image retrieval on unseen people, per modality: rank-1, rank-5 and what chance gives.

    Args:
        model: Put into evaluation mode.
        crowd: Unseen people, one frame of each (view 0) and their full captions.
        config: Frame size.
    """
    model.eval()
    device = next(model.parameters()).device
    scale = Preprocessing(config.height, config.width, 1)
    full = WordTokenizer(VOCABULARY).encode([texts[0] for texts in crowd.captions], config.context_length)
    text = F.normalize(model.encode_text(full.to(device)).float(), dim=1)
    result = {}
    for name, frames in (("visible", crowd.visible), ("infrared", crowd.infrared)):
        chunks = torch.split(torch.from_numpy(frames[:, 0]), config.batch)
        image = torch.cat([model.encode_image(scale.normalise(c.to(device))).float() for c in chunks])
        similarity = text @ F.normalize(image, dim=1).T
        better = (similarity > similarity.diagonal()[:, None]).sum(1)
        count = len(similarity)
        result[name] = {
            "rank1": float((better < 1).float().mean()),
            "rank5": float((better < 5).float().mean()),
            "chance_rank1": 1 / count,
            "people": float(count),
        }
    return result
