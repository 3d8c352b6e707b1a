"""How large the work of each stage is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from tapetum.config import Config, build_config

Precision = Literal["float32", "bfloat16"]

METHODS = ("lsmrl", "x-reid", "clip4vi-reid", "mun", "clip-baseline", "agw", "small-cnn")


class MachineSizes(Config):
    """Of the machine's own rates."""

    product: int = Field(2048, ge=1, description="rows and columns of the matrices of a product")
    copied_mib: int = Field(256, ge=1, description="copied at a time")
    pictures: int = Field(64, ge=1, description="JPEG pictures of 288x144 decoded in a round")


class TrainingSizes(Config):
    """Of training steps."""

    methods: tuple[str, ...] = METHODS
    preset: str = "paper"
    stages: dict[str, str] = Field(
        default={"clip4vi-reid": "hsa"}, description="the stage that is measured, where it is not the first"
    )
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    identities: int | None = Field(2, ge=1, description="P at most; null: as published")
    tracklets: int | None = Field(2, ge=1, description="K at most")
    frames: int | None = Field(4, ge=1, description="T at most")
    largest_batch: bool = Field(False, description="find the most people whose batch fits on the device")
    set: dict[str, Any] = Field(default={}, description="further settings of all methods")


class PretrainingSizes(Config):
    """Of a step of the stand-in's pretraining."""

    batch: int = Field(128, ge=2)
    set: dict[str, Any] = Field(default={}, description="further settings of the pretraining")


class ExtractionSizes(Config):
    """Of embedding clips."""

    methods: tuple[str, ...] = ("clip-baseline", "x-reid", "agw")
    preset: str = "paper"
    onnx: tuple[str, ...] = Field(("clip-baseline",), description="methods that are exported as well")
    frames: int = Field(16, ge=1, description="in a batch, at least one clip")
    set: dict[str, Any] = Field(default={}, description="further settings of all methods")


class ReadingSizes(Config):
    """Of reading tracklets."""

    height: int = Field(288, ge=1)
    width: int = Field(144, ge=1)
    identities: int = Field(8, ge=4, description="people drawn, in tracklets of some 24 frames")


class MetricsSizes(Config):
    """Of CMC, mAP and mINP."""

    queries: int = Field(5000, ge=1)
    gallery: int = Field(20_000, ge=1)
    dimension: int = Field(512, ge=1)
    people: int = Field(1000, ge=1)
    plain_loop: bool = True
    memory: bool = Field(True, description="measure memory, each in a process of its own")


class RerankingSizes(Config):
    """Of k-reciprocal re-ranking."""

    sizes: tuple[tuple[int, int], ...] = Field(
        ((1000, 5000), (3000, 12_000)), description="queries and gallery items"
    )
    dimension: int = Field(512, ge=1)
    dense: bool = Field(True, description="the textbook form with matrices of all pairs too")
    memory: bool = True


class SearchSizes(Config):
    """Of questions to a gallery in a folder."""

    rows: int = Field(100_000, ge=20)
    dimension: int = Field(768, ge=1)
    questions: int = Field(30, ge=1)


class TextSizes(Config):
    """Of CLIP4VI-ReID's prompt learning."""

    preset: str = "paper"
    batch: int = Field(64, ge=1, description="prompts in a step")
    identities: int = Field(395, ge=2)
    set: dict[str, Any] = Field(default={}, description="further settings of the method")


class RatesSizes(Config):
    """Of the file that `tapetum plan` reads."""

    methods: tuple[str, ...] = METHODS[:-1]
    preset: str = "paper"
    seconds: float = Field(3.0, gt=0, description="of each kind of work")
    batch_size: int = Field(8, ge=1, description="clips")
    precision: Literal["32", "bf16"] = "bf16"


class BenchConfig(Config):
    """What is measured, and with what."""

    device: str = Field("cpu", description="cpu, cuda, ...")
    threads: int = Field(1, ge=1, description="of the processor")
    rounds: int = Field(5, ge=1, description="of each figure; cases that are compared are run in turn")
    layer: tuple[int, int, int] = Field(
        (5216, 768, 3072),
        description="rows, inputs and outputs of the linear layer that networks are held to",
    )
    machine: MachineSizes = MachineSizes()
    training: TrainingSizes = TrainingSizes()
    pretraining: PretrainingSizes = PretrainingSizes()
    extraction: ExtractionSizes = ExtractionSizes()
    reading: ReadingSizes = ReadingSizes()
    metrics: MetricsSizes = MetricsSizes()
    reranking: RerankingSizes = RerankingSizes()
    search: SearchSizes = SearchSizes()
    text: TextSizes = TextSizes()
    rates: RatesSizes = RatesSizes()

    @property
    def kind(self) -> str:
        """The kind of device, without its number."""
        return self.device.partition(":")[0]


QUICK: Mapping[str, Any] = {
    "rounds": 2,
    "machine": {"product": 1024, "pictures": 32},
    "training": {"frames": 2},
    "pretraining": {"batch": 64},
    "extraction": {"methods": ("clip-baseline",), "frames": 8},
    "reading": {"identities": 4},
    "metrics": {"queries": 1000, "gallery": 5000, "people": 200, "memory": False},
    "reranking": {"sizes": ((300, 1500),), "memory": False},
    "search": {"rows": 20_000, "questions": 15},
    "text": {"batch": 16},
    "rates": {"seconds": 1.0, "batch_size": 2, "methods": ("clip-baseline",)},
}
"""Smaller work of the same kind: networks at their papers' sizes, small batches."""

ON_CUDA: Mapping[str, Any] = {
    "layer": (16384, 4096, 4096),
    "machine": {"product": 8192, "copied_mib": 1024},
    "training": {"identities": None, "tracklets": None, "frames": None, "largest_batch": True},
    "extraction": {"methods": METHODS, "onnx": (), "frames": 512},
    "rates": {"batch_size": 64},
}
"""What fills an accelerator: published batches."""


def choose_config(
    overrides: Mapping[str, Any], *, quick: bool = False, device: str = "cpu", threads: int = 0
) -> BenchConfig:
    """Sizes for a device.

    Args:
        overrides: Of single values; they win.
        quick: Smaller work.
        device: Where networks compute.
        threads: Of the processor; 0: one for each that this process may use.

    Raises:
        ConfigError: An unknown key or a value that does not fit.
    """
    layers = [ON_CUDA] if device.startswith("cuda") else []
    own = {"device": device, "threads": threads or usable_processors()}
    return build_config(BenchConfig, *layers, QUICK if quick else {}, own, overrides)


def usable_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
