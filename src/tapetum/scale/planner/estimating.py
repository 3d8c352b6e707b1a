"""Estimates by formulas that are written beside each figure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tapetum.ingest.plan import Plan
from tapetum.scale.planner.rates import ModelRates, Rates
from tapetum.scale.planning import SHARD_SIZE
from tapetum.types import Preprocessing

OVERHEAD = 1.05
"""Assumed: what sharding adds to reading and encoding."""

ROW_BYTES, FRAME_BYTES = 160, 12
"""Assumed: bytes of a row besides its vector, and of each frame's path, compressed."""

GALLERY_ROW_BYTES = 600
"""Assumed: bytes of a gallery's row besides its vector, without thumbnails."""

GPU_TFLOPS, GPU_SHARE = 300.0, 0.4
"""Assumed of a GPU where none was measured: rate of products in bfloat16, and the share that is reached."""

LIBRARY_BYTES = 1 << 30
"""Assumed: what a process holds before it has a model."""

GRAPH_LINKS = 16
"""Links of a row in an approximate index, as Qdrant's default; the lowest level has twice as many."""

_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGbB]?)")
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be done, and with what.

    Attributes:
        tracklets: N.
        frames: F, frames of a tracklet.
        gpus: Accelerators; 0: the processors of one machine.
        processors: That read pictures; 0: those of the measured machine.
        shard_size: Tracklets of a shard.
        picture_bytes: Of a picture, on average.
        replicas: Copies of a gallery's rows.
        nodes: Machines that a gallery is spread over.
    """

    tracklets: int
    frames: int = 8
    gpus: int = 0
    processors: int = 0
    shard_size: int = SHARD_SIZE
    picture_bytes: int = 20_000
    replicas: int = 1
    nodes: int = 1

    def __post_init__(self) -> None:
        least = {"tracklets": 1, "frames": 1, "shard_size": 1, "picture_bytes": 1, "replicas": 1, "nodes": 1}
        for name in ("tracklets", "frames", "gpus", "processors", *list(least)[2:]):
            if getattr(self, name) < least.get(name, 0):
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {least.get(name, 0)}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure.

    Attributes:
        what: What it is of.
        value: The figure.
        unit: Its unit.
        formula: How it follows from others.
    """

    what: str
    value: float
    unit: str
    formula: str


def parse_count(text: str) -> int:
    """A count with an ending for thousands, millions or thousands of millions.

    >>> parse_count("100M"), parse_count("1.5k"), parse_count("20")
    (100000000, 1500, 20)

    Raises:
        ValueError: It is of another form, or not whole.
    """
    found = _COUNT.fullmatch(text.strip().replace("_", ""))
    value = float(found[1]) * _FACTORS[found[2].lower()] if found else 0.5
    if not value.is_integer() or value < 1:
        raise ValueError(f"{text!r} is no count; expected a whole number such as 5000, 20k or 100M")
    return int(value)


def estimate(workload: Workload, rates: Rates, model: str) -> list[Estimate]:
    """Figures of an extraction and of the gallery of its embeddings, in an order that can be followed.

    Args:
        workload: What is to be done.
        rates: Of the machine.
        model: Name of one that was measured.

    Raises:
        ValueError: It was not measured, or a GPU is assumed for a model whose operations were not counted.
    """
    of = rates.of(model)
    extraction = _extraction(workload, rates, of)
    return [*extraction, *_storage(workload, of), *_memory(of), *_gallery(workload, rates, of)]


def frames_of(workload: Workload, of: ModelRates) -> tuple[int, int]:
    """Pictures read and frames encoded of one tracklet."""
    size = Preprocessing(of.height, of.width, of.clip_frames)
    plan = Plan(size, of.sampling)  # type: ignore[arg-type]
    return len(plan.read(workload.frames)), int(plan.clips(workload.frames).size)


