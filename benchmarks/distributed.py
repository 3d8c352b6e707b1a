"""Steps a second of several processes of one thread against one process of one thread, on the same batches.

    python benchmarks/distributed.py x-reid --preset tiny --processes 2 --steps 20 --rounds 3

The batch is the same in both: P people, of which each of several processes takes its share. Batches are
random numbers made before the clock starts. Both arrangements are run in turn; medians count.
Needs as many free cores as there are processes: close everything else first.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from statistics import median

import torch

from tapetum import processes
from tapetum.benchmarking.steps import find_stage, make_batches
from tapetum.config import build_config, parse_overrides
from tapetum.methods import create_method
from tapetum.training import TrainingConfig
from tapetum.training.devices import create_fabric
from tapetum.training.learner import Learner
from tapetum.training.optim import merge_groups, only_training
from tapetum.training.timing import StepTimer
from tapetum.types import Batch

IDENTITIES, CAMERAS = 100, 4
WARM_UP = 3


def main() -> None:
    args = parse_arguments()
    if args.work:
        work(args)
        return
    found: dict[int, list[float]] = {1: [], args.processes: []}
    for _, count in itertools.product(range(args.rounds), found):
        found[count].append(seconds_of_a_step(count))
    one, many = (median(seconds) for seconds in found.values())
    print(f"{args.method}, preset {args.preset}, one thread a process, medians of {args.rounds} rounds")
    print(f"  1 process    {1000 * one:9.1f} ms a step  {1 / one:8.2f} steps/s")
    print(f"  {args.processes} processes  {1000 * many:9.1f} ms a step  {1 / many:8.2f} steps/s")
    share = one / many / args.processes
    print(f"  {one / many:.2f} times the steps; {share:.0%} of what the processes could give")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--stage", help="name of a stage that reads frames; the first if not given")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=VALUE")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def seconds_of_a_step(count: int) -> float:
    """Seconds of a step of `count` processes together, of one thread each."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    workers = [
        subprocess.Popen(
            [sys.executable, *sys.argv, "--work", "--processes", str(count)],
            env={**os.environ, **meeting, "OMP_NUM_THREADS": "1", "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
        )
        for rank in range(count)
    ]
    said = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit(f"a process of {count} failed")
    seconds: float = json.loads(said[0].splitlines()[-1])
    return seconds


def work(args: argparse.Namespace) -> None:
    """In one process: make steps, and say how long one takes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = {"device": "cpu", "devices": args.processes, "timeout_s": 120}
    fabric = create_fabric(build_config(TrainingConfig, settings))
    overrides = {"weights": "none", **parse_overrides(args.set)}
    method = create_method(
        args.method, num_identities=IDENTITIES, num_cameras=CAMERAS, preset=args.preset, **overrides
    )
    stage = find_stage(method, args.stage)
    groups = merge_groups(stage.parameter_groups(), stage.name)
    with only_training(method, [p for g in groups for p in g.parameters]):
        method.train()
        learner = Learner(fabric, method, stage, groups, WARM_UP + args.steps)
        batches = itertools.cycle([share_of(batch) for batch in make_batches(stage, method)])
        began = 0.0
        for number in range(WARM_UP + args.steps):
            if number == WARM_UP:
                fabric.barrier()
                began = time.perf_counter()
            learner.step(next(batches), number, StepTimer(), with_norm=False)
        fabric.barrier()
        print(json.dumps((time.perf_counter() - began) / args.steps))


def share_of(batch: Batch) -> Batch:
    """This process's rows of the batch of all: whole people, of each part."""
    rows = torch.arange(len(batch.labels)).view(batch.parts, processes.count(), -1)
    own = rows[:, processes.rank()].flatten()
    cut = {name: getattr(batch, name)[own] for name in ("clips", "labels", "infrared", "cameras")}
    return replace(batch, **cut, views=batch.views // processes.count())


if __name__ == "__main__":
    main()
