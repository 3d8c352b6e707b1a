"""Measure what a machine does a second: a few seconds of each kind of work, on inputs that are made up."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image

from tapetum.data.frames import read_frame
from tapetum.model import Model, TrainedModel
from tapetum.scale.encoder import encoder_of
from tapetum.scale.planner.rates import ModelRates, Rates
from tapetum.scale.store import FolderStore
from tapetum.search import Gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

_WRITTEN_BYTES = 32 << 20
_SCANNED_BYTES = 128 << 20
_LOADED_ROWS = 4096
_QUALITY = 95


def measure_rates(
    model: TrainedModel,
    *,
    device: str = "cpu",
    precision: str = "32",
    batch_size: int = 32,
    seconds: float = 3.0,
    folder: Path | None = None,
) -> Rates:
    """What this machine does a second, with one model.

    Args:
        model: On `device`.
        device: Where it computes.
        precision: "32" or "bf16".
        batch_size: Clips in a batch.
        seconds: Spent on each kind of work, about.
        folder: On the disk that is to be measured; None: the one for temporary files.

    Raises:
        ValueError: An exported model is asked for another number type.
        OSError: The disk cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="tapetum-rates-", dir=folder) as place:
        return Rates(
            machine=f"{platform.processor() or platform.machine()}, {platform.system()}",
            processors=os.cpu_count() or 1,
            pictures_per_s=_reading(model, Path(place), seconds),
            written_per_s=_writing(Path(place), seconds),
            scanned_per_s=_scanning(model.embedding_dim, seconds),
            loaded_per_s=_loading(model.embedding_dim, Path(place)),
            models={model.name: _encoding(model, device, precision, batch_size, seconds)},
        )


def _rate(work: Callable[[], object], amount: float, seconds: float) -> float:
    """Amount a second of some work that is done at least twice, after once to warm up."""
    work()
    began, rounds = perf_counter(), 0
    while rounds < 2 or perf_counter() - began < seconds:
        work()
        rounds += 1
    return amount * rounds / (perf_counter() - began)


def _encoding(
    model: TrainedModel, device: str, precision: str, batch_size: int, seconds: float
) -> ModelRates:
    size = model.preprocessing
    encoder = encoder_of(model, device, "bf16" if precision == "bf16" else "32")
    shape = (batch_size, size.frames, 3, size.height, size.width)
    clips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    seen = [Modality.VISIBLE] * batch_size
    cameras = [None] * batch_size
    flop, weights, threads = _counted(model)
    return ModelRates(
        device=device,
        precision=precision,
        threads=threads,
        frames_per_s=_rate(
            lambda: encoder.encode_clips(clips, seen, cameras), batch_size * size.frames, seconds
        ),
        flop_per_frame=flop,
        weight_bytes=weights,
        dimension=model.embedding_dim,
        height=size.height,
        width=size.width,
        clip_frames=size.frames,
        sampling=model.sampling,
    )


def _counted(model: TrainedModel) -> tuple[float, int, int]:
    """Operations of a frame, bytes of the weights, and threads; zeros where an exported model hides them."""
    if not isinstance(model, Model):
        return 0.0, 0, 0
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    size = model.preprocessing
    clip = np.zeros((1, size.frames, 3, size.height, size.width), np.uint8)
    with FlopCounterMode(display=False) as counter:
        model.encode_clips(clip, [Modality.VISIBLE], [None])
    tensors = (*model.method.parameters(), *model.method.buffers())
    weights = sum(t.numel() * t.element_size() for t in tensors)
    return counter.get_total_flops() / size.frames, weights, torch.get_num_threads()


def _reading(model: TrainedModel, folder: Path, seconds: float) -> float:
    size = model.preprocessing
    file = folder / "picture.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (size.height // 8 or 1, size.width // 8 or 1, 3))
    picture = Image.fromarray(noise.astype(np.uint8)).resize(
        (size.width, size.height), Image.Resampling.BICUBIC
    )
    picture.save(file, quality=_QUALITY)
    return _rate(lambda: read_frame(str(file), size.height, size.width), 1, seconds)


def _writing(folder: Path, seconds: float) -> float:
    store = FolderStore(folder)
    content = np.random.default_rng(0).bytes(_WRITTEN_BYTES)
    return _rate(lambda: store.write("written", content), _WRITTEN_BYTES, min(seconds, 1.0))


def _scanning(dimension: int, seconds: float) -> float:
    rows = max(1, _SCANNED_BYTES // (4 * dimension))
    vectors = np.ones((rows, dimension), dtype=np.float32)
    query = vectors[0].copy()
    return _rate(lambda: vectors @ query, float(vectors.nbytes), min(seconds, 1.0))


def _loading(dimension: int, folder: Path) -> float:
    vectors = np.random.default_rng(0).standard_normal((_LOADED_ROWS, dimension), dtype=np.float32)
    gallery = Gallery.open(folder / "gallery")

    def load(first: int) -> None:
        rows = tuple(
            Tracklet(f"t{first + n}", (f"{first + n}.jpg",), Modality.VISIBLE) for n in range(_LOADED_ROWS)
        )
        gallery.upsert(Embeddings(vectors, TrackletSet("rates", rows), "rates"))

    load(0)
    began = perf_counter()
    load(_LOADED_ROWS)
    rate = _LOADED_ROWS / (perf_counter() - began)
    gallery.close()
    return rate
