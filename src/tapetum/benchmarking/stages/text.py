"""A step of prompt learning, against the same step that runs all positions of the text tower."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tapetum.benchmarking.config import BenchConfig
from tapetum.benchmarking.layers import layer_cases, limit_of
from tapetum.benchmarking.measuring import Case, take_turns
from tapetum.benchmarking.prompt_steps import make_prompt_steps
from tapetum.benchmarking.rows import Row, time_row
from tapetum.benchmarking.stages._registry import Part
from tapetum.comparison.costs import count_flops
from tapetum.models.backbones.linear import onednn_products

HERE, WHOLE, ALL = "step", "words before the gap for each prompt", "all positions of the text tower"


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    return {f"{config.text.batch} prompts": partial(measure_text, config)}


def measure_text(config: BenchConfig) -> list[Row]:
    """Seconds of a step on the processor, in float32, images cached; losses are equal in all ways."""
    sizes = config.text
    settings = {"tsg.batch_size": sizes.batch, **sizes.set}
    images = max(sizes.identities, 2 * sizes.batch)
    made = make_prompt_steps(sizes.preset, settings, identities=sizes.identities, images=images)
    with onednn_products(()):
        flops = count_flops(made.step, with_gradients=True)
    cases = {
        **layer_cases("cpu", config.layer, "float32"),
        HERE: Case(made.step),
        WHOLE: Case(partial(made.step_with, made.whole_prompts)),
        ALL: Case(partial(made.step_with, made.all_positions)),
    }
    timings = take_turns(cases, config.rounds)
    limit = limit_of(timings, "float32", config.layer, flops, "cpu")
    usual, facts = timings[ALL], {"prompts": sizes.batch, "TFLOP": flops / 1e12}
    return [
        time_row(timings[HERE], limit, unit="s a step", usual=usual, facts=facts),
        time_row(timings[WHOLE], limit, unit="s a step", usual=usual),
        time_row(usual, limit, unit="s a step"),
    ]
