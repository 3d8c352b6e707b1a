"""What is compared: data sets, rows, seeds and the training that all rows share, from one YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tapetum.config import Config, build_config, read_yaml
from tapetum.data.datasets._base import DataSpec
from tapetum.data.synthetic import FORMATS, WalkerOptions
from tapetum.errors import ConfigError
from tapetum.evaluation import protocol_names
from tapetum.registry import unknown
from tapetum.training import TrainingConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

Changes = dict[str, Any]
"""Changes to a method's preset: settings by name, nested ones as mappings or with dots."""


class WalkersConfig(Config):
    """Walkers that a comparison draws for itself."""

    format: str = Field(description="on-disk format")
    identities: int = Field(ge=2, description="people in all")
    test_identities: int | None = Field(None, ge=1, description="of them for testing; None: the format's own")
    seed: int | Literal["training"] = Field(
        0, description="of the drawing; training: drawn anew for each seed of the training"
    )
    options: Changes = Field({}, description="how they are drawn, as `WalkerOptions`: cues, difficulty, ...")

    @model_validator(mode="after")
    def _check(self) -> WalkersConfig:
        if self.format not in FORMATS:
            raise ValueError(unknown("format", self.format, sorted(FORMATS)))
        FORMATS[self.format].check(walker_options(self.options))
        return self


class DataConfig(Config):
    """A data set of a comparison: walkers to draw, or one that is there."""

    walkers: WalkersConfig | None = Field(None, description="walkers to draw")
    at: str | None = Field(None, description="FORMAT:ROOT of a data set that is there")
    read: dict[str, str | int | float | bool] = Field({}, description="options of the format's reader")
    protocols: tuple[str, ...] = Field((), description="how it is scored; none: by the format's own protocol")
    set: Changes = Field({}, description="settings of all rows that learn on it")
    title: str = ""

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        if (self.walkers is None) == (self.at is None):
            raise ValueError("expected either `walkers` or `at`")
        if self.at is not None:
            DataSpec.parse(self.at)
        for protocol in self.protocols:
            if protocol not in (known := protocol_names()):
                raise ValueError(unknown("protocol", protocol, known))
        return self

    @property
    def format(self) -> str:
        """The data set's format."""
        return self.walkers.format if self.walkers is not None else DataSpec.parse(str(self.at)).name

    @property
    def scored_by(self) -> tuple[str, ...]:
        """Names of protocols."""
        return self.protocols or (self.format,)


class RowConfig(Config):
    """A row: a method with its settings."""

    method: str
    preset: str | None = Field(None, description="None: the plan's")
    set: Changes = Field({}, description="changes to the preset")
    training: Changes = Field({}, description="its own settings of `training`, before the plan's")
    untrained: bool = Field(False, description="score the network as it starts, or what is not learnt")
    data: tuple[str, ...] | dict[str, Changes] = Field(
        (), description="data sets it runs on, with further changes on each where a mapping; none: on all"
    )
    seeds: tuple[int, ...] | None = Field(None, min_length=1, description="None: the plan's")
    title: str = ""

    def runs_on(self, data: str) -> bool:
        """Whether the row has a cell on a data set."""
        return not self.data or data in self.data

    def changes_on(self, data: str) -> Changes:
        """Changes of this row on one data set alone."""
        return self.data.get(data, {}) if isinstance(self.data, Mapping) else {}


class ComparisonPlan(Config):
    """Everything that a comparison does."""

    title: str
    about: str = Field("", description="what it is about, for its page")
    data: dict[str, DataConfig] = Field(min_length=1)
    rows: dict[str, RowConfig] = Field(min_length=1)
    preset: str = Field("tiny", description="of all rows that name none")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="of the training")
    threads: int = Field(1, ge=1, description="of each process that trains")
    training: Changes = Field({}, description="settings of `training`, of all rows that say nothing else")

    @field_validator("data", "rows")
    @classmethod
    def _check_names(cls, named: dict[str, Any]) -> dict[str, Any]:
        for name in named:
            if not _NAME.fullmatch(name):
                raise ValueError(f"name {name!r}: expected letters, digits, and any of . _ + - between them")
        return named

    @model_validator(mode="after")
    def _check(self) -> ComparisonPlan:
        _refuse_seed("training", self.training)
        for name, row in self.rows.items():
            _refuse_seed(f"rows.{name}.training", row.training)
            for data in row.data:
                if data not in self.data:
                    raise ValueError(f"rows.{name}.data: {unknown('data set', data, list(self.data))}")
            if len(set(row.seeds or self.seeds)) < len(row.seeds or self.seeds):
                raise ValueError(f"rows.{name}: a seed stands twice in {row.seeds or self.seeds}")
        return self

    def training_for(self, row: RowConfig, seed: int) -> TrainingConfig:
        """How a row's run of one seed is carried out."""
        off = {"tensorboard": False}
        return build_config(TrainingConfig, off, self.training, row.training, {"seed": seed})


def _refuse_seed(where: str, training: Changes) -> None:
    if "seed" in training:
        raise ValueError(f"{where}.seed is not given here: the plan's `seeds` are")


def read_plan(path: Path) -> ComparisonPlan:
    """The plan in a YAML file.

    Raises:
        ConfigError: The file is no plan; file and key are named.
        FileNotFoundError: There is no such file.
    """
    content = read_yaml(path)
    try:
        plan = build_config(ComparisonPlan, content)
        for row in plan.rows.values():
            plan.training_for(row, 0)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return plan


def chosen_rows(plan: ComparisonPlan, only: Iterable[str] = ()) -> list[str]:
    """Names of the rows asked for, in the plan's order; none asked for: all.

    Raises:
        ValueError: A name is no row's.
    """
    asked = tuple(only)
    for name in asked:
        if name not in plan.rows:
            raise ValueError(unknown("row", name, list(plan.rows)))
    return [name for name in plan.rows if not asked or name in asked]


def walker_options(options: Mapping[str, Any]) -> WalkerOptions:
    """How walkers are drawn, from what a file holds: lists stand for pairs.

    Raises:
        ValueError: An unknown name, or a value out of its range.
    """
    known = [field.name for field in fields(WalkerOptions)]
    for name in options:
        if name not in known:
            raise ValueError(unknown("option of walkers", name, known))
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    try:
        return WalkerOptions(**given)
    except TypeError as error:
        raise ValueError(f"options of walkers {given}: {error}") from None
