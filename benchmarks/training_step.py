"""Where the time of a training step goes: shares of the phases, and the operators that cost most.

    python benchmarks/training_step.py lsmrl --preset tiny --steps 20 --threads 1
    python benchmarks/training_step.py x-reid --set batches.identities=2 --set frames=4 --no-operators
    python benchmarks/training_step.py clip4vi-reid --stage hsa --steps 2 --warm-up 1 --no-operators

Batches are random numbers of the stage's own shape, made before the clock starts, so the data share is that
of a loader that is never late. The step's rate counts its matrix products and is set against what a single
linear layer reaches on this machine, by each library. Close everything else first: on a busy machine the
figures mean nothing, but for seconds of processor time with one thread.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from tapetum.config import build_config, parse_overrides
from tapetum.methods import Method, Stage, create_method
from tapetum.models.backbones.linear import has_onednn, onednn_products
from tapetum.training import TrainingConfig
from tapetum.training.devices import choose_onednn_products, create_fabric
from tapetum.training.learner import Learner
from tapetum.training.optim import merge_groups, only_training
from tapetum.training.timing import COMPUTE, PHASES, StepTimer, create_timer
from tapetum.types import Batch

WARM_UP = 3
PREPARED = 4
TOP = 15
IDENTITIES, CAMERAS = 500, 12
LAYER = {"cpu": (5216, 768, 3072), "cuda": (16384, 4096, 4096)}
"""Rows, inputs and outputs of the linear layer that the machine is measured by."""


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    config = build_config(
        TrainingConfig, {"device": args.device, "precision": args.precision, "linears": args.linears}
    )
    fabric = create_fabric(config)
    method = create_method(
        args.method,
        num_identities=IDENTITIES,
        num_cameras=CAMERAS,
        preset=args.preset,
        **parse_overrides(args.set),
    ).to(fabric.device)
    stage = find_stage(method, args.stage)
    groups = merge_groups(stage.parameter_groups(), stage.name)
    products = choose_onednn_products(fabric, config)
    with only_training(method, [p for g in groups for p in g.parameters]):
        method.train()
        learner = Learner(fabric, method, stage, groups, args.warm_up + 2 * args.steps + 1)
        batches = itertools.cycle(make_batches(stage, method))
        with onednn_products(products):
            step(learner, batches, 0, args.warm_up, StepTimer())
            timer, began = create_timer(fabric.device), time.process_time()
            step(learner, batches, args.warm_up, args.steps, timer)
            seconds, cpu_s = timer.read(), time.process_time() - began
        report_phases(seconds, args.steps, next(batches))
        print(f"  by oneDNN: {', '.join(products) or 'nothing'}; {describe_memory(fabric.device)}")
        report_rate(learner, batches, seconds, cpu_s, args, fabric.device)
        if args.operators:
            report_operators(learner, batches, args.warm_up + args.steps, args.steps)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--stage", help="name of a stage that reads frames; the first if not given")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=VALUE")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--linears", default="auto", help="torch, onednn or auto")
    parser.add_argument("--warm-up", type=int, default=WARM_UP)
    parser.add_argument("--operators", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def find_stage(method: Method, name: str | None) -> Stage:
    stages = [s for s in method.stages() if s.reads_frames]
    found = [s for s in stages if name in (None, s.name)]
    if not found:
        raise SystemExit(f"no stage {name!r} that reads frames; known: {', '.join(s.name for s in stages)}")
    return found[0]


def make_batches(stage: Stage, method: Method) -> list[Batch]:
    """A few batches of the stage's shape: visible, infrared, exchanged views, of the same people."""
    size, wanted = method.preprocessing, stage.batches
    part = wanted.identities * wanted.tracklets
    sides = ["visible", "infrared"] if wanted.modality == "both" else [wanted.modality]
    views = part if stage.augment.exchanged_view and "visible" in sides else 0
    infrared = torch.tensor([side == "infrared" for side in sides] + [False] * (views > 0))
    labels = torch.arange(wanted.identities).repeat_interleave(wanted.tracklets).repeat(len(infrared))
    shape = (len(labels), size.frames, 3, size.height, size.width)
    return [
        Batch(
            torch.randint(0, 256, shape, dtype=torch.uint8),
            labels,
            infrared.repeat_interleave(part),
            torch.zeros_like(labels),
            seed,
            views,
            len(infrared),
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


def describe_memory(device: torch.device) -> str:
    """Peak memory so far, of the device or of the process."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the device at most"
    return f"the process took {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at most"


def report_rate(
    learner: Learner,
    batches: Iterator[Batch],
    seconds: dict[str, float],
    cpu_s: float,
    args: argparse.Namespace,
    device: torch.device,
) -> None:
    """The step's matrix products a second, beside those of one layer, by the clock and by processor time."""
    with onednn_products(()), FlopCounterMode(display=False) as counter:  # what oneDNN does is not counted
        step(learner, batches, args.warm_up + args.steps, 1, StepTimer())
    flops = counter.get_total_flops() / 1e9
    wall_s = sum(seconds[phase] for phase in COMPUTE) / args.steps
    print(f"  {flops / 1e3:.2f} TFLOP a step: {flops / wall_s:.0f} GFLOP/s", end="")
    print(f"; {args.steps * flops / cpu_s:.0f} a second of processor time, of which a step takes ", end="")
    print(f"{cpu_s / args.steps:.2f} s")
    for name, (layer_wall, layer_cpu) in measure_layer(device.type).items():
        by_clock, by_cpu = flops / wall_s / layer_wall, args.steps * flops / cpu_s / layer_cpu
        print(f"    one linear layer, {name:<16}{layer_wall:7.0f}{layer_cpu:7.0f} GFLOP/s;", end="")
        print(f" the step reaches {by_clock:6.1%}{by_cpu:7.1%}")


def measure_layer(kind: str) -> dict[str, tuple[float, float]]:
    """GFLOP/s of one linear layer, by the clock and by processor time, for each library and number type."""
    rows, inputs, outputs = LAYER.get(kind, LAYER["cpu"])
    x, weight = torch.randn(rows, inputs, device=kind), torch.randn(outputs, inputs, device=kind)
    ways: dict[str, Callable[[], object]] = {"float32": lambda: functional.linear(x, weight)}
    if kind == "cpu" and has_onednn():
        multiply = torch.ops.mkldnn._linear_pointwise
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        ways["float32, oneDNN"] = lambda: multiply(x, packed, None, "none", [], "")
    x16, weight16 = x.bfloat16(), weight.bfloat16()
    ways["bfloat16"] = lambda: functional.linear(x16, weight16)
    gflop = 2 * rows * inputs * outputs / 1e9
    timed = {name: best_of(run, kind) for name, run in ways.items()}
    return {name: (gflop / wall_s, gflop / cpu_s) for name, (wall_s, cpu_s) in timed.items()}


def best_of(run: Callable[[], object], kind: str, repeats: int = 5) -> tuple[float, float]:
    """Fewest seconds of a few runs, by the clock and of the processor."""
    wall_s = cpu_s = float("inf")
    for _ in range(repeats + 1):
        began, cpu_began = time.perf_counter(), time.process_time()
        run()
        if kind == "cuda":
            torch.cuda.synchronize()
        wall_s = min(wall_s, time.perf_counter() - began)
        cpu_s = min(cpu_s, time.process_time() - cpu_began)
    return wall_s, cpu_s


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
