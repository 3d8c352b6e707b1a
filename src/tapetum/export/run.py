"""From a trained model to a checked ONNX file with its report and its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapetum.errors import ExportParityError, MissingExtraError
from tapetum.export.card import model_card
from tapetum.export.facts import read_facts
from tapetum.export.parity import LEAST_COSINE, ClipSample, Parity, drawn_sample, measure_parity, read_sample
from tapetum.files import replace_file, replace_text
from tapetum.model import Model
from tapetum.onnx_metadata import OnnxMetadata
from tapetum.onnx_model import SUFFIX, load_onnx
from tapetum.types import TrackletSet

if TYPE_CHECKING:
    from tapetum.methods._base import Method

OPSET = 18
"""Version of ONNX's operators that is written where nothing else is wished."""

CLIPS = 8
"""Clips of each comparison."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export left.

    Attributes:
        path: The ONNX file.
        report: Beside it, how near it is to the run, as JSON.
        card: Beside it, what it is, as Markdown.
        parity: What the report says.
        about: What the file says of itself.
    """

    path: Path
    report: Path
    card: Path
    parity: Parity
    about: OnnxMetadata


def export_onnx(
    model: Model,
    out: Path | str,
    *,
    opset: int = OPSET,
    data: TrackletSet | None = None,
    scores: Path | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    seed: int = 0,
) -> Exported:
    """Write a trained model as ONNX, with a report on how near it is to the run, and a card.

    Args:
        model: A run, as `tapetum.load` gives it.
        out: The file to write, `.onnx`; beside it come `OUT.parity.json` and `OUT.md`.
        opset: Version of ONNX's operators.
        data: Real tracklets to compare on, beside drawn clips; None: drawn clips alone.
        scores: What `tapetum evaluate --json` wrote of the run, for the card; None: its `scores.json`.
        overwrite: Replace the three files where they are there already.
        threads: Of onnxruntime in the comparison; None: one for each core that this process may use.
        seed: Of the drawn clips.

    Raises:
        ExportParityError: The file would not give the run's embeddings; nothing was written.
        FileExistsError: One of the files is there, and `overwrite` is false.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        ValueError: `out` does not end in `.onnx`, an `opset` too old, or weights too large for one file.
        DataError: Scores of another model, or a frame that cannot be read.
        OSError: A file could not be written; an ONNX file that was there before is as it was.
    """
    place = Path(out)
    report, card = (place.with_name(place.name + end) for end in (".parity.json", ".md"))
    _check_place([place, report, card], overwrite)
    _check_packages()
    facts = read_facts(model.path, model.fingerprint, scores)
    samples = [drawn_sample(model, CLIPS, seed)]
    if data is not None:
        samples.append(read_sample(model, data, CLIPS))
    writing = _Writing(model, samples, opset, threads)
    replace_file(place, writing)
    about, parity = writing.found
    replace_text(report, parity.to_json())
    replace_text(card, model_card(place, about, parity, facts))
    return Exported(place, report, card, parity, about)


class _Writing:
    """Writes the file where it is told, compares it with the run, and refuses it where they differ."""

    def __init__(self, model: Model, samples: Sequence[ClipSample], opset: int, threads: int | None) -> None:
        self._model, self._samples, self._opset, self._threads = model, samples, opset, threads
        self.found: tuple[OnnxMetadata, Parity]

    def __call__(self, path: Path) -> None:
        from tapetum.export.graph import build_graph, write_model

        graph = build_graph(self._model.method, self._opset)
        about = write_model(graph, describe(self._model, self._opset), path)
        parity = measure_parity(self._model, load_onnx(path, threads=self._threads), self._samples)
        if not parity.is_enough:
            raise ExportParityError(
                f"the exported {about.method} differs from its run: least cosine {parity.min_cosine:.6f}, "
                f"expected at least {LEAST_COSINE}; largest difference {parity.max_abs_difference:.2g}. "
                "Nothing was written"
            )
        self.found = about, parity


def describe(model: Model, opset: int) -> OnnxMetadata:
    """What an exported model says of itself; of files that training started from their names alone."""
    from tapetum.export.graph import graph_inputs

    method: Method = model.method
    config: dict[str, Any] = method.config.model_dump(mode="json")
    for key in ("weights", "vocabulary"):
        if config.get(key):
            config[key] = Path(config[key]).name
    return OnnxMetadata(
        fingerprint=model.fingerprint,
        method=method.name,
        config=config,
        preprocessing=method.preprocessing,
        embedding_dim=method.embedding_dim,
        sampling=model.sampling,
        mirror=method.mirror,
        inputs=graph_inputs(method),
        camera_ids=tuple(method.camera_ids) if method.reads_cameras else tuple(model.camera_ids),
        unknown_camera=config.get("unknown_camera", "mean"),
        is_frame_count_free=not method.mixes_frames,
        trained_on=model.trained_on,
        opset=opset,
        tapetum=version("tapetum"),
    )


def _check_place(files: Sequence[Path], overwrite: bool) -> None:
    place = files[0]
    if place.suffix != SUFFIX:
        raise ValueError(f"{place}: exported models are known by their ending; expected NAME{SUFFIX}")
    if not place.parent.is_dir():
        raise FileNotFoundError(f"{place}: its folder does not exist")
    for file in files:
        if file.is_dir():
            raise IsADirectoryError(f"{file}: is a folder; expected a file")
        if file.exists() and not overwrite:
            raise FileExistsError(f"{file} is there already; pass overwrite=True (--overwrite) to replace it")


def _check_packages() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(name) is None:
            raise MissingExtraError(name, "export")
