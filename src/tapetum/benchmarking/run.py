"""Measure the parts of stages that are not measured yet, one after the other."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch

from tapetum.benchmarking.config import BenchConfig
from tapetum.benchmarking.ledger import Ledger, Result
from tapetum.benchmarking.measuring import computing_threads, give_back_memory
from tapetum.benchmarking.stages import STAGES, Part, parts_of
from tapetum.errors import MissingExtraError

RESULTS = "results.jsonl"
"""Name of the file of results, in their folder."""


class Show(Protocol):
    """Tells a user how far the work is."""

    def plan(self, parts: int, kept: int) -> None:
        """There are so many parts, of which some are kept from before."""

    def begin(self, stage: str, part: str) -> None:
        """A part begins."""

    def end(self, result: Result) -> None:
        """It is finished."""

    def skip(self, stage: str, part: str, reason: str) -> None:
        """It cannot be measured here."""


@dataclass(frozen=True, slots=True)
class _Task:
    stage: str
    part: str
    run: Part
    settings: Mapping[str, Any]


def run_bench(
    config: BenchConfig, stages: Sequence[str], folder: Path, show: Show, *, redo: bool = False
) -> list[Result]:
    """Results of stages, in the order of the table; what was measured under the same settings is kept.

    It may be interrupted at any time: finished parts are in the file `results.jsonl`; the next call goes on.

    Args:
        config: How large the work is.
        stages: Names; none: all.
        folder: For results; it need not exist.
        show: Is told how far the work is.
        redo: Measure again what is there.

    Raises:
        ValueError: There is no such stage.
        DataError: The file of results is of something else.
        OSError: It could not be read or written.
    """
    ledger = Ledger(folder / RESULTS)
    tasks = plan_tasks(config, stages, folder)
    known = {} if redo else {t: found for t in range(len(tasks)) if (found := _find(ledger, tasks[t]))}
    show.plan(len(tasks), len(known))
    folder.mkdir(parents=True, exist_ok=True)
    with computing_threads(config.threads), _without_warnings_of_random_weights():
        for number, task in enumerate(tasks):
            if number not in known and (result := _measure(task, show)):
                ledger.add(result)
                known[number] = result
                show.end(result)
    return [known[number] for number in sorted(known)]


def plan_tasks(config: BenchConfig, stages: Sequence[str], folder: Path) -> list[_Task]:
    """The parts of stages in the order of the table, each with the settings that its figures depend on.

    Raises:
        ValueError: There is no such stage.
    """
    for name in stages:
        parts_of(name, config, folder)
    chosen = [name for name in STAGES if name in stages or not stages]
    return [
        _Task(stage, part, run, settings_of(config, stage))
        for stage in chosen
        for part, run in parts_of(stage, config, folder).items()
    ]


def settings_of(config: BenchConfig, stage: str) -> dict[str, Any]:
    """What the figures of a stage depend on: the machine, its libraries, and the sizes."""
    content = config.model_dump(mode="json")
    own = {key: content[key] for key in ("device", "threads", "rounds", "layer", stage)}
    return {"processor": processor(), **accelerator(config.device), "torch": str(torch.__version__), **own}


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor in words, as the system calls it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def accelerator(device: str) -> dict[str, str]:
    """The accelerator in words, under a key of its own; nothing for a processor."""
    return {"accelerator": torch.cuda.get_device_name(device)} if device.startswith("cuda") else {}


@contextmanager
def _without_warnings_of_random_weights() -> Iterator[None]:
    """Inside, nobody is told that weights are random: here they always are."""
    logger = logging.getLogger("tapetum.models.backbones.clip")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _find(ledger: Ledger, task: _Task) -> Result | None:
    return ledger.find(task.stage, task.part, task.settings)


def _measure(task: _Task, show: Show) -> Result | None:
    """The result of a part; None where a package or the device's memory does not suffice for it."""
    show.begin(task.stage, task.part)
    began = time.perf_counter()
    try:
        rows = tuple(task.run())
    except (MissingExtraError, torch.OutOfMemoryError) as error:
        show.skip(task.stage, task.part, str(error).partition("\n")[0])
        return None
    finally:
        give_back_memory()
    return Result(task.stage, task.part, task.settings, rows, time.perf_counter() - began)
