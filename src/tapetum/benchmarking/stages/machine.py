"""What the machine does: products of matrices by each library and number type, copying, decoding."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tapetum.benchmarking.config import BenchConfig
from tapetum.benchmarking.layers import layer_cases, layer_flops
from tapetum.benchmarking.measuring import Case, Timing, several, take_turns, waiting_for
from tapetum.benchmarking.rows import Limit, Row, rate_row
from tapetum.benchmarking.stages._registry import Part

_GIGA = 1e9
_PICTURES = ((288, 144), (576, 288))
_QUALITY = 95


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    made: dict[str, Part] = {
        "products": partial(measure_products, config),
        "copying": partial(measure_copying, config),
    }
    return made if config.kind == "cuda" else {**made, "pictures": partial(measure_pictures, config)}


def measure_products(config: BenchConfig) -> list[Row]:
    """GFLOP/s of a product and of a linear layer; each number type is held to its quickest way."""
    n, shape = config.machine.product, config.layer
    rows: list[Row] = []
    for ways, flops in (
        (product_cases(config.kind, n), 2.0 * n**3),
        (layer_cases(config.kind, shape), float(layer_flops(shape))),
    ):
        timings = take_turns(ways, config.rounds, wait=waiting_for(config.device))
        rows += [_against_the_quickest(t, timings, flops, config.kind) for t in timings.values()]
    return rows


def product_cases(kind: str, n: int) -> dict[str, Case]:
    """Products of two matrices `[n, n]`, each by a library in a number type."""
    a, b = torch.randn(n, n, device=kind), torch.randn(n, n, device=kind)
    a16, b16 = a.bfloat16(), b.bfloat16()
    runs: dict[str, Callable[[], object]] = {"float32, torch": lambda: a @ b}
    if kind == "cpu":
        x, y = a.numpy(), b.numpy()
        runs["float32, numpy"] = lambda: x @ y
        session = _onnx_product(n) if find_spec("onnx") and find_spec("onnxruntime") else None
        if session is not None:
            runs["float32, onnxruntime"] = lambda: session.run(None, {"a": x, "b": y})
    runs["float32 rounded inside, torch"] = lambda: _rounded_product(a, b)
    runs["bfloat16, torch"] = lambda: a16 @ b16
    if kind == "cuda":
        a_half, b_half = a.half(), b.half()
        runs["float16, torch"] = lambda: a_half @ b_half
    return {f"product, {name}": several(run, 2) for name, run in runs.items()}


def measure_copying(config: BenchConfig) -> list[Row]:
    """GB/s, what is read and what is written counted both."""
    size = config.machine.copied_mib << 20
    source = torch.ones(size // 4, device=config.device)
    target = torch.empty_like(source)
    runs: dict[str, tuple[Callable[[], object], float]] = {
        "copied": (lambda: target.copy_(source), 2.0 * size),
        "read by a product with one vector": (partial(_scan, source), float(size)),
    }
    if config.kind == "cuda":
        pinned, loose = (torch.ones(size // 4, pin_memory=is_pinned) for is_pinned in (True, False))
        runs["to the device, pinned"] = (lambda: target.copy_(pinned, non_blocking=True), float(size))
        runs["to the device, not pinned"] = (lambda: target.copy_(loose), float(size))
    cases = {name: Case(run) for name, (run, _) in runs.items()}
    timings = take_turns(cases, config.rounds, wait=waiting_for(config.device))
    return [rate_row(t, runs[name][1] / _GIGA, "GB/s") for name, t in timings.items()]


def measure_pictures(config: BenchConfig) -> list[Row]:
    """JPEG pictures a second that one thread decodes, and nothing else."""
    count = config.machine.pictures
    files = {f"decoded, {h}x{w}": _jpeg(h, w) for h, w in _PICTURES}
    cases = {name: several(partial(_decode, file), count) for name, file in files.items()}
    timings = take_turns(cases, config.rounds)
    kib = {name: len(file) / 1024 for name, file in files.items()}
    return [rate_row(t, 1, "pictures/s", facts={"KiB": kib[name]}) for name, t in timings.items()]


def _against_the_quickest(timing: Timing, timings: Mapping[str, Timing], flops: float, kind: str) -> Row:
    """A row of GFLOP/s; the limit is the quickest way to the same precision."""
    number = timing.what.split(", ")[1]
    alike = [t for name, t in timings.items() if name.split(", ")[1] == number]
    best = min(alike, key=lambda t: t.best_wall_s)
    limit = Limit(best.what, best.best_wall_s, best.best_cpu_s if kind == "cpu" else None)
    return rate_row(timing, flops / _GIGA, "GFLOP/s", limit if len(alike) > 1 else None)


def _rounded_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A product of float32 whose factors may be rounded: to bfloat16 on a processor, to TF32 on CUDA."""
    with _rounding():
        return a @ b


@contextmanager
def _rounding() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _onnx_product(n: int) -> Any:
    """A session of onnxruntime that multiplies two matrices."""
    import onnxruntime
    from onnx import TensorProto, helper

    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [n, n]) for name in "abc"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])], "product", sides[:2], sides[2:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _scan(vectors: torch.Tensor) -> object:
    """A product of all rows with one vector: by numpy on a processor, where torch's is slower."""
    rows = vectors[: len(vectors) // 512 * 512].view(-1, 512) if len(vectors) >= 512 else vectors[None]
    if rows.device.type != "cpu":
        return rows @ rows[0]
    found: np.ndarray[Any, Any] = rows.numpy() @ rows[0].numpy()
    return found


def _jpeg(height: int, width: int) -> bytes:
    """A smooth picture as a JPEG file."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _decode(file: bytes) -> Sequence[int]:
    with Image.open(io.BytesIO(file)) as image:
        image.load()
        return image.size
