"""A step of the pretraining of the stand-in for CLIP's weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from tapetum.benchmarking.config import BenchConfig, Precision
from tapetum.benchmarking.layers import layer_cases, limit_of
from tapetum.benchmarking.measuring import Case, take_turns, waiting_for
from tapetum.benchmarking.rows import Row, time_row
from tapetum.benchmarking.stages._registry import Part
from tapetum.comparison.costs import count_flops
from tapetum.config import build_config
from tapetum.training.pretraining import PretrainConfig, Pretraining

_WORDS = (10, 24)
"""Fewest and most tokens of a sentence, about as captions have them."""


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    return {precision: partial(measure_pretraining, config, precision) for precision in precisions}


def measure_pretraining(config: BenchConfig, precision: Precision) -> list[Row]:
    """Seconds of a step on pictures and sentences that are drawn at random."""
    settings = {"batch": config.pretraining.batch, "precision": "bf16" if precision == "bfloat16" else "32"}
    wanted = build_config(PretrainConfig, settings, config.pretraining.set)
    made = Pretraining.start(wanted, torch.device(config.device))
    generator = torch.Generator().manual_seed(0)
    shape = (wanted.batch, 3, wanted.height, wanted.width)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    sentences = draw_sentences(wanted, generator)
    made.model.train()
    flops = count_flops(lambda: made.step(images, sentences), with_gradients=True)
    cases = {
        **layer_cases(config.kind, config.layer, precision),
        "step": Case(lambda: made.step(images, sentences)),
    }
    timings = take_turns(cases, config.rounds, warm_up=0, wait=waiting_for(config.device))
    limit = limit_of(timings, precision, config.layer, flops, config.kind)
    facts = {
        "pairs": wanted.batch,
        "TFLOP": flops / 1e12,
        "GFLOP/s": flops / 1e9 / timings["step"].wall_s,
    }
    return [time_row(timings["step"], limit, unit="s a step", facts=facts)]


def draw_sentences(config: PretrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Token ids `[B, L]` of random words; the end token, which is the largest id, lies as in captions."""
    text = config.text()
    length = text.context_length
    ids = torch.randint(1, text.vocab_size - 1, (config.batch, length), generator=generator)
    ends = torch.randint(*_WORDS, (config.batch,), generator=generator).clamp(max=length - 1)
    return ids.scatter_(1, ends[:, None], text.vocab_size - 1)
