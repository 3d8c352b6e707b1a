"""Where the time of a training step goes: shares of the phases, and the operators that cost most.

    python benchmarks/training_step.py lsmrl --preset tiny --steps 20 --threads 1
    python benchmarks/training_step.py x-reid --set batches.identities=2 --set frames=4 --no-operators
    python benchmarks/training_step.py clip4vi-reid --stage hsa --steps 2 --no-operators

One case of `tapetum bench training`, looked into: any preset and setting, and the profiler's table. Batches
are random numbers of the stage's own shape, made before the clock starts, so the data share is that of a
loader that is never late. Close everything else first: on a busy machine the figures mean nothing, but for
seconds of processor time with one thread.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from tapetum.benchmarking import choose_config
from tapetum.benchmarking.layers import layer_cases, limit_of
from tapetum.benchmarking.measuring import Case, memory_mib, take_turns, waiting_for
from tapetum.benchmarking.steps import Stepper, stepper
from tapetum.config import parse_overrides
from tapetum.training.timing import COMPUTE, PHASES

TOP = 15


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    with stepper(
        args.method,
        preset=args.preset,
        stage=args.stage,
        device=args.device,
        precision=args.precision,
        linears=args.linears,
        overrides=parse_overrides(args.set),
    ) as made:
        report(made, args)
        if args.operators:
            report_operators(made, args.steps)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--stage", help="name of a stage that reads frames; the first if not given")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=VALUE")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--linears", default="auto", help="torch, onednn or auto")
    parser.add_argument("--operators", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def report(made: Stepper, args: argparse.Namespace) -> None:
    config = choose_config({}, device=args.device, threads=args.threads)
    flops = made.flops()
    made.timer.read()
    cases = {**layer_cases(config.kind, config.layer, args.precision), "step": Case(made.step)}
    timings = take_turns(cases, args.steps, warm_up=0, wait=waiting_for(args.device))
    phases, step = made.timer.read(), timings["step"]
    clips, frames = made.batch.clips.shape[:2]
    print(f"{clips} clips of {frames} frames; {1000 * step.wall_s:.1f} ms a step; ", end="")
    print(f"{clips / step.wall_s:.1f} clips/s, {clips * frames / step.wall_s:.1f} frames/s")
    counted = sum(phases[phase] for phase in PHASES)
    for phase in PHASES:
        print(f"  {phase:<10} {1000 * phases[phase] / args.steps:9.2f} ms {phases[phase] / counted:7.1%}")
    print(f"  forward, backward and optimiser: {sum(phases[p] for p in COMPUTE) / counted:.1%}")
    print(f"  by oneDNN: {', '.join(made.products) or 'nothing'}; {describe_memory(made.device)}")
    limit = limit_of(timings, args.precision, config.layer, flops, config.kind)
    print(f"  {flops / 1e12:.2f} TFLOP a step: {flops / 1e9 / step.wall_s:.0f} GFLOP/s", end="")
    print(f", {limit.wall_s / step.wall_s:.1%} of {limit.what}", end="")
    if limit.cpu_s is not None:
        print(f"; {step.cpu_s:.2f} s of processor, {limit.cpu_s / step.cpu_s:.1%}", end="")
    print()


def describe_memory(device: torch.device) -> str:
    """Peak memory so far, of the device or of the process."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the device at most"
    return f"the process took {memory_mib(highest=True) / 1024:.2f} GiB at most"


def report_operators(made: Stepper, steps: int) -> None:
    on_cuda = made.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    profiler: Any
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            made.step()
    order = "self_cuda_time_total" if on_cuda else "self_cpu_time_total"
    print(profiler.key_averages().table(sort_by=order, row_limit=TOP, max_name_column_width=48))


if __name__ == "__main__":
    main()
