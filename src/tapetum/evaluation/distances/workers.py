"""Work on blocks, shared by the processor's cores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def map_on_cores(work: Callable[[Part], Result], parts: Iterable[Part], most: int) -> list[Result]:
    """What `work` makes of every part, in order; on torch's number of threads, at most `most` at a time.

    Where torch was never imported, one after the other.

    Each part stays on one core, products included: threads of a parallel product would keep their cores busy
    for a while after it, waiting for the next one.
    """
    torch = sys.modules.get("torch")
    threads = 1 if torch is None else min(torch.get_num_threads(), max(1, most))
    if torch is None or threads < 2:
        return [work(part) for part in parts]
    with (
        _one_core_each(torch),
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        running = [pool.submit(work, part) for part in parts]
        try:
            return [future.result() for future in running]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _one_core_each(torch: ModuleType) -> Iterator[None]:
    """New threads use one core each for products; afterwards everything is as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
