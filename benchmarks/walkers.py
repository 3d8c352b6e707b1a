"""Frames a second of drawing, writing and reading synthetic walkers on one core.

    python benchmarks/walkers.py --identities 24
    python benchmarks/walkers.py --format sysu-mm01 --identities 30

Drawing and writing happen in this process, so the rate is that of one core, JPEG encoding and files included.
Reading is the decoder alone, at the size on disk. Close everything else first.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from tapetum.data import read_clip
from tapetum.data.datasets import read_dataset
from tapetum.data.synthetic import FORMATS, WalkerOptions, write_walkers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--format", choices=FORMATS, default="hitsz-vcm")
    parser.add_argument("--identities", type=int, default=24)
    args = parser.parse_args()
    options = WalkerOptions()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "walkers"
        began = time.perf_counter()
        written = write_walkers(
            root, args.format, identities=args.identities, seed=0, options=options, workers=1
        )
        report("drawn, encoded and written", written.frames, time.perf_counter() - began)
        report("drawn alone", *drawn(args.format, args.identities, options))
        report("read", *read(f"{args.format}:{root}", options))


def drawn(name: str, identities: int, options: WalkerOptions) -> tuple[int, float]:
    """Frames and seconds of rendering without any file."""
    plan = FORMATS[name].plan(0, identities, None, options)
    began = time.perf_counter()
    frames = sum(len(plan.draw(job.what)) for job in plan.jobs)
    return frames, time.perf_counter() - began


def read(data: str, options: WalkerOptions) -> tuple[int, float]:
    """Frames and seconds of decoding every frame of the training set."""
    train = read_dataset(data).train
    began = time.perf_counter()
    for tracklet in train:
        read_clip(tracklet.frames, np.arange(len(tracklet.frames)), *options.frame_size)
    return sum(len(tracklet.frames) for tracklet in train), time.perf_counter() - began


def report(what: str, frames: int, seconds: float) -> None:
    print(f"{what:30}{frames / seconds:8.0f} frames/s")


if __name__ == "__main__":
    main()
