"""Seconds and memory of some work, for the benchmarks beside this file."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

KIB = 1024


@dataclass(frozen=True)
class Case:
    """Work to be measured.

    Attributes:
        run: Does it.
        scale: The whole work is that many times what `run` does.
        rounds: How often it is run at most; None: as often as all others.
    """

    run: Callable[[], object]
    scale: float = 1.0
    rounds: int | None = None


@dataclass(frozen=True)
class Timing:
    """One line of a table; None where it was not measured."""

    what: str
    wall_s: float
    cpu_s: float
    added_mib: float | None

    def to_json(self) -> dict[str, object]:
        """The line as plain numbers."""
        return asdict(self)


def measure(
    cases: Callable[[], Mapping[str, Case]], rounds: int, without_memory: Sequence[str] = ()
) -> list[Timing]:
    """Medians of the seconds of all cases, run in turn, and the memory of each in a process of its own.

    Args:
        cases: Makes them; it has to be importable by name, for the other processes.
        rounds: How often each is run, after once to warm up.
        without_memory: Cases whose memory says nothing.
    """
    prepared = cases()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in prepared}
    for number in range(rounds + 1):
        for name, case in prepared.items():
            if case.rounds is None or number < case.rounds:
                seconds[name].append(_seconds(case))
    memory = {name: None if name in without_memory else added_mib(cases, name) for name in prepared}
    return [_timing(name, runs, memory[name]) for name, runs in seconds.items()]


def _timing(name: str, runs: Sequence[tuple[float, float]], memory: float | None) -> Timing:
    wall, cpu = (median(run[i] for run in runs[1:] or runs) for i in (0, 1))
    return Timing(name, wall, cpu, memory)


def _seconds(case: Case) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    case.run()
    return case.scale * (time.perf_counter() - wall), case.scale * (time.process_time() - cpu)


def added_mib(cases: Callable[[], Mapping[str, Case]], name: str) -> float | None:
    """By how much a case raises the memory of a fresh process at its highest; None where that is not told."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_added_mib, cases, name).result()


def _added_mib(cases: Callable[[], Mapping[str, Case]], name: str) -> float | None:
    case = cases()[name]
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the highest so far
    except OSError:
        return None
    before = _memory_kib("VmRSS")
    case.run()
    return (_memory_kib("VmHWM") - before) / KIB


def _memory_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def table(timings: Sequence[Timing], unit: Timing, share: str) -> str:
    """The timings as text; `share` heads the column of wall seconds over those of `unit`."""
    lines = [f"{'':44}{'wall s':>10}{'cpu s':>10}{share:>18}{'added MiB':>11}"]
    for t in timings:
        memory = "-" if t.added_mib is None else f"{t.added_mib:.0f}"
        ratio = t.wall_s / unit.wall_s
        lines.append(f"{t.what:44}{t.wall_s:10.3f}{t.cpu_s:10.3f}{ratio:18.2f}{memory:>11}")
    return "\n".join(lines)
