"""A state that training resumes from: tensors and a few numbers in one safetensors file, no pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor

from tapetum.errors import CheckpointError
from tapetum.files import replace_tensors
from tapetum.methods._checkpoint import AVERAGED, MODEL, TRAINING_FORMAT, read_tensors
from tapetum.training.meter import LossRow

OPTIMIZER = "optimizer/"
STATE = "state/"
_PREFIXES = {"model": MODEL, "averaged": AVERAGED, "optimizer": OPTIMIZER, "state": STATE}
_NAME = re.compile(r"step-(\d{9})\.safetensors")
_KEPT = 2


@dataclass(slots=True)
class Position:
    """Where a run is.

    Attributes:
        stage: Index of the stage.
        stage_step: Steps made in this stage.
        step: Steps made in all stages.
        seconds: Time taken so far, all sittings together.
        log_bytes: Size of the log that belongs to this position.
        pending: Losses of the steps since the last line of the log.
        best: Best validation figure so far; None before the first.
    """

    stage: int = 0
    stage_step: int = 0
    step: int = 0
    seconds: float = 0.0
    log_bytes: int = 0
    pending: list[LossRow] = field(default_factory=list)
    best: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that a run needs to go on as if it had not stopped.

    Attributes:
        position: Where the run is.
        model: Parameters and all buffers by name.
        averaged: Averaged parameters by name; empty where the run keeps none.
        optimizer: The optimiser's state as `<parameter>/<quantity>`; empty at the start of a stage.
        state: What the stage's hooks keep.
    """

    position: Position
    model: Mapping[str, Tensor]
    averaged: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    state: Mapping[str, Tensor] = field(default_factory=dict)


def save_state(folder: Path, state: TrainingState, header: Mapping[str, str]) -> Path:
    """Write a checkpoint, then delete all but the last two.

    Args:
        folder: Where checkpoints lie.
        state: What to write.
        header: Fields that describe the method, so that the file is of use alone.

    Raises:
        OSError: The file could not be written; earlier checkpoints are untouched.
    """
    path = write_state(folder / f"step-{state.position.step:09d}.safetensors", state, header)
    for old in list_states(folder)[:-_KEPT]:
        old.unlink()
    return path


def write_state(path: Path, state: TrainingState, header: Mapping[str, str]) -> Path:
    """Write one state to `path`, whole or not at all; arguments and errors as `save_state`."""
    tensors = {
        f"{prefix}{name}": tensor
        for kind, prefix in _PREFIXES.items()
        for name, tensor in getattr(state, kind).items()
    }
    return replace_tensors(
        path, tensors, {"format": TRAINING_FORMAT, "position": json.dumps(asdict(state.position)), **header}
    )


def load_state(path: Path) -> TrainingState:
    """Read a checkpoint; its tensors lie on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is incomplete, or no training checkpoint.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != TRAINING_FORMAT:
        raise CheckpointError(f"{path}: no checkpoint of a training run (format {header.get('format')!r})")
    parts = {
        kind: {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        for kind, prefix in _PREFIXES.items()
    }
    return TrainingState(read_position(header), **parts)


def read_position(header: Mapping[str, str]) -> Position:
    """The position that a checkpoint's header tells."""
    return Position(**json.loads(header["position"]))


def list_states(folder: Path) -> list[Path]:
    """Complete checkpoints in `folder`, oldest first; none where there is no such folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _NAME.fullmatch(path.name))
