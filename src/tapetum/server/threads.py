"""Work that would hold up the event loop, done by a few threads; so much of it may wait and no more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tapetum.server.refusals import Busy, TimedOut

T = TypeVar("T")


class Threads:
    """A bounded pool of threads with a bounded queue. It is used from one event loop."""

    def __init__(self, name: str, *, threads: int, most_waiting: int, timeout_s: float) -> None:
        """Prepare; threads are started when they are needed.

        Args:
            name: What they do, for messages.
            threads: How many there are.
            most_waiting: How much work may wait for one.
            timeout_s: How long work may wait and be done.
        """
        self._name = name
        self._most = threads + most_waiting
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"tapetum-{name}")
        self._lock = threading.Lock()
        self._open = 0

    @property
    def open(self) -> int:
        """How much work waits or is being done."""
        return self._open

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns; where the caller is cancelled, work that was not begun is not done.

        Raises:
            Busy: Too much waits already.
            TimedOut: It took too long; what was begun goes on, but nobody waits for it.
        """
        with self._lock:
            if self._open >= self._most:
                raise Busy(f"too many requests wait for {self._name}", retry_after_s=1.0)
            self._open += 1
        future = self._pool.submit(work)
        future.add_done_callback(self._one_less)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.done() and not future.cancelled():
                raise  # the work's own
            raise TimedOut(f"{self._name} took longer than {self._timeout_s:g} s") from None

    def close(self) -> None:
        """Begin nothing new; what is being done goes on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _one_less(self, _: Future[T]) -> None:
        with self._lock:
            self._open -= 1
