"""Frames a second of drawing, writing and reading synthetic walkers on one core.

    python benchmarks/walkers.py --identities 24

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
from tapetum.data.synthetic import Population, WalkerOptions, write_hitsz_vcm


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--identities", type=int, default=24)
    args = parser.parse_args()
    options = WalkerOptions()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "walkers"
        began = time.perf_counter()
        written = write_hitsz_vcm(root, identities=args.identities, seed=0, options=options, workers=1)
        report("drawn, encoded and written", written.frames, time.perf_counter() - began)
        report("drawn alone", *drawn(args.identities, options))
        report("read", *read(root, options))


def drawn(identities: int, options: WalkerOptions) -> tuple[int, float]:
    """Frames and seconds of rendering without any file."""
    people = Population(0, identities, options)
    began = time.perf_counter()
    frames = sum(len(people.render(plan)) for split in ("train", "test") for plan in people.plan(split))
    return frames, time.perf_counter() - began


def read(root: Path, options: WalkerOptions) -> tuple[int, float]:
    """Frames and seconds of decoding every frame of the training set."""
    train = read_dataset(f"hitsz-vcm:{root}").train
    began = time.perf_counter()
    for tracklet in train:
        read_clip(tracklet.frames, np.arange(len(tracklet.frames)), *options.frame_size)
    return sum(len(tracklet.frames) for tracklet in train), time.perf_counter() - began


def report(what: str, frames: int, seconds: float) -> None:
    print(f"{what:30}{frames / seconds:8.0f} frames/s")


if __name__ == "__main__":
    main()
