"""A method's way from clips to embeddings as an ONNX graph, and the file it is written to."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxscript import optimizer
from torch import Tensor, nn

from tapetum.methods._base import Method
from tapetum.onnx_metadata import CAMERAS, CLIPS, EMBEDDINGS, INFRARED, OnnxMetadata

OLDEST_OPSET = 18
"""Of ONNX's operators; what torch's exporter writes of itself. onnxruntime has it since 1.14."""

LARGEST_BYTES = 2_000_000_000
"""Of weights in one file: a protocol buffer ends at 2 GiB."""

_ROWS, _FRAMES = 3, 2
"""Of the clips that are traced: different numbers, and neither 0 nor 1, which tracing takes for constants."""

_AXES = {CLIPS: ("clips", "frames"), INFRARED: ("clips",), CAMERAS: ("clips",), EMBEDDINGS: ("clips",)}
"""Names of the axes that are free."""

_TALKATIVE = ("torch.onnx", "onnxscript", "onnx_ir")


class _Encoder(nn.Module):
    """What is traced: the part of a method that `encode_rows` runs through."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, clips: Tensor, sides: dict[str, Tensor]) -> Tensor:
        return self.method.encode_rows(clips, **sides)


def graph_inputs(method: Method) -> tuple[str, ...]:
    """Names of what the graph of a method reads, in order."""
    sides = {INFRARED: method.reads_modality, CAMERAS: method.reads_cameras}
    return (CLIPS, *(name for name, is_read in sides.items() if is_read))


def build_graph(method: Method, opset: int = OLDEST_OPSET) -> onnx.ModelProto:
    """The graph of a method's `encode`, for any number of clips, with its weights in it.

    Clips have any number of frames, unless the method `mixes_frames`. Parts that nothing but training needs
    are not in it.

    Args:
        method: On the processor, in evaluation mode.
        opset: Version of ONNX's operators.

    Raises:
        ValueError: `opset` is older than `OLDEST_OPSET`, the weights are too large for one file, or they are
            not on the processor.
    """
    if opset < OLDEST_OPSET:
        raise ValueError(f"opset must be at least {OLDEST_OPSET}, found {opset}")
    if any(tensor.device.type != "cpu" for tensor in method.parameters()):
        raise ValueError("a method is exported from the processor: load its run with device='cpu'")
    size = sum(tensor.numel() * tensor.element_size() for tensor in method.parameters())
    if size > LARGEST_BYTES:
        raise ValueError(f"weights of {size} bytes do not fit into one ONNX file of {LARGEST_BYTES}")
    with _quiet():
        program: Any = torch.onnx.export(
            _trace(method),
            (),
            dynamo=True,
            opset_version=opset,
            input_names=list(graph_inputs(method)),
            output_names=[EMBEDDINGS],
            optimize=False,
            verbose=False,
        )
        _simplify(program.model)
    model: onnx.ModelProto = program.model_proto
    _drop_unused(model.graph)
    _drop_notes(model)
    _name_axes(model.graph)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, nobody hears what the exporter thinks of its own insides."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _trace(method: Method) -> torch.export.ExportedProgram:
    """The operators from clips to embeddings, for any number of clips."""
    size = method.preprocessing
    frames = size.frames if method.mixes_frames else _FRAMES
    clips = torch.zeros(_ROWS, frames, 3, size.height, size.width)
    examples = {INFRARED: torch.arange(_ROWS) % 2 == 0, CAMERAS: torch.zeros(_ROWS, dtype=torch.int64)}
    sides = {name: examples[name] for name in graph_inputs(method)[1:]}
    rows = torch.export.Dim("clips")
    free = {0: rows} if method.mixes_frames else {0: rows, 1: torch.export.Dim("frames")}
    shapes = {"clips": free, "sides": {name: {0: rows} for name in sides}}
    with torch.no_grad():
        return torch.export.export(
            _Encoder(method).eval(), (clips, sides), dynamic_shapes=shapes, strict=False
        )


def _simplify(model: Any) -> None:
    """Compute what is the same for all clips.

    The exporter would also rewrite the graph by rules, but these take numbers near 0 for 0, such as the
    offset of a generalised mean.
    """
    optimizer.inline(model)
    optimizer.fold_constants(model)
    optimizer.remove_unused_nodes(model)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove tensors that no node reads: those of parts that only training needs."""
    read = {name for node in _nodes(graph.node) for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(kept) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)


def _drop_notes(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes of the source: places in files of this machine."""
    noted = [model, model.graph, *model.functions]
    nodes = [model.graph.node, *(function.node for function in model.functions)]
    for item in (*noted, *(node for part in nodes for node in _nodes(part)), *_values(model.graph)):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")


def _name_axes(graph: onnx.GraphProto) -> None:
    """Give the free axes of inputs and output names; shapes between them are left to the reader."""
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim, _AXES[value.name], strict=False):
            if axis.dim_param:
                axis.dim_param = name


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _values(graph: onnx.GraphProto) -> Iterator[Any]:
    yield from (*graph.input, *graph.output, *graph.initializer)


def write_model(model: onnx.ModelProto, about: OnnxMetadata, path: Path) -> OnnxMetadata:
    """Write a graph and then its metadata to `path`, and return the metadata with the graph's digest."""
    del model.metadata_props[:]
    content = model.SerializeToString()
    signed = replace(about, content_bytes=len(content), content_sha256=sha256(content).hexdigest())
    tail = onnx.ModelProto()
    onnx.helper.set_model_props(tail, signed.to_properties())
    with path.open("wb") as file:
        file.write(content)
        file.write(tail.SerializeToString())
    return signed
