"""Several processes of this machine that turn shards into files; one that is killed costs some time."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from tapetum.scale.ledger import Ledger
from tapetum.scale.shards import Shard
from tapetum.scale.store import open_store
from tapetum.scale.worker import Job, Outcome, ShardWorker, failed

ATTEMPTS = 3
"""How often a shard is begun whose process is killed, before it counts as failed."""

_PATIENCE_S = 1.0
_LEAVE_S = 10.0


@dataclass(slots=True)
class _Seat:
    """A process, how to talk to it, and what it is working on."""

    process: SpawnProcess
    connection: Connection
    is_ready: bool = False
    shard: Shard | None = None


def run_in_pool(job: Job, shards: Sequence[Shard], workers: int, ledger: Ledger) -> None:
    """Work on shards in `workers` processes, and note what becomes of each.

    A shard whose process dies is given to another one, `ATTEMPTS` times. A script that calls this needs
    `if __name__ == "__main__":`, as for everything that starts processes.

    Args:
        job: What workers must know. On devices with numbers, such as cuda, each gets one in turn.
        shards: What to do.
        workers: Processes.
        ledger: Where outcomes are noted.

    Raises:
        ValueError: `workers` below 1.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; expected at least 1")
    pool = _Pool(job, shards, workers, ledger)
    try:
        pool.run()
    finally:
        pool.close()


class _Pool:
    """The loop that hands out shards and listens."""

    def __init__(self, job: Job, shards: Sequence[Shard], workers: int, ledger: Ledger) -> None:
        self._job, self._ledger = job, ledger
        self._waiting = deque(shards)
        self._attempts: Counter[str] = Counter()
        self._count = min(workers, len(shards))
        self._seats: dict[int, _Seat] = {}
        self._false_starts = 0
        self._context = multiprocessing.get_context("spawn")

    def run(self) -> None:
        """Until every shard has an outcome, or no more are begun and those begun are finished."""
        while not self._is_finished():
            self._fill()
            found: dict[Any, int] = {}
            for number, seat in self._seats.items():
                found[seat.connection] = found[seat.process.sentinel] = number
            for ready in wait([*found], timeout=_PATIENCE_S):
                if found[ready] in self._seats:
                    self._hear(found[ready])

    def _is_finished(self) -> bool:
        is_working = any(seat.shard is not None for seat in self._seats.values())
        return not is_working and (self._ledger.is_over or not self._waiting)

    def _fill(self) -> None:
        """Start processes for empty seats, and give shards to those that are ready and idle."""
        for number in range(self._count):
            if self._ledger.is_over or not self._waiting:
                return
            seat = self._seats.get(number)
            if seat is None:
                self._seats[number] = self._start(number)
            elif seat.is_ready and seat.shard is None:
                self._give(seat, self._waiting.popleft())

    def _start(self, number: int) -> _Seat:
        here, there = self._context.Pipe()
        job = replace(self._job, device=_device_of(self._job.device, number))
        process = self._context.Process(target=_serve, args=(there, job), daemon=True)
        process.start()
        there.close()
        return _Seat(process, here)

    def _give(self, seat: _Seat, shard: Shard) -> None:
        seat.shard = shard
        try:
            seat.connection.send(shard)
        except OSError:
            return  # it is dead, which its sentinel tells

    def _hear(self, number: int) -> None:
        """Take what a process says; where it can say no more, it is dead."""
        seat = self._seats[number]
        try:
            if not seat.connection.poll():
                if not seat.process.is_alive():
                    self._bury(number)
                return
            said: Outcome | str = seat.connection.recv()
        except (EOFError, OSError):
            self._bury(number)
            return
        if isinstance(said, Outcome):
            seat.shard = None
            self._ledger.note(said)
        elif said:
            self._ledger.stop(said)
        else:
            seat.is_ready, self._false_starts = True, 0

    def _bury(self, number: int) -> None:
        """Take a dead process from its seat, and have its shard begun anew."""
        seat = self._seats.pop(number)
        seat.process.join(_LEAVE_S)
        seat.connection.close()
        how = _ending(seat.process.exitcode)
        self._sweep(seat)
        if not seat.is_ready:
            self._false_starts += 1
            if self._false_starts >= ATTEMPTS:
                self._ledger.stop(f"worker processes end as they start ({how})")
        if seat.shard is None:
            return
        self._attempts[seat.shard.key] += 1
        if self._attempts[seat.shard.key] < ATTEMPTS:
            self._waiting.appendleft(seat.shard)
        else:
            self._ledger.note(failed(seat.shard, f"its process ended {ATTEMPTS} times, at last {how}"))

    def close(self) -> None:
        """Let all processes end; those that do not are ended."""
        for seat in self._seats.values():
            seat.connection.close()
            if seat.shard is not None:
                seat.process.terminate()
        for seat in self._seats.values():
            seat.process.join(_LEAVE_S)
            if seat.process.is_alive():
                seat.process.kill()
                seat.process.join(_LEAVE_S)
            self._sweep(seat)

    def _sweep(self, seat: _Seat) -> None:
        """Remove what a process that has ended left half-written."""
        if seat.shard is not None and seat.process.pid is not None:
            open_store(self._job.out).sweep(seat.shard.result, seat.process.pid)


def _serve(connection: Connection, job: Job) -> None:
    """In a process of its own: an empty text when ready, then an outcome for each shard that comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker = ShardWorker(job)
    except Exception as error:
        connection.send(str(error) or type(error).__name__)
        return
    try:
        connection.send("")
        while True:
            connection.send(worker.work(connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # nobody listens any more; what was finished is kept


def _device_of(device: str, number: int) -> str:
    """The device of a worker: "cuda" becomes one of those that there are, in turn."""
    if device != "cuda":
        return device
    import torch

    return f"cuda:{number % max(1, torch.cuda.device_count())}"


def threads_each(workers: int) -> int:
    """Threads that each of several workers computes with, so that all together are as many as processors.

    >>> threads_each(10_000)
    1
    """
    return max(1, (os.cpu_count() or 1) // max(1, workers))


def _ending(code: int | None) -> str:
    """How a process ended, in words.

    >>> _ending(-9), _ending(3)
    ('by signal SIGKILL', 'with code 3')
    """
    if code is not None and code < 0:
        return f"by signal {signal.Signals(-code).name}"
    return f"with code {code}"