def _extraction(workload: Workload, rates: Rates, of: ModelRates) -> list[Estimate]:
    read, encoded = frames_of(workload, of)
    pictures, frames = workload.tracklets * read, workload.tracklets * encoded
    speed, source = _speed(workload, of)
    devices = workload.gpus or 1
    processors = workload.processors or rates.processors
    encoding = frames / (speed * devices)
    reading = pictures / (rates.pictures_per_s * processors)
    shares = workload.gpus == 0
    seconds = OVERHEAD * (encoding + reading if shares else max(encoding, reading))
    how = "encoding + reading, on the same processors" if shares else "the longer of encoding and reading"
    needed = speed * devices * read / encoded / rates.pictures_per_s
    traffic = pictures * workload.picture_bytes / seconds
    return [
        Estimate("pictures read", pictures, "", f"tracklets x {read} of {workload.frames} frames"),
        Estimate("frames encoded", frames, "", f"tracklets x {encoded} frames of clips"),
        Estimate("encoding speed", speed, "frames/s a device", source),
        Estimate("encoding", encoding / 3600, "h", f"frames / (speed x {devices} devices)"),
        Estimate(
            "reading",
            reading / 3600,
            "h",
            f"pictures / ({rates.pictures_per_s:.0f} a second x {processors} processors)",
        ),
        Estimate("processors to keep up", needed, "", "speed x devices x pictures / frames / reading rate"),
        Estimate("extraction", seconds / 3600, "h", f"{OVERHEAD} x ({how})"),
        Estimate("network", traffic / 1e6, "MB/s", "pictures x bytes of one / seconds of extraction"),
    ]


def _speed(workload: Workload, of: ModelRates) -> tuple[float, str]:
    """Frames a second of a device, and where the figure is from."""
    if workload.gpus == 0 or of.device != "cpu":
        return of.frames_per_s, f"measured on {of.device}, precision {of.precision}"
    if not of.flop_per_frame:
        raise ValueError("no GPU was measured, and the operations of an exported model are not known")
    rate = GPU_TFLOPS * 1e12 * GPU_SHARE / of.flop_per_frame
    how = f"{GPU_SHARE:.0%} of {GPU_TFLOPS:.0f} TFLOP/s / {of.flop_per_frame / 1e9:.2f} GFLOP a frame"
    return rate, f"ASSUMED, no GPU was measured: {how}"


def _storage(workload: Workload, of: ModelRates) -> list[Estimate]:
    shards = math.ceil(workload.tracklets / workload.shard_size)
    row = 4 * of.dimension + ROW_BYTES + FRAME_BYTES * workload.frames
    source = workload.tracklets * workload.frames * workload.picture_bytes
    return [
        Estimate("shards", shards, "", f"tracklets / {workload.shard_size}"),
        Estimate("pictures", source / _GIB, "GiB", f"tracklets x frames x {workload.picture_bytes} bytes"),
        Estimate(
            "embeddings",
            workload.tracklets * row / _GIB,
            "GiB",
            f"tracklets x (4 x {of.dimension} + {ROW_BYTES} + {FRAME_BYTES} x frames) bytes",
        ),
        Estimate("a shard's file", workload.shard_size * row / 2**20, "MiB", "shard size x bytes of a row"),
    ]


def _memory(of: ModelRates) -> list[Estimate]:
    clips = 3 * 32 * of.clip_frames * 3 * of.height * of.width
    total = LIBRARY_BYTES + of.weight_bytes + clips
    formula = "libraries 1 GiB + weights + 3 batches of 32 clips; activations of a batch come on top"
    return [Estimate("memory of a worker", total / _GIB, "GiB", formula)]


def _gallery(workload: Workload, rates: Rates, of: ModelRates) -> list[Estimate]:
    count, vector = workload.tracklets, 4 * of.dimension
    links = 2 * GRAPH_LINKS * 4
    disk = count * workload.replicas * (vector + GALLERY_ROW_BYTES)
    scan = count * vector / workload.nodes / rates.scanned_per_s
    return [
        Estimate(
            "loading the gallery",
            count / rates.loaded_per_s / 3600,
            "h",
            f"tracklets / {rates.loaded_per_s:.0f} rows a second of a gallery in a folder",
        ),
        Estimate(
            "gallery on disk",
            disk / _GIB,
            "GiB",
            f"tracklets x {workload.replicas} copies x ({vector} + {GALLERY_ROW_BYTES}) bytes",
        ),
        Estimate(
            "vectors in memory",
            count * workload.replicas * vector / workload.nodes / _GIB,
            "GiB a machine",
            "tracklets x copies x vector / machines; for exact search at memory speed",
        ),
        Estimate(
            "links in memory",
            count * workload.replicas * links / workload.nodes / _GIB,
            "GiB a machine",
            f"tracklets x copies x {links} bytes / machines; for an approximate index",
        ),
        Estimate(
            "exact search, one query",
            1000 * scan,
            "ms",
            f"bytes of vectors / machines / {rates.scanned_per_s / 1e9:.1f} GB/s measured",
        ),
    ]
