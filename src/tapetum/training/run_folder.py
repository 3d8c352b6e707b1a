"""A run's folder: what lies where, and the rules for starting a run in it or going on with one."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from tapetum.config import read_yaml, to_yaml
from tapetum.errors import CheckpointError, ConfigError
from tapetum.files import replace_text
from tapetum.training.config import CONFIG_FILE, FREE_ON_RESUME, RECORD, completed, differences

_ONEDNN = "onednn_products"
_VERSIONS = ("tapetum", "torch", "numpy", "lightning-fabric", "pillow", "safetensors")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of a run's files."""

    root: Path

    @property
    def config(self) -> Path:
        """Every setting of the run, and where it comes from."""
        return self.root / CONFIG_FILE

    @property
    def log(self) -> Path:
        """The log, one JSON object per line."""
        return self.root / "metrics.jsonl"

    @property
    def board(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """States to resume from."""
        return self.root / "checkpoints"

    @property
    def stages(self) -> Path:
        """What was learnt by the end of each stage but the last, for runs that begin at the next one."""
        return self.root / "stages"

    def stage_file(self, index: int, name: str) -> Path:
        """The method's tensors at the end of the stage `name`, the run's `index`-th from 0."""
        return self.stages / f"{index + 1}-{name}.safetensors"

    @property
    def plan(self) -> Path:
        """Steps of each stage of a run with a time limit, as its measured rate allowed."""
        return self.root / "plan.json"

    @property
    def model(self) -> Path:
        """The result; it exists when the run is finished."""
        return self.root / "model.safetensors"

    @property
    def best(self) -> Path:
        """The best weights so far by validation, where the run is asked to keep them."""
        return self.root / "best.safetensors"

    @property
    def is_finished(self) -> bool:
        """Whether the run has its result."""
        return self.model.is_file()

    def check(self, settings: Mapping[str, Any], resume: bool) -> None:
        """Refuse a folder in which the run can neither start nor go on; nothing is changed.

        Raises:
            FileExistsError: The folder is not empty, and the run was not to be resumed.
            NotADirectoryError: There is a file of that name.
            ConfigError: The run in it had other settings.
        """
        if self.root.exists() and not self.root.is_dir():
            raise NotADirectoryError(f"{self.root} is a file; a run needs a folder")
        if resume and self.config.is_file():
            self._check_same_settings(settings)
        elif self.root.is_dir() and not all(is_leftover(path) for path in self.root.iterdir()):
            hint = (
                "it holds no run to resume"
                if resume
                else "resume the run in it, or train into another folder"
            )
            raise FileExistsError(f"{self.root} is not empty; {hint}")

    def enter(
        self,
        settings: Mapping[str, Any],
        data_fingerprint: str,
        resume: bool,
        *,
        onednn_products: Sequence[str] = (),
        started_from: Mapping[str, Any] | None = None,
    ) -> None:
        """Start a run in the folder, or get ready to go on with the one in it.

        Args:
            settings: What the run is told.
            data_fingerprint: Names its training data.
            resume: Whether it may go on.
            onednn_products: Kept in the record of a run that starts, so that a resumed one rounds alike.
            started_from: What it begins with instead of its first stages, kept in the record too.

        Raises:
            FileExistsError: As `check`, and so are NotADirectoryError and ConfigError.
            CheckpointError: The run in it was trained on other data.
        """
        self.check(settings, resume)
        if self.config.is_file():
            self._check_same_data(data_fingerprint)
        else:
            self.root.mkdir(parents=True, exist_ok=True)
            record = {**_describe_origin(data_fingerprint), _ONEDNN: list(onednn_products)}
            if started_from:
                record["started_from"] = dict(started_from)
            replace_text(self.config, to_yaml({**settings, RECORD: record}))
        self.checkpoints.mkdir(exist_ok=True)
        for folder in filter(Path.is_dir, (self.root, self.checkpoints, self.stages)):
            for path in filter(is_leftover, folder.iterdir()):
                path.unlink()

    def _check_same_settings(self, settings: Mapping[str, Any]) -> None:
        found = completed({k: v for k, v in read_yaml(self.config).items() if k != RECORD})
        asked = yaml.safe_load(to_yaml(settings))
        differing = {k: v for k, v in differences(found, asked).items() if k not in FREE_ON_RESUME}
        if differing:
            listed = "; ".join(f"{k} was {old!r}, now {new!r}" for k, (old, new) in differing.items())
            raise ConfigError(f"{self.root} cannot be resumed with other settings: {listed}")

    def _check_same_data(self, data_fingerprint: str) -> None:
        found = self.data_fingerprint
        if found != data_fingerprint:
            raise CheckpointError(
                f"{self.root} was trained on other data: fingerprint {found}, now {data_fingerprint}"
            )

    @property
    def onednn_products(self) -> tuple[str, ...]:
        """Products of linear layers that the run in the folder computes by oneDNN."""
        return tuple(self._record.get(_ONEDNN, ()))

    @property
    def data_fingerprint(self) -> str | None:
        """What the run in the folder was trained on."""
        return self._record.get("data_fingerprint")

    @property
    def _record(self) -> dict[str, Any]:
        record: dict[str, Any] = read_yaml(self.config).get(RECORD, {})
        return record

    def planned_steps(self, stage: int) -> int | None:
        """Steps of a stage as once planned under a time limit; None where there is no plan yet."""
        return self._read_plan().get(str(stage))

    def plan_steps(self, stage: int, steps: int) -> None:
        """Keep the steps of a stage, so that a resumed run makes just as many."""
        replace_text(self.plan, json.dumps({**self._read_plan(), str(stage): steps}) + "\n")

    def _read_plan(self) -> dict[str, int]:
        if not self.plan.is_file():
            return {}
        plan: dict[str, int] = json.loads(self.plan.read_text(encoding="utf-8"))
        return plan


def is_leftover(path: Path) -> bool:
    """Whether a killed process had begun to write `path`; names of unfinished files begin with a dot."""
    return path.name.startswith(".") and path.is_file()


def package_versions() -> dict[str, str]:
    """Versions of what a run's numbers come from, by name."""
    return {**{name: version(name) for name in _VERSIONS}, "python": platform.python_version()}


def _describe_origin(data_fingerprint: str) -> dict[str, Any]:
    return {"data_fingerprint": data_fingerprint, "versions": package_versions()}
