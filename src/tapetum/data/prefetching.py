"""Make items ahead of their use: in one thread, or in worker processes that send tensors by shared memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from itertools import islice
from typing import Any, Generic, Protocol, Self, TypeVar, cast

_THREADS = "tapetum-data"
_AHEAD = 2
"""Items in the making or waiting, for each worker."""


class Pinnable(Protocol):
    """What can be moved into page-locked memory."""

    def pin_memory(self) -> Self:
        """The same, in page-locked memory."""


ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")


class Prefetcher(Generic[KeyT, ItemT]):
    """`make(key)` for key after key, made before they are asked for and handed out in order."""

    def __init__(self, make: Callable[[KeyT], ItemT], *, workers: int = 0, pin: bool = False) -> None:
        """Prepare; nothing is started before the first stream.

        Args:
            make: A pure function; with workers it is sent to them once, so it must pickle.
            workers: Processes, each with one torch thread, started on first use and kept until `close`;
                0: one thread of this process, which helps because decoding happens outside Python's lock.
            pin: Move items, which then have to be `Pinnable`, into page-locked memory, in a thread of this
                process.

        Raises:
            ValueError: `workers` below 0.
        """
        if workers < 0:
            raise ValueError(f"workers must be 0 or more, found {workers}")
        self._make, self._workers, self._pin = make, workers, pin
        self._processes: ProcessPoolExecutor | None = None

    def stream(self, keys: Iterable[KeyT]) -> Generator[ItemT, None, None]:
        """The items of `keys` in order; closing the iterator, or an exception of `make`, stops the work.

        Raises:
            RuntimeError: A worker process died.
        """
        rest = iter(keys)
        waiting: deque[Future[ItemT]] = deque()
        with ExitStack() as stack:
            submit = self._submitter(stack)
            stack.callback(lambda: [future.cancel() for future in waiting])
            waiting.extend(submit(key) for key in islice(rest, _AHEAD * max(1, self._workers)))
            while waiting:
                item = self._wait_for(waiting.popleft())
                waiting.extend(submit(key) for key in islice(rest, 1))
                yield item

    def _wait_for(self, future: Future[ItemT]) -> ItemT:
        try:
            return future.result()
        except BrokenProcessPool as error:
            self.close()
            raise RuntimeError(
                "a data worker process ended abruptly: it was killed (memory?) or could not start (scripts "
                "that use workers need `if __name__ == '__main__':`); workers=0 does without processes"
            ) from error

    def close(self) -> None:
        """Stop the worker processes, if any; a later stream starts new ones."""
        if self._processes is not None:
            self._processes.shutdown(cancel_futures=True)
            self._processes = None

    def _submitter(self, stack: ExitStack) -> Callable[[KeyT], Future[ItemT]]:
        """How a key is handed over; threads live as long as `stack`, processes until `close`."""
        pool: Executor = self._process_pool() if self._workers else stack.enter_context(_one_thread())
        make = _make_in_worker if self._workers else self._make
        if not self._pin:
            return lambda key: pool.submit(make, key)
        pinner = stack.enter_context(_one_thread())
        return lambda key: pinner.submit(_pinned, pool.submit(make, key))

    def _process_pool(self) -> ProcessPoolExecutor:
        if self._processes is None:
            context = multiprocessing.get_context("spawn")
            self._processes = ProcessPoolExecutor(self._workers, context, _start_worker, (self._make,))
        return self._processes


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix=_THREADS)


def _pinned(future: Future[ItemT]) -> ItemT:
    return cast(ItemT, cast(Pinnable, future.result()).pin_memory())


_worker: dict[str, Callable[[Any], Any]] = {}
"""In a worker process: what it makes items with."""


def _start_worker(make: Callable[[Any], Any]) -> None:
    """Prepare a worker process: one torch thread, interrupts are the parent's business, no life after it."""
    _worker["make"] = make
    if "torch" in sys.modules:  # what makes the items brought it along; readers of arrays do without
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _make_in_worker(key: Any) -> Any:
    return _worker["make"](key)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
