"""What a training run is told: which data, which method, and how to run; saved with the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tapetum.config import Config, build_config, merge, read_yaml
from tapetum.errors import ConfigError
from tapetum.methods._base import method_config


class TrainingConfig(Config):
    """How a run is carried out; what is learnt, and by which rates, is the method's configuration."""

    seed: int = Field(1, ge=0, description="all randomness of the run is drawn from it")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto takes an accelerator where there is one",
    )
    devices: int = Field(
        1, ge=1, description="processes on each machine, one per device, that share each batch"
    )
    nodes: int = Field(1, ge=1, description="machines that train together")
    strategy: Literal["ddp", "fsdp2"] = Field(
        "ddp", description="ddp: every process holds all weights; fsdp2: a share of them"
    )
    timeout_s: float = Field(
        600, gt=0, description="seconds that a process waits for the others before it gives up"
    )
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        "auto", description="auto: bf16-mixed on a CUDA device that has bfloat16, else 32-true"
    )
    linears: Literal["auto", "torch", "onednn"] = Field(
        "torch",
        description="library for linear layers in float32 on a processor; auto: oneDNN where it is quicker",
    )
    workers: int = Field(0, ge=0, description="processes that make batches ahead; 0: one thread")
    cache: Literal["auto", "always", "never"] = Field(
        "auto", description="keep all decoded training frames in memory; auto: where they fit in cache_gib"
    )
    cache_gib: float = Field(4.0, ge=0, description="GiB that decoded frames may take under cache: auto")
    ema: float | None = Field(
        None, gt=0, lt=1, description="decay per step of averaged weights, used for validation and the result"
    )
    validation_identities: Annotated[float, Field(ge=0)] | Literal["listed"] = Field(
        0,
        description="training identities held out: a share below 1, or a number; 0: none; listed: those that "
        "the data set's own files set apart",
    )
    validate_every: int = Field(0, ge=0, description="epochs from one validation to the next; 0: never")
    keep: Literal["last", "best"] = Field("last", description="which weights become the result")
    max_steps: int | None = Field(None, ge=1, description="largest number of steps per stage")
    max_minutes: float | None = Field(
        None, gt=0, description="time for all stages; each is shortened once, by its measured rate, to fit"
    )
    log_every: int = Field(10, ge=1, description="steps per line of the log")
    tensorboard: bool = Field(True, description="write the log for TensorBoard too")
    checkpoint_every_steps: int | None = Field(None, ge=1)
    checkpoint_every_minutes: float | None = Field(10.0, gt=0)

    @model_validator(mode="after")
    def _check_validation(self) -> TrainingConfig:
        if self.validate_every and not self.validation_identities:
            raise ValueError("validate_every needs validation_identities above 0 to validate on")
        if self.keep == "best" and not self.validate_every:
            raise ValueError("keep = best needs validate_every above 0 to compare by")
        amount = self.validation_identities
        if amount != "listed" and amount > 1 and amount % 1:
            raise ValueError(f"expected a share below 1, a whole number or listed, not {amount}")
        return self


class StartConfig(Config):
    """Where a run begins that does not train its first stages itself."""

    stage: int | str = Field(description="the first stage to train, by number from 1 or by name")
    weights: str = Field(description="folder of the run that learnt what comes before")


class RunConfig(Config):
    """A whole run; what `train` needs and `RUN/config.yaml` keeps."""

    data: str = Field(description="the data set, FORMAT:ROOT")
    method: str
    preset: str = "paper"
    config: dict[str, Any] = Field({}, description="the method's configuration, every value written out")
    training: TrainingConfig = TrainingConfig()
    start: StartConfig | None = Field(None, description="begin at a later stage; None: at the first")


CONFIG_FILE = "config.yaml"
"""Name of the file with a run's settings, in its folder."""

RECORD = "record"
"""Block of `RUN/config.yaml` that says where a run comes from; it is no setting and not read as one."""

FREE_ON_RESUME = frozenset(
    {
        "data",
        "start.weights",
        "training.devices",
        "training.nodes",
        "training.strategy",
        "training.timeout_s",
        "training.linears",
        "training.workers",
        "training.cache",
        "training.cache_gib",
        "training.log_every",
        "training.tensorboard",
        "training.checkpoint_every_steps",
        "training.checkpoint_every_minutes",
    }
)
"""Settings that leave a run's numbers as they are (of the data, the fingerprint is compared instead)."""


def resolve_run(
    method: str,
    data: str,
    *,
    preset: str | None = None,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The whole configuration of a run: defaults, then the preset, then `file`, then `overrides`.

    A run that begins at a later stage of another one takes that run's settings of the method for its
    defaults, where no preset is named; the weights which that one was built from, in any case.

    Args:
        method: Name of the method.
        data: FORMAT:ROOT.
        preset: The method's preset; None: the file's, else that of the run to begin with, else "paper".
        file: YAML with any of the blocks `method`, `data`, `preset`, `config` (of the method), `training`
            and `start`, such as another run's `config.yaml`.
        overrides: The same blocks; a key that is none of them belongs to `config`, so `loss.msel` is short
            for `config.loss.msel`.

    Raises:
        ConfigError: An unknown key or an illegal value, the nearest key is named; a file, or a run to begin
            with, of another method.
        ValueError: Unknown method or preset.
    """
    layers = merge(_read_blocks(file), _as_blocks(overrides or {}))
    if layers.get("method", method) != method:
        raise ConfigError(f"{file} is for the method {layers['method']!r}, not {method!r}")
    lent = _lent_blocks(layers.get("start"), method)
    chosen = preset or layers.get("preset")
    own = layers.get("config", {})
    if chosen is None:
        chosen, own = lent.get("preset", "paper"), merge(lent.get("config", {}), own)
    elif "weights" in lent.get("config", {}):
        own = {"weights": lent["config"]["weights"], **own}
    config = method_config(method, chosen, own).model_dump(mode="json")
    return build_config(
        RunConfig, {**layers, "data": data, "method": method, "preset": chosen, "config": config}
    )


def _lent_blocks(start: Any, method: str) -> dict[str, Any]:
    """The settings of the run that `start` names; none where there is none, or none any more."""
    if not isinstance(start, Mapping) or "weights" not in start:
        return {}
    file = Path(start["weights"]) / CONFIG_FILE
    lent = read_yaml(file) if file.is_file() else {}
    if lent.get("method", method) != method:
        raise ConfigError(f"{file.parent} is a run of {lent['method']!r}, not of {method!r}")
    return lent


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that a run's folder keeps, with the defaults of keys that its version did not have yet.

    As they are where no method of this version has such settings.
    """
    try:
        config = method_config(settings["method"], settings["preset"], settings["config"])
        filled = {**settings, "config": config.model_dump(mode="json")}
        return build_config(RunConfig, filled).model_dump(mode="json")
    except (KeyError, ValueError):
        return dict(settings)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ, with both values; a key that one side lacks counts as None there.

    >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    {'a.c': (2, 3)}
    """
    left, right = _flatten(one), _flatten(other)
    keys = [*left, *(key for key in right if key not in left)]
    return {k: (left.get(k), right.get(k)) for k in keys if left.get(k) != right.get(k)}


def _read_blocks(file: Path | None) -> dict[str, Any]:
    content = read_yaml(file) if file is not None else {}
    content.pop(RECORD, None)
    return content


def _as_blocks(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides sorted into the blocks of a run; foreign keys go to the method's configuration."""
    result: dict[str, Any] = {}
    for key, value in overrides.items():
        known = key.partition(".")[0] in RunConfig.model_fields
        result = merge(result, {key: value} if known else {"config": {key: value}})
    return result


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
