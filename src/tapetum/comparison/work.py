"""The work on one cell: train, embed, score, count; the answer is what its result file holds."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tapetum.comparison.cells import Cell
from tapetum.comparison.costs import count_trained, measure_costs
from tapetum.comparison.folder import FORMAT_VERSION
from tapetum.comparison.sittings import sitting, time_taken
from tapetum.data import DataSet, read_dataset
from tapetum.embed import embed
from tapetum.evaluation import DirectionScores, evaluate
from tapetum.methods import Method
from tapetum.model import load
from tapetum.training import RunConfig, TrainingProgress, build_method, train
from tapetum.types import Embeddings

_VERSIONS = ("tapetum", "torch", "numpy", "pillow", "lightning-fabric")
_RANKS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class _Trained:
    """A method ready to embed, the steps that it took, and how many of its numbers they moved."""

    method: Method
    model: str
    trained_on: str
    steps: int
    moved: int


def work_on(cell: Cell, data: str, place: Path, progress: TrainingProgress) -> dict[str, Any]:
    """The result of a cell, ready for JSON.

    Training goes on where an earlier sitting in `place` left it.

    Args:
        cell: Its settings are written out.
        data: FORMAT:ROOT of its data set.
        place: Folder to work in.
        progress: Who is told how far training is.

    Raises:
        OSError: A file could not be read or written; and whatever reading, training and scoring raise.
    """
    run = _run_config(cell.settings, data)
    is_untrained, clock = cell.settings["untrained"], place / "sittings.json"
    with _threads(cell.settings["threads"]):
        dataset = read_dataset(data)
        with sitting(clock):
            trained = _untrained(run, dataset) if is_untrained else _train(run, place / "run", progress)
        embeddings, took = _embed(trained, dataset)
        return {
            **_head(cell),
            "status": "done",
            "scores": score(embeddings, cell.settings["protocols"], dataset.root),
            "training": {"steps": trained.steps, **time_taken(clock).to_json()},
            "embedding": {**took, "tracklets": len(embeddings)},
            "costs": measure_costs(trained.method, dataset.test, trained=trained.moved).to_json(),
            "model": trained.model,
            "people": {"train": len(dataset.label_ids), "test": len(dataset.test.person_ids)},
            "made_with": _origin(),
        }


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Inside, torch computes with `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def failure(cell: Cell, error: str, details: str = "") -> dict[str, Any]:
    """The result of a cell that failed."""
    return {**_head(cell), "status": "failed", "error": error, "details": details, "made_with": _origin()}


def score(embeddings: Embeddings, protocols: list[str], root: Path) -> list[dict[str, Any]]:
    """Scores by each protocol in each direction, means over its trials, with the level of chance."""
    found = []
    for protocol in protocols:
        evaluation = evaluate(embeddings, protocol, root=root)
        for name, scores in evaluation.directions.items():
            chance = evaluation.chance[name]
            found.append(
                {
                    "protocol": protocol,
                    "direction": name,
                    "trials": scores.trials,
                    "queries": scores.queries,
                    "skipped": scores.skipped,
                    **_figures(scores),
                    "chance": None if chance is None else _figures(chance),
                }
            )
    return found


def _figures(scores: DirectionScores) -> dict[str, float]:
    ranks = {f"rank{r}": float(scores.rank(r)) for r in _RANKS}
    return {**ranks, "map": float(scores.mean_ap), "minp": float(scores.mean_inp)}


def _run_config(settings: Mapping[str, Any], data: str) -> RunConfig:
    blocks = {name: settings[name] for name in ("method", "preset", "config", "training")}
    return RunConfig(data=data, **blocks)


def _train(run: RunConfig, out: Path, progress: TrainingProgress) -> _Trained:
    result = train(run, out, resume=True, progress=progress)
    model = load(out, device=_device(run))
    method = model.method
    moved = count_trained(build_method(run, method.num_identities, method.num_cameras))
    return _Trained(method, model.fingerprint, model.trained_on, result.steps, moved)


def _untrained(run: RunConfig, dataset: DataSet) -> _Trained:
    method = build_method(run, len(dataset.label_ids), len(dataset.camera_ids))
    if method.reads_cameras:
        method.camera_ids = dataset.camera_ids
    return _Trained(method.eval().to(_device(run)), "", "", 0, 0)


def _embed(trained: _Trained, dataset: DataSet) -> tuple[Embeddings, dict[str, float]]:
    """Embeddings of the test part, and the seconds that they took."""
    wall, cpu = time.monotonic(), time.process_time()
    found = embed(trained.method, dataset.test)
    took = {"seconds": time.monotonic() - wall, "cpu_seconds": time.process_time() - cpu}
    return replace(found, model=trained.model, trained_on=trained.trained_on), took


def _device(run: RunConfig) -> str:
    asked = run.training.device
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def _head(cell: Cell) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "data": cell.data,
        "row": cell.row,
        "seed": cell.seed,
        "fingerprint": cell.fingerprint,
        "settings": dict(cell.settings),
    }


def _origin() -> dict[str, Any]:
    return {
        **{name: version(name) for name in _VERSIONS},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "processor",
    }
