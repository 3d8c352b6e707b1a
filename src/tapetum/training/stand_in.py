"""Make the stand-in for CLIP's weights: draw its crowd, train it, score it zero-shot, write its card."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from tapetum.config import to_yaml
from tapetum.data.synthetic import VOCABULARY
from tapetum.data.synthetic.crowd import draw_crowd
from tapetum.files import replace_text
from tapetum.models.backbones.clip_files import save_clip
from tapetum.models.standin import WORDS_NOTE
from tapetum.training.pretraining import PretrainConfig, Pretraining, steps_per_epoch, zero_shot

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class WeightCard:
    """What a pretraining run leaves.

    Attributes:
        weights: Both towers, float16.
        text: Data, recipe, seed, figures and the command that makes them again.
    """

    weights: Path
    text: Path


def run_pretraining(
    config: PretrainConfig,
    out: Path,
    *,
    device: str = "cpu",
    workers: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> WeightCard:
    """Draw the crowd, train, score zero-shot, and write weights and card into `out`.

    After each pass over the crowd `out/state.safetensors` holds everything that `resume` needs.

    Args:
        config: All settings.
        out: New folder, or with `resume` that of an interrupted run.
        device: Where to train.
        workers: Processes that draw people.
        resume: Go on from the state in `out`.
        progress: Called with people drawn, then with steps made, and their totals.
        note: Called with a line after each pass.

    Raises:
        FileExistsError: `out` holds something and `resume` is false.
        FileNotFoundError: `resume` is true and there is no state in `out`.
        CheckpointError: The state is of another configuration.
    """
    state = out / "state.safetensors"
    if resume and not state.is_file():
        raise FileNotFoundError(f"{state}: nothing to resume; run without --resume")
    if not resume and out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out}: not empty; give another folder, or --resume to go on")
    out.mkdir(parents=True, exist_ok=True)
    run = Pretraining.start(config, torch.device(device))
    if resume:
        run.load(state)
    crowd = draw_crowd(config.crowd(unseen=False), workers=workers, progress=progress)
    unseen = draw_crowd(config.crowd(unseen=True), workers=workers)
    total = steps_per_epoch(config) * config.epochs
    while run.epochs < config.epochs:
        losses: list[Tensor] = []

        def on_step(done: int, loss: Tensor, losses: list[Tensor] = losses) -> None:
            losses.append(loss)
            if progress is not None:
                progress(done, total)

        run.epoch(crowd, on_step)
        run.save(state)
        if note is not None:
            figures = zero_shot(run.model, unseen, config)
            note(f"pass {run.epochs}: loss {torch.stack(losses).mean():.3f}, {_sentence(figures)}")
    return _write_card(run, zero_shot(run.model, unseen, config), out)


def _sentence(figures: Mapping[str, Mapping[str, float]]) -> str:
    return "; ".join(
        f"{name} rank-1 {100 * f['rank1']:.1f} %, rank-5 {100 * f['rank5']:.1f} %"
        for name, f in figures.items()
    )


def _write_card(run: Pretraining, figures: Mapping[str, Mapping[str, float]], out: Path) -> WeightCard:
    weights, text = out / "tiny-clip.safetensors", out / "tiny-clip.md"
    save_clip(run.model, weights, notes={WORDS_NOTE: json.dumps(VOCABULARY)}, half=True)
    visual = sum(p.numel() for p in run.model.visual.parameters())
    whole = sum(p.numel() for p in run.model.parameters())
    rows = "\n".join(
        f"| {name} | {100 * f['rank1']:.1f} | {100 * f['rank5']:.1f} | {100 * f['chance_rank1']:.2f} |"
        for name, f in figures.items()
    )
    settings = to_yaml(run.config)
    template = resources.files(__package__).joinpath("stand_in_card.md").read_text(encoding="utf-8")
    replace_text(text, template.format(visual=visual / 1e6, whole=whole / 1e6, rows=rows, settings=settings))
    return WeightCard(weights, text)
