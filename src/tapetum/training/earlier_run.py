"""What another run learnt in its first stages, for a run that begins at a later one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tapetum.config import build_config, read_yaml
from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods._base import Method, Stage
from tapetum.methods._checkpoint import (
    FORMAT,
    MODEL,
    all_tensors,
    assign_tensors,
    fingerprint,
    load_method,
    read_header,
    read_tensors,
    stored_tensors,
)
from tapetum.training.checkpoint import list_states, read_position
from tapetum.training.config import StartConfig, differences
from tapetum.training.run_folder import RunFolder
from tapetum.training.source import TrainingSource


@dataclass(frozen=True, slots=True)
class Loan:
    """What a run begins with instead of training its first stages.

    Attributes:
        stage: Index of the stage to begin at.
        name: Its name.
        file: Where the tensors come from.
        fingerprint: Names the method as the loan made it.
    """

    stage: int
    name: str
    file: Path
    fingerprint: str

    def describe(self) -> dict[str, Any]:
        """The loan as log and `config.yaml` keep it; the stage counts from 1."""
        return {"stage": self.stage + 1, "file": str(self.file), "fingerprint": self.fingerprint}


def take_loan(start: StartConfig, method: Method, source: TrainingSource) -> Loan:
    """Give `method` the tensors that the run `start.weights` had at the end of the stage before.

    Args:
        start: Where to begin, and whose result with.
        method: As it is before the first step; unchanged where an error is raised.
        source: The training data.

    Raises:
        ConfigError: There is no such stage, it is the first, or what the run had learnt before it was learnt
            with other settings; the keys are named.
        FileNotFoundError: `start.weights` is no run's folder.
        CheckpointError: The run is of another method, of other data or people, kept nothing of that moment,
            or its tensors do not fit.
    """
    stages, lender = method.stages(), RunFolder(Path(start.weights))
    index = find_stage(stages, start.stage, method.name)
    if not lender.config.is_file():
        raise FileNotFoundError(f"{lender.root}: no folder of a run (it has no {lender.config.name})")
    _check_origin(lender, method, source)
    file = _find_file(lender, stages, index)
    header = read_header(file)
    _check_people(file, header, method, source)
    _check_settings(lender, header, method, stages, index)
    _assign(method, file)
    return Loan(index, stages[index].name, file, fingerprint(method))


def find_stage(stages: Sequence[Stage], wanted: int | str, method: str) -> int:
    """Index of a stage given by its number, counted from 1, or its name.

    Raises:
        ConfigError: There is no such stage, or it is the first, before which nothing is learnt.
    """
    names = [stage.name for stage in stages]
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names, start=1)) or "none"
    if str(wanted) in names:
        index = names.index(str(wanted))
    elif str(wanted).isdecimal() and 1 <= int(wanted) <= len(names):
        index = int(wanted) - 1
    else:
        raise ConfigError(f"{method} has no stage {wanted}; its stages: {listed}")
    if index == 0:
        raise ConfigError(f"stage {wanted} is the first of {method} ({listed}): nothing is learnt before it")
    return index


def _find_file(lender: RunFolder, stages: Sequence[Stage], index: int) -> Path:
    """The lender's file of the moment before stage `index`."""
    for file in _possible_files(lender, stages, index):
        return file
    before = stages[index - 1].name
    raise CheckpointError(
        f"{lender.root} has nothing of the end of stage {index}, {before}: no "
        f"{lender.stage_file(index - 1, before)}, no checkpoint of that moment, and its result is "
        f"{'of another one' if lender.is_finished else 'not there yet'}"
    )


def _possible_files(lender: RunFolder, stages: Sequence[Stage], index: int) -> Iterator[Path]:
    """What was kept at the end of the stage; a checkpoint of it; the result of a run with no later stage."""
    kept = lender.stage_file(index - 1, stages[index - 1].name)
    if kept.is_file():
        yield kept
    for state in list_states(lender.checkpoints):
        position = read_position(read_header(state))
        if (position.stage, position.stage_step) == (index, 0):
            yield state
    if lender.is_finished and len(load_method(lender.model).method.stages()) == index:
        yield lender.model


def _check_origin(lender: RunFolder, method: Method, source: TrainingSource) -> None:
    name = read_yaml(lender.config).get("method")
    if name != method.name:
        raise CheckpointError(f"{lender.root} is a run of {name}, not of {method.name}")
    if lender.data_fingerprint != source.fingerprint:
        raise CheckpointError(
            f"{lender.root} was trained on other data: fingerprint {lender.data_fingerprint}, now "
            f"{source.fingerprint}"
        )


def _check_people(file: Path, header: Mapping[str, str], method: Method, source: TrainingSource) -> None:
    lent, own = json.loads(header["label_ids"]), list(source.label_ids)
    if lent != own:
        foreign = sorted({str(i) for i in lent} ^ {str(i) for i in own})[:5]
        raise CheckpointError(
            f"{file} was trained on {len(lent)} people, now {len(own)}, not the same: {', '.join(foreign)} "
            "(which are held out follows from training.validation_identities and training.seed)"
        )
    if method.reads_cameras and json.loads(header["camera_ids"]) != list(source.camera_ids):
        raise CheckpointError(
            f"{file} was trained on cameras {header['camera_ids']}, now {source.camera_ids}"
        )


def _check_settings(
    lender: RunFolder, header: Mapping[str, str], method: Method, stages: Sequence[Stage], index: int
) -> None:
    """Refuse other settings than the lender's, but for those that act from stage `index` on alone."""
    lent = build_config(type(method.config), json.loads(header["config"])).model_dump(mode="json")
    free = {"weights", *(key for stage in stages[index:] for key in stage.settings)}
    differing = {
        key: values
        for key, values in differences(lent, method.config.model_dump(mode="json")).items()
        if not any(key == other or key.startswith(f"{other}.") for other in free)
    }
    if differing:
        listed = "; ".join(f"{key} was {old!r}, now {new!r}" for key, (old, new) in differing.items())
        raise ConfigError(
            f"{lender.root} learnt what comes before stage {index + 1}, {stages[index].name}, with other "
            f"settings: {listed}; its own are in {lender.config}"
        )


def _assign(method: Method, file: Path) -> None:
    """Copy the tensors of `file` into `method`: all of a checkpoint's, or those that a result stores."""
    tensors, header = read_tensors(file)
    if header["format"] == FORMAT:
        assign_tensors(stored_tensors(method), tensors, file)
    else:
        assign_tensors(all_tensors(method), _weights(tensors), file)


def _weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(MODEL): t for name, t in tensors.items() if name.startswith(MODEL)}
