"""A training step of each method at its paper's size, against a linear layer timed in turn with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tapetum.benchmarking.config import BenchConfig, Precision, TrainingSizes
from tapetum.benchmarking.host_waits import HostWaits
from tapetum.benchmarking.layers import layer_cases, limit_of
from tapetum.benchmarking.measuring import Case, Timing, forget_peak, memory_mib, take_turns, waiting_for
from tapetum.benchmarking.rows import Row, time_row
from tapetum.benchmarking.stages._registry import Part
from tapetum.benchmarking.steps import Stepper, most_identities, stepper
from tapetum.methods._base import method_config
from tapetum.training.timing import COMPUTE

_STEP = "step"


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    return {
        f"{method}, {precision}": partial(measure_step, config, method, precision)
        for method in config.training.methods
        for precision in config.training.precisions
    }


def measure_step(config: BenchConfig, method: str, precision: Precision) -> list[Row]:
    """Seconds of a step, beside those that its operations take at the rate of one layer.

    On CUDA the ratio is the use of the measured peak of that number type ("MFU").
    """
    sizes = config.training
    overrides = {**small_batch(method, sizes), **sizes.set}
    with stepper(
        method,
        preset=sizes.preset,
        stage=sizes.stages.get(method),
        device=config.device,
        precision=precision,
        overrides=overrides,
    ) as made:
        with HostWaits() as waits:
            flops = made.flops()  # makes a step, so all is warm
        cases = {**layer_cases(config.kind, config.layer, precision), _STEP: Case(made.step)}
        _forget(made.device)
        made.timer.read()
        timings = take_turns(cases, config.rounds, warm_up=0, wait=waiting_for(config.device))
        phases, peak = made.timer.read(), _peak_mib(made.device)
        limit = limit_of(timings, precision, config.layer, flops, config.kind)
        facts = {**describe(made, flops, timings[_STEP], phases), "waits of the host": len(waits.found)}
        if sizes.largest_batch and made.device.type == "cuda":
            facts["people of the largest batch"] = most_identities(made)
    return [time_row(timings[_STEP], limit, unit="s a step", memory_mib=peak, facts=facts)]


def small_batch(method: str, sizes: TrainingSizes) -> dict[str, Any]:
    """Settings that cut a method's batch down to these sizes, where it is larger."""
    own = method_config(method, sizes.preset, {"weights": "none", **sizes.set}).model_dump()
    batches = own.get("batches", {})
    cut = {
        "batches.identities": (batches.get("identities", 1), sizes.identities),
        "batches.tracklets": (batches.get("tracklets", 1), sizes.tracklets),
        "frames": (own["frames"], sizes.frames),
    }
    return {key: most for key, (has, most) in cut.items() if most is not None and most < has}


def describe(
    made: Stepper, flops: float, timing: Timing, phases: Mapping[str, float]
) -> dict[str, float | str]:
    """What a reader wants to know of a step besides its time."""
    clips, frames = made.batch.clips.shape[:2]
    compute = sum(phases[phase] for phase in COMPUTE) or 1.0
    return {
        "clips": clips,
        "frames of a clip": frames,
        "frames/s": clips * frames / timing.wall_s,
        "TFLOP": flops / 1e12,
        "GFLOP/s": flops / 1e9 / timing.wall_s,
        **{f"{phase} %": 100 * phases[phase] / compute for phase in COMPUTE},
        "by oneDNN": ", ".join(made.products) or "nothing",
    }


def _forget(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        forget_peak()


def _peak_mib(device: torch.device) -> float:
    """The highest memory since `_forget`: of the device, or of the process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    return memory_mib(highest=True)
