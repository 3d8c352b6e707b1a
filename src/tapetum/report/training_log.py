"""A run's training log as curves: every number under known keys of its JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError

_MONITORS = "monitors"


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity over training, in step order.

    Attributes:
        name: As the log calls it.
        steps: int64 `[N]`, counted through all stages.
        values: float64 `[N]`.
    """

    name: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    def averaged(self, points: int) -> Curve:
        """The same curve in at most `points` points, each the mean of equally many; the last, of the rest."""
        size = -(-len(self.steps) // points)
        if size <= 1:
            return self
        starts = np.arange(0, len(self.steps), size)
        lengths = np.diff(np.append(starts, len(self.steps)))
        values = np.add.reduceat(self.values, starts) / lengths
        return Curve(self.name, self.steps[starts + (lengths - 1) // 2], values)


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """What a run logged.

    Attributes:
        losses: One curve per named loss.
        rates: Learning rate, one curve per parameter group where the log names groups.
        validation: One curve per validation figure.
        monitors: One curve per figure that the method measured of itself, by "group/name".
        stages: (name, first step) in order; steps count through all stages.
        not_finite: How many logged values were NaN or infinite, and so are in no curve.
    """

    losses: tuple[Curve, ...]
    rates: tuple[Curve, ...]
    validation: tuple[Curve, ...]
    stages: tuple[tuple[str, int], ...]
    not_finite: int = 0
    monitors: tuple[Curve, ...] = ()


def read_training_log(source: Path | Iterable[Mapping[str, Any]]) -> TrainingLog:
    """The curves of a JSON-lines file, or of its records.

    Records without a step and fields that are no numbers are passed over; NaN and infinities are counted.
    Where a resumed run repeats a step, the later record counts. A stage whose steps start again from 0
    follows the one before.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: A line that is not a JSON object, other than an unfinished last one.
    """
    records = _read_lines(source) if isinstance(source, Path) else list(source)
    return _collect(_placed(records))


def _read_lines(path: Path) -> list[Mapping[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    records: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):  # the run may be writing this line, or died in it
                break
            raise DataError(f"{path}, line {number}: not JSON: {error}") from None
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {number}: expected a JSON object, found {type(record).__name__}")
        records.append(record)
    return records


def _placed(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, int, Mapping[str, Any]]]:
    """(stage, step through all stages, record), sorted, one record per step and kind of content."""
    stages: dict[str, dict[int, dict[str, Any]]] = {}
    for record in records:
        step = record.get("step")
        if isinstance(step, int) and not isinstance(step, bool):
            steps = stages.setdefault(str(record.get("stage", "")), {})
            steps[step] = _merged(steps.get(step, {}), record)
    placed: list[tuple[str, int, Mapping[str, Any]]] = []
    for stage, steps in stages.items():
        last = placed[-1][1] if placed else -1
        offset = last + 1 if _first_step(steps) <= last else 0
        placed += [(stage, step + offset, steps[step]) for step in sorted(steps)]
    return placed


def _merged(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Both records of one step; what several hooks measured there stands side by side."""
    both = [record[_MONITORS] for record in (earlier, later) if isinstance(record.get(_MONITORS), Mapping)]
    monitors = {_MONITORS: {key: value for found in both for key, value in found.items()}} if both else {}
    return {**earlier, **later, **monitors}


def _first_step(steps: Mapping[int, Mapping[str, Any]]) -> int:
    """The first step that trained; hooks before it measure at the last one of the stage before."""
    return min((step for step, record in steps.items() if "losses" in record), default=min(steps))


def _collect(placed: Iterable[tuple[str, int, Mapping[str, Any]]]) -> TrainingLog:
    found: dict[str, dict[str, list[tuple[int, float]]]] = {
        kind: {} for kind in ("losses", "lr", "validation", _MONITORS)
    }
    stages: dict[str, int] = {}
    not_finite = 0
    for stage, step, record in placed:
        stages.setdefault(stage, step)
        for kind, curves in found.items():
            for name, value in _numbers(record.get(kind, {}), ""):
                if math.isfinite(value):
                    curves.setdefault(name or kind, []).append((step, value))
                else:
                    not_finite += 1
    losses, rates, validation, monitors = (_curves(curves) for curves in found.values())
    return TrainingLog(losses, rates, validation, tuple(stages.items()), not_finite, monitors)


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """Every number in a nesting of mappings and lists, with its dotted name; null stands for NaN."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(inner, f"{name}.{index}" if name else str(index))
    elif value is None:
        yield name, math.nan
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def _curves(found: Mapping[str, list[tuple[int, float]]]) -> tuple[Curve, ...]:
    return tuple(
        Curve(name, np.array([s for s, _ in points], dtype=np.int64), np.array([v for _, v in points]))
        for name, points in found.items()
    )
