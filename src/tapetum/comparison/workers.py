"""Several cells at a time: processes that each work on one, and threads that listen to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO, cast

from tapetum.comparison.attempt import Task
from tapetum.comparison.cells import Cell
from tapetum.comparison.work import failure
from tapetum.training import TrainingProgress

_MODULE = "tapetum.comparison.worker"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Begin = Callable[[Cell], TrainingProgress]
Finish = Callable[[Cell, Mapping[str, Any]], None]


class WorkerPool:
    """Processes that take cells from one list."""

    def __init__(self, jobs: int, threads: int, begin: Begin, finish: Finish) -> None:
        """Prepare; no process is started yet.

        Args:
            jobs: Processes.
            threads: Of each process.
            begin: Told that work on a cell begins; its answer is told how far training is.
            finish: Given each result, one at a time.
        """
        self._jobs, self._threads = jobs, threads
        self._begin, self._finish = begin, finish
        self._lock = threading.Lock()
        self._stopping = False
        self._processes: set[subprocess.Popen[str]] = set()

    def work(self, tasks: Sequence[Task]) -> None:
        """Work on all tasks; returns when the last is finished.

        Raises:
            KeyboardInterrupt: Somebody asked to stop; the processes wrote checkpoints and ended.
            OSError: A result could not be written; the other processes were stopped as well.
        """
        self._tasks = iter(tasks)
        with ThreadPoolExecutor(self._jobs) as pool:
            listening = [pool.submit(self._attend) for _ in range(self._jobs)]
            try:
                for one in listening:
                    one.result()
            finally:
                self._stop()

    def _next(self) -> Task | None:
        with self._lock:
            return None if self._stopping else next(self._tasks, None)

    def _attend(self) -> None:
        """Give tasks to a process one after the other; a process that dies is replaced."""
        process = None
        try:
            while (task := self._next()) is not None:
                process = process or self._start()
                result = _listen(process, task, self._begin(task.cell))
                if result is None and self._stopping:
                    return
                if result is None:
                    code, process = _let_go(process), None
                    result = failure(task.cell, f"its process ended with code {code}")
                with self._lock:
                    self._finish(task.cell, result)
        except BaseException:
            self._stop()
            raise
        finally:
            if process is not None:
                _let_go(process)

    def _start(self) -> subprocess.Popen[str]:
        """A process in a session of its own, so that Ctrl-C reaches it through this one alone."""
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(self._threads))}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,
        )
        with self._lock:
            self._processes.add(process)
            if self._stopping:
                process.terminate()
        return process

    def _stop(self) -> None:
        """Ask all processes to end, once."""
        with self._lock:
            first, self._stopping = not self._stopping, True
            for process in self._processes if first else ():
                process.terminate()


def _listen(process: subprocess.Popen[str], task: Task, progress: TrainingProgress) -> dict[str, Any] | None:
    """What a process says of a task until it is finished; None where the process ended before."""
    tasks, said = cast(TextIO, process.stdin), cast(TextIO, process.stdout)
    try:
        tasks.write(json.dumps(task.to_json()) + "\n")
        tasks.flush()
    except BrokenPipeError:
        return None
    for line in said:
        kind, content = json.loads(line)
        if kind == "result":
            return dict(content)
        getattr(progress, kind)(*content)
    return None


def _let_go(process: subprocess.Popen[str]) -> int:
    """Let a process end, which it does when nothing more can come; its exit code."""
    process.communicate()
    return process.returncode
