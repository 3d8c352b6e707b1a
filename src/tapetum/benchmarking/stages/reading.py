"""Reading tracklets from JPEG files, against decoding the same files and nothing else; one thread."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tapetum.benchmarking.config import BenchConfig
from tapetum.benchmarking.measuring import Case, computing_threads, take_turns
from tapetum.benchmarking.rows import Limit, Row, rate_row
from tapetum.benchmarking.stages._registry import Part
from tapetum.data import read_clip
from tapetum.data.datasets import read_dataset
from tapetum.data.synthetic import WalkerOptions, write_walkers
from tapetum.types import Preprocessing, Tracklet

DECODED, READ, FLOATS = "decoded alone", "clips, uint8", "float32 clips, frame by frame"


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    return {"files": partial(measure_reading, config)}


def measure_reading(config: BenchConfig) -> list[Row]:
    """Frames a second: as training and extraction read them, and as is usual in the field.

    Pictures are drawn walkers, JPEG of quality 95, read again and again from the file system's cache.
    """
    height, width = config.reading.height, config.reading.width
    with tempfile.TemporaryDirectory(prefix="tapetum-bench-") as place, computing_threads(1):
        root = Path(place) / "walkers"
        options = WalkerOptions(frame_size=(height, width))
        write_walkers(
            root, "hitsz-vcm", identities=config.reading.identities, seed=0, options=options, workers=1
        )
        found = list(read_dataset(f"hitsz-vcm:{root}").train)
        cases = {
            DECODED: Case(partial(decode, found)),
            READ: Case(partial(read, found, height, width)),
            FLOATS: Case(partial(read_floats, found, height, width)),
        }
        timings = take_turns(cases, config.rounds)
    frames = sum(len(t.frames) for t in found)
    limit, usual = Limit.of(timings[DECODED]), timings[FLOATS]
    return [
        rate_row(timings[name], frames, "frames/s", limit, usual=None if name == FLOATS else usual)
        for name in (READ, FLOATS)
    ]


def decode(tracklets: Sequence[Tracklet]) -> None:
    """Decode every frame."""
    for path in (path for tracklet in tracklets for path in tracklet.frames):
        with Image.open(path) as image:
            image.load()


def read(tracklets: Sequence[Tracklet], height: int, width: int) -> None:
    """Read every tracklet as one clip of this package: uint8, normalised later on the device."""
    for tracklet in tracklets:
        read_clip(tracklet.frames, np.arange(len(tracklet.frames)), height, width)


def read_floats(tracklets: Sequence[Tracklet], height: int, width: int) -> None:
    """Read every tracklet frame by frame to normalised float32, as is usual."""
    size = Preprocessing(height, width, 1)
    for tracklet in tracklets:
        frames = []
        for path in tracklet.frames:
            with Image.open(path) as image:
                pixels = np.array(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
            frames.append(size.normalise(torch.from_numpy(pixels).permute(2, 0, 1)))
        torch.stack(frames)
