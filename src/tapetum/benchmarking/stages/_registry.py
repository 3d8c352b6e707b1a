"""Names of the stages, in the order in which they are measured and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from tapetum.benchmarking.config import BenchConfig
from tapetum.benchmarking.rows import Row
from tapetum.registry import unknown

Part = Callable[[], Sequence[Row]]
"""Some work of a stage, measured; what is interrupted is lost from its beginning."""

STAGES: Mapping[str, str] = {
    "machine": "what the machine does: products by each library, copying, decoding",
    "training": "a training step of each method, against one linear layer",
    "pretraining": "a step of the pretraining of the stand-in for CLIP's weights",
    "extraction": "embedding clips: float32, bfloat16 and ONNX",
    "reading": "reading tracklets from JPEG files, against decoding alone",
    "metrics": "CMC, mAP and mINP, against one matrix product",
    "reranking": "k-reciprocal re-ranking, against the product of all pairs",
    "search": "exact questions to a gallery in a folder, against reading its vectors once",
    "text": "prompt learning, against running all positions of the text tower",
    "rates": "the rates that `tapetum plan` reads",
}
"""What each stage measures, by name."""


def parts_of(stage: str, config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of a stage by name, in order; nothing is made or measured yet.

    Args:
        stage: One of `STAGES`.
        config: How large its work is.
        folder: Where results go.

    Raises:
        ValueError: There is no such stage; near names are told.
    """
    if stage not in STAGES:
        raise ValueError(unknown("stage", stage, list(STAGES)))
    made: Mapping[str, Part] = import_module(f"tapetum.benchmarking.stages.{stage}").parts(config, folder)
    return made
