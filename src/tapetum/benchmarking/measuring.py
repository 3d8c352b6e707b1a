"""Seconds and memory of some work; what is compared is run in turn, so that disturbances meet all alike."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import torch

KIB = 1024


@dataclass(frozen=True, slots=True)
class Case:
    """Work to be measured.

    Attributes:
        run: Does it.
        scale: The whole work is that many times what `run` does.
        rounds: In how many rounds it is run at most, warming up included; None: in all.
        repeats: How often it is run in a round, each run for itself: short work is disturbed more easily.
    """

    run: Callable[[], object]
    scale: float = 1.0
    rounds: int | None = None
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Timing:
    """What some work took.

    Attributes:
        what: Its name.
        wall_s: Median seconds by the clock.
        cpu_s: Median seconds of the process on all processors.
        best_wall_s: Fewest seconds by the clock.
        best_cpu_s: Fewest seconds of the process.
        spread: Most minus fewest seconds by the clock, in parts of the median.
        rounds: Runs that count.
        added_mib: By how much it raises the memory of a fresh process; None where that was not measured.
    """

    what: str
    wall_s: float
    cpu_s: float
    best_wall_s: float
    best_cpu_s: float
    spread: float
    rounds: int
    added_mib: float | None = None

    def to_json(self) -> dict[str, object]:
        """The line as plain numbers."""
        return asdict(self)


def several(run: Callable[[], object], times: int, *, repeats: int = 1) -> Case:
    """A case of work too short to be timed alone: it is done `times` times, and counts once.

    Args:
        run: The work.
        times: At least 1.
        repeats: Of all that in a round.
    """

    def loop() -> None:
        for _ in range(times):
            run()

    return Case(loop, scale=1 / times, repeats=repeats)


def take_turns(
    cases: Mapping[str, Case], rounds: int, *, warm_up: int = 1, wait: Callable[[], object] | None = None
) -> dict[str, Timing]:
    """Timings of all cases, run in turn.

    Args:
        cases: By name.
        rounds: How often each is run and counted.
        warm_up: Rounds before that, which do not count.
        wait: Called after each run inside its time: waits for a device that works behind the host's back.
    """
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for number in range(rounds + warm_up):
        for name, case in cases.items():
            if case.rounds is None or number < case.rounds:
                seconds[name] += [_seconds(case, wait) for _ in range(case.repeats)]
    first = {name: warm_up * case.repeats for name, case in cases.items()}
    return {name: _timing(name, runs[first[name] :] or runs) for name, runs in seconds.items()}


def measure(
    cases: Callable[[], Mapping[str, Case]],
    rounds: int,
    without_memory: Sequence[str] = (),
    *,
    memory: bool = True,
) -> list[Timing]:
    """Timings of all cases, run in turn, and the memory of each in a process of its own.

    Args:
        cases: Makes them; it has to be importable by name, for the other processes.
        rounds: How often each is run, after once to warm up.
        without_memory: Cases whose memory says nothing.
        memory: Whether memory is measured at all.
    """
    found = take_turns(cases(), rounds)
    if not memory:
        return list(found.values())
    return [
        timing if name in without_memory else replace(timing, added_mib=added_mib(cases, name))
        for name, timing in found.items()
    ]


def added_mib(cases: Callable[[], Mapping[str, Case]], name: str) -> float | None:
    """By how much a case raises the memory of a fresh process at its highest; None where that is not told."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_added_mib, cases, name).result()


def forget_peak() -> bool:
    """Let the highest memory of this process count from now on; False where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def memory_mib(*, highest: bool) -> float:
    """Memory of this process in MiB: its highest so far, or what it holds now."""
    status = Path("/proc/self/status")
    if not status.is_file():  # then the highest is all that is told, in bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            KIB**2 if sys.platform == "darwin" else KIB
        )
    field = "VmHWM" if highest else "VmRSS"
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / KIB


def give_back_memory() -> None:
    """Hand what is free to the system, where its library can, so that the next work's memory is its own."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@contextmanager
def computing_threads(count: int) -> Iterator[None]:
    """Inside, torch computes with `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def waiting_for(device: str) -> Callable[[], object] | None:
    """What waits for a device; None for a processor, which leaves no work behind."""
    return torch.cuda.synchronize if device.startswith("cuda") else None


def table(timings: Sequence[Timing], unit: Timing, share: str) -> str:
    """The timings as text; `share` heads the column of wall seconds over those of `unit`."""
    lines = [f"{'':44}{'wall s':>10}{'cpu s':>10}{share:>18}{'added MiB':>11}"]
    for t in timings:
        memory = "-" if t.added_mib is None else f"{t.added_mib:.0f}"
        ratio = t.wall_s / unit.wall_s
        lines.append(f"{t.what:44}{t.wall_s:10.3f}{t.cpu_s:10.3f}{ratio:18.2f}{memory:>11}")
    return "\n".join(lines)


def _added_mib(cases: Callable[[], Mapping[str, Case]], name: str) -> float | None:
    case = cases()[name]
    if not forget_peak():
        return None
    before = memory_mib(highest=False)
    case.run()
    return memory_mib(highest=True) - before


def _seconds(case: Case, wait: Callable[[], object] | None) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    case.run()
    if wait is not None:
        wait()
    return case.scale * (time.perf_counter() - wall), case.scale * (time.process_time() - cpu)


def _timing(name: str, runs: Sequence[tuple[float, float]]) -> Timing:
    wall, cpu = ([run[i] for run in runs] for i in (0, 1))
    spread = (max(wall) - min(wall)) / median(wall) if median(wall) > 0 else 0.0
    return Timing(name, median(wall), median(cpu), min(wall), min(cpu), spread, len(runs))
