"""Where the time of a training step goes: shares of the phases, and the operators that cost most.

    python benchmarks/training_step.py lsmrl --preset tiny --steps 20 --threads 1

Batches are random numbers of the stage's own shape, made before the clock starts, so the data share is that
of a loader that is never late. Close everything else first: on a busy machine the figures mean nothing.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from tapetum.config import build_config, parse_overrides
from tapetum.methods import Method, Stage, create_method
from tapetum.training import TrainingConfig
from tapetum.training.devices import create_fabric
from tapetum.training.learner import Learner
from tapetum.training.optim import merge_groups, only_training
from tapetum.training.timing import COMPUTE, PHASES, StepTimer, create_timer
from tapetum.types import Batch

WARM_UP = 3
PREPARED = 4
TOP = 15
IDENTITIES, CAMERAS = 500, 12


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    config = build_config(TrainingConfig, {"device": args.device, "precision": args.precision})
    fabric = create_fabric(config)
    method = create_method(
        args.method,
        num_identities=IDENTITIES,
        num_cameras=CAMERAS,
        preset=args.preset,
        **parse_overrides(args.set),
    ).to(fabric.device)
    stage = next(s for s in method.stages() if s.reads_frames)
    groups = merge_groups(stage.parameter_groups(), stage.name)
    with only_training(method, [p for g in groups for p in g.parameters]):
        method.train()
        learner = Learner(fabric, method, stage, groups, WARM_UP + 2 * args.steps)
        batches = itertools.cycle(make_batches(stage, method))
        step(learner, batches, 0, WARM_UP, StepTimer())
        timer = create_timer(fabric.device)
        step(learner, batches, WARM_UP, args.steps, timer)
        report_phases(timer.read(), args.steps, next(batches))
        report_operators(learner, batches, WARM_UP + args.steps, args.steps)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=VALUE")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    return parser.parse_args()


def make_batches(stage: Stage, method: Method) -> list[Batch]:
    """A few batches of the stage's shape: visible rows, then infrared rows of the same people."""
    size = method.preprocessing
    half = stage.batches.identities * stage.batches.tracklets
    labels = torch.arange(stage.batches.identities).repeat_interleave(stage.batches.tracklets).repeat(2)
    shape = (2 * half, size.frames, 3, size.height, size.width)
    return [
        Batch(
            torch.randint(0, 256, shape, dtype=torch.uint8),
            labels,
            torch.arange(2 * half) >= half,
            torch.zeros_like(labels),
            seed,
        )
        for seed in range(PREPARED)
    ]


def step(learner: Learner, batches: Iterator[Batch], first: int, count: int, timer: StepTimer) -> None:
    for number in range(first, first + count):
        batch = next(batches)
        timer.mark("data")
        learner.step(batch, number, timer, with_norm=False)


def report_phases(seconds: dict[str, float], steps: int, batch: Batch) -> None:
    wall = seconds["wall"]
    clips, frames = batch.clips.shape[:2]
    print(f"{clips} clips of {frames} frames; {1000 * wall / steps:.1f} ms a step; ", end="")
    print(f"{steps * clips / wall:.1f} clips/s, {steps * clips * frames / wall:.1f} frames/s")
    for phase in (*PHASES, "other"):
        print(f"  {phase:<10} {1000 * seconds[phase] / steps:9.2f} ms {seconds[phase] / wall:7.1%}")
    print(f"  forward, backward and optimiser together: {sum(seconds[p] for p in COMPUTE) / wall:.1%}")


def report_operators(learner: Learner, batches: Iterator[Batch], first: int, steps: int) -> None:
    on_cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    profiler: Any
    with profile(activities=activities) as profiler:
        step(learner, batches, first, steps, StepTimer())
    order = "self_cuda_time_total" if on_cuda else "self_cpu_time_total"
    print(profiler.key_averages().table(sort_by=order, row_limit=TOP, max_name_column_width=48))


if __name__ == "__main__":
    main()
