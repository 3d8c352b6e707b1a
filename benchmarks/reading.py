"""Frames a second of reading tracklets, beside decoding the same files alone.

    python benchmarks/reading.py --height 288 --width 144

Pictures are drawn walkers at the given size, JPEG of quality 95, read again and again from the file
system's cache by one thread. "decoded alone" is Pillow with nothing behind it, the floor of any reader that
gives Pillow's pixels; "float clips" is the field's usual way: frame by frame to float32, normalised. Medians
of rounds that are run in turn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from tapetum.data import read_clip
from tapetum.data.datasets import read_dataset
from tapetum.data.synthetic import WalkerOptions, write_walkers
from tapetum.types import Preprocessing, Tracklet


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--height", type=int, default=288)
    parser.add_argument("--width", type=int, default=144)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    size = (args.height, args.width)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "walkers"
        write_walkers(
            root, "hitsz-vcm", identities=8, seed=0, options=WalkerOptions(frame_size=size), workers=1
        )
        train = list(read_dataset(f"hitsz-vcm:{root}").train)
        cases: dict[str, Callable[[], None]] = {
            "decoded alone": lambda: decode(train),
            "read_clip, uint8": lambda: read(train, *size),
            "float clips": lambda: as_floats(train, *size),
        }
        seconds = {name: [timed(case) for _ in range(args.rounds)] for name, case in cases.items()}
    frames = sum(len(t.frames) for t in train)
    floor = median(seconds["decoded alone"])
    print(f"{frames} frames of {args.height}x{args.width}, one thread")
    for name, found in seconds.items():
        rate, share = frames / median(found), floor / median(found)
        print(f"{name:20s} {rate:8.0f} frames/s   {share:5.2f} of decoding alone")


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def decode(tracklets: Sequence[Tracklet]) -> None:
    for tracklet in tracklets:
        for path in tracklet.frames:
            with Image.open(path) as image:
                image.load()


def read(tracklets: Sequence[Tracklet], height: int, width: int) -> None:
    for tracklet in tracklets:
        read_clip(tracklet.frames, np.arange(len(tracklet.frames)), height, width)


def as_floats(tracklets: Sequence[Tracklet], height: int, width: int) -> None:
    size = Preprocessing(height, width, 1)
    for tracklet in tracklets:
        frames = []
        for path in tracklet.frames:
            with Image.open(path) as image:
                pixels = np.array(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
            frames.append(size.normalise(torch.from_numpy(pixels).permute(2, 0, 1)))
        torch.stack(frames)


if __name__ == "__main__":
    main()
