"""Frames a second of an exported model beside its run, and what it takes to start each.

    python benchmarks/onnx_encoding.py clip-baseline --clips 2 --threads 1

Random weights. Both encode the same uint8 clips, normalisation included, in turn; medians. Where several
programs share the machine, compare frames per second of processor. "start" is a new process that loads the
model, and with it what it needs: the run's torch, or onnxruntime; seconds of processor and of the clock.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import tapetum
from tapetum.benchmarking.measuring import Case, take_turns
from tapetum.clip_encoding import ClipEncoder
from tapetum.export import export_onnx
from tapetum.methods import create_method
from tapetum.methods._checkpoint import save_method
from tapetum.types import Modality

START = "import sys, tapetum; tapetum.load(sys.argv[1])"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", nargs="?", default="clip-baseline")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--clips", type=int, default=2, help="in a batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    method = create_method(args.method, num_identities=1, num_cameras=1, preset=args.preset)
    with tempfile.TemporaryDirectory() as folder:
        run, file = Path(folder) / "model.safetensors", Path(folder) / "model.onnx"
        save_method(method.eval(), run)
        began = time.process_time()
        found = export_onnx(tapetum.load(run), file, threads=args.threads)
        print(f"export and comparison: {time.process_time() - began:.1f} s of processor, ", end="")
        print(f"{file.stat().st_size / 2**20:.0f} MiB, least cosine {found.parity.min_cosine:.7f}")
        models = {"run, torch": tapetum.load(run), "ONNX": tapetum.load(file, threads=args.threads)}
        cases = {name: Case(encoding(model, args.clips)) for name, model in models.items()}
        frames = args.clips * method.preprocessing.frames
        for name, t in take_turns(cases, args.rounds).items():
            print(f"{name:12} {frames / t.wall_s:8.2f} frames/s   ", end="")
            print(f"{frames / t.cpu_s:8.2f} frames/s of processor")
        for name, place in (("run, torch", run), ("ONNX", file)):
            wall, cpu = start(place)
            print(f"start {name:12} {cpu:6.2f} s of processor   {wall:6.2f} s")


def encoding(model: ClipEncoder, clips: int) -> Callable[[], object]:
    """Encodes a batch of visible and infrared clips."""
    size = model.preprocessing
    pixels = np.random.default_rng(0).integers(
        0, 256, (clips, size.frames, 3, size.height, size.width), dtype=np.uint8
    )
    modality = [list(Modality)[row % 2] for row in range(clips)]
    return lambda: model.encode_clips(pixels, modality, [None] * clips)


def start(place: Path) -> tuple[float, float]:
    """Wall and processor seconds of a process that loads a model."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", START, str(place)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, cpu


if __name__ == "__main__":
    main()
