"""Embedding clips by each way there is, pixels to embeddings, against one linear layer in turn with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.benchmarking.config import BenchConfig, Precision
from tapetum.benchmarking.layers import layer_cases, limit_of
from tapetum.benchmarking.measuring import Case, take_turns, waiting_for
from tapetum.benchmarking.rows import Row, rate_row
from tapetum.benchmarking.stages._registry import Part
from tapetum.clip_encoding import ClipEncoder
from tapetum.comparison.costs import count_flops
from tapetum.export import export_onnx
from tapetum.methods import create_method
from tapetum.methods._checkpoint import save_method
from tapetum.model import Model, load
from tapetum.models.backbones.linear import has_onednn, onednn_products, quicker_by_onednn
from tapetum.scale.encoder import encoder_of
from tapetum.types import Modality

Clips = NDArray[np.uint8]
Vectors = NDArray[np.float32]

USUAL, CHOSEN, HALF, EXPORTED = "float32", "float32, quicker library", "bfloat16", "float32, ONNX"


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    return {method: partial(measure_extraction, config, method) for method in config.extraction.methods}


def measure_extraction(config: BenchConfig, name: str) -> list[Row]:
    """Frames a second, and how near the embeddings of each way are to those in float32."""
    with tempfile.TemporaryDirectory(prefix="tapetum-bench-") as place:
        model = make_model(config, name, Path(place))
        clips = draw_clips(model, config.extraction.frames)
        with onednn_products(()):
            flops = count_flops(lambda: encode(model, clips))
        ways = make_ways(config, model, Path(place))
        runs = {way: partial(_inside, context, encoder, clips) for way, (encoder, context) in ways.items()}
        expected = runs[USUAL]()
        cosines = {way: least_cosine(run(), expected) for way, run in runs.items()}
        cases = {**layer_cases(config.kind, config.layer), **{way: Case(run) for way, run in runs.items()}}
        timings = take_turns(cases, config.rounds, warm_up=0, wait=waiting_for(config.device))
    frames = clips.shape[0] * clips.shape[1]
    rows = []
    for way in ways:
        precision: Precision = "bfloat16" if way == HALF else "float32"
        limit = limit_of(timings, precision, config.layer, flops, config.kind)
        facts: dict[str, float | str] = {"GFLOP a frame": flops / frames / 1e9, "least cosine": cosines[way]}
        if way == CHOSEN:
            facts["by oneDNN"] = ", ".join(sorted(quicker_by_onednn())) or "nothing"
        usual = None if way == USUAL else timings[USUAL]
        rows.append(rate_row(timings[way], frames, "frames/s", limit, usual=usual, facts=facts))
    return rows


def make_model(config: BenchConfig, name: str, place: Path) -> Model:
    """A method with random weights, read from a file as a run's model is."""
    sizes = config.extraction
    settings = {"weights": "none", **sizes.set}
    method = create_method(name, num_identities=1, num_cameras=1, preset=sizes.preset, **settings)
    file = place / "model.safetensors"
    save_method(method.eval(), file)
    found = load(file, device=config.device)
    assert isinstance(found, Model)
    return found


def make_ways(
    config: BenchConfig, model: Model, place: Path
) -> dict[str, tuple[ClipEncoder, Callable[[], AbstractContextManager[object]]]]:
    """Encoders by name, each with what it is run inside."""
    made: dict[str, tuple[ClipEncoder, Callable[[], AbstractContextManager[object]]]] = {
        USUAL: (model, lambda: onednn_products(()))
    }
    if config.kind == "cpu" and has_onednn():
        made[CHOSEN] = (model, nullcontext)
    made[HALF] = (encoder_of(model, config.device, "bf16"), nullcontext)
    if model.name in config.extraction.onnx:
        file = place / "model.onnx"
        export_onnx(model, file, threads=config.threads)
        made[EXPORTED] = (load(file, threads=config.threads), nullcontext)
    return made


def draw_clips(model: Model, frames: int) -> Clips:
    """Clips uint8 `[B, T, 3, H, W]` of random pixels: about so many frames, at least two clips."""
    size = model.preprocessing
    count = max(2, frames // size.frames)
    shape = (count, size.frames, 3, size.height, size.width)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def encode(encoder: ClipEncoder, clips: Clips) -> Vectors:
    """Embeddings `[B, D]` of clips that are visible and infrared by turns."""
    count = len(clips)
    return encoder.encode_clips(clips, [list(Modality)[row % 2] for row in range(count)], [None] * count)


def least_cosine(vectors: Vectors, expected: Vectors) -> float:
    """The smallest cosine of a row with its counterpart; both are L2-normalised."""
    return float((vectors.astype(np.float64) * expected.astype(np.float64)).sum(axis=1).min())


def _inside(
    context: Callable[[], AbstractContextManager[object]], encoder: ClipEncoder, clips: Clips
) -> Vectors:
    with context(), torch.inference_mode():
        return encode(encoder, clips)
