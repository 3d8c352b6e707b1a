"""Work ahead of its use in another thread, by a bounded number of items."""

from __future__ import annotations

from collections.abc import Generator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 0.1
"""Seconds after which a waiting thread looks whether it is still wanted."""


class _End:
    """Put last: what stopped the work, if anything did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(items: Generator[T, None, None], most: int) -> Generator[T, None, None]:
    """The items in their order, made in a thread of their own, at most `most` of them waiting.

    Closing the iterator stops the work after the item in the making. What the work raises is raised here.
    """
    waiting: Queue[T | _End] = Queue(most)
    stop = Event()

    def put(item: T | _End) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=_PATIENCE)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    break
            items.close()
            put(_End())
        except BaseException as error:
            put(_End(error))

    thread = Thread(target=work, name="tapetum-ingest", daemon=True)
    thread.start()
    try:
        while True:
            item = _get(waiting)
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        thread.join()


def _get(waiting: Queue[T | _End]) -> T | _End:
    """The next item; waited for in short steps, so that an interrupt is noticed everywhere."""
    while True:
        try:
            return waiting.get(timeout=_PATIENCE)
        except Empty:
            continue
