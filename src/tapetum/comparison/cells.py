"""The cells of a comparison: one row on one data set with one seed, with all settings written out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tapetum.comparison.plan import ComparisonPlan, DataConfig, RowConfig, chosen_rows, walker_options
from tapetum.config import merge
from tapetum.data.synthetic import WALKERS_VERSION
from tapetum.errors import ConfigError
from tapetum.methods import method_names
from tapetum.methods._base import method_class
from tapetum.registry import unknown
from tapetum.training import resolve_run
from tapetum.training.config import FREE_ON_RESUME, TrainingConfig

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Cell:
    """One row on one data set with one seed.

    Attributes:
        data: Name of the data set.
        row: Name of the row.
        seed: Of the training.
        settings: Everything that its figures depend on, ready for JSON; empty where it cannot run.
        missing: Why it cannot run: the method does not exist (yet). "" where it can.
    """

    data: str
    row: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""

    @property
    def name(self) -> str:
        """Data set, row and seed as a relative path."""
        return f"{self.data}/{self.row}/seed-{self.seed}"

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that name the settings."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()


def plan_cells(plan: ComparisonPlan, only: Iterable[str] = ()) -> list[Cell]:
    """All cells of the chosen rows: data set by data set, seed by seed, row by row.

    Seeds come before rows, so that a comparison that is stopped early has whole lines to show.

    Raises:
        ConfigError: Settings that a row's method does not take; row and key are named.
        ValueError: A name in `only` is no row's.
    """
    rows = [(name, plan.rows[name]) for name in chosen_rows(plan, only)]
    cells = []
    for data in plan.data:
        here = [(name, row) for name, row in rows if row.runs_on(data)]
        seeds = sorted({seed for _, row in here for seed in row.seeds or plan.seeds}, key=_place(plan))
        for seed in seeds:
            cells += [
                _cell(plan, data, name, seed) for name, row in here if seed in (row.seeds or plan.seeds)
            ]
    return cells


def _place(plan: ComparisonPlan) -> Any:
    """Order of seeds: as the plan lists them, then others."""
    order = {seed: place for place, seed in enumerate(plan.seeds)}
    return lambda seed: (order.get(seed, len(order)), seed)


def _cell(plan: ComparisonPlan, data: str, name: str, seed: int) -> Cell:
    row = plan.rows[name]
    if row.method not in (known := method_names()):
        return Cell(data, name, seed, missing=unknown("method", row.method, known))
    try:
        return Cell(data, name, seed, _settings(plan, data, row, seed))
    except ValueError as error:
        raise ConfigError(f"rows.{name} on {data}: {error}") from None


def _settings(plan: ComparisonPlan, data: str, row: RowConfig, seed: int) -> dict[str, Any]:
    where = plan.data[data]
    common = {} if row.untrained else where.set
    changes = merge(merge(common, row.set), row.changes_on(data))
    training = plan.training_for(row, seed).model_dump(mode="json")
    if row.untrained:  # what steers training is nothing to it
        training = {name: training[name] for name in ("seed", "device")}
    preset = row.preset or plan.preset
    run = resolve_run(
        row.method, "", preset=preset, overrides={"config": changes, "training": training}
    ).model_dump(mode="json")
    return {
        "data": data_settings(where, seed),
        "method": run["method"],
        "preset": run["preset"],
        "config": run["config"],
        "untrained": row.untrained,
        "training": run["training"],
        "threads": plan.threads,
        "protocols": list(where.scored_by),
    }


def data_settings(where: DataConfig, seed: int) -> dict[str, Any]:
    """What names a data set for the training seed `seed`: how it is drawn, or where it is."""
    if where.walkers is None:
        return {"at": where.at, "read": dict(where.read)}
    walkers = where.walkers
    options = {
        name: list(v) if isinstance(v, tuple) else v
        for name, v in asdict(walker_options(walkers.options)).items()
    }
    return {
        "walkers": {
            "format": walkers.format,
            "identities": walkers.identities,
            "test_identities": walkers.test_identities,
            "seed": seed if walkers.seed == "training" else walkers.seed,
            "options": options,
            "version": WALKERS_VERSION,
        },
        "read": dict(where.read),
    }


def changed_settings(found: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that differ between a finished cell and what is asked for now: dotted key -> (was, is).

    Settings that leave figures as they are do not count. A setting that the finished cell does not know was
    added to the package later, and counts as having been at its default.
    """
    before, now = {**_defaults(str(asked["method"])), **_flat(found)}, _flat(asked)
    keys = [key for key in {**_flat(found), **now} if key not in FREE_ON_RESUME]
    return {
        key: (before.get(key), now.get(key))
        for key in keys
        if before.get(key, _MISSING) != now.get(key, _MISSING)
    }


def _defaults(method: str) -> dict[str, Any]:
    """Dotted keys of the settings of a method and of training, with their defaults."""
    config = method_class(method).config_type().model_dump(mode="json")
    return _flat({"config": config, "training": TrainingConfig().model_dump(mode="json")})


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted keys."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
