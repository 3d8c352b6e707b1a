"""Stopping a run politely: a signal asks, the loop answers at the end of its step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.requested = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; the second stops at once.

        Raises:
            KeyboardInterrupt: It is the second.
        """
        if self.requested:
            raise KeyboardInterrupt("stopped at once; what is not in a checkpoint is lost")
        self.requested = True


@contextmanager
def polite_signals() -> Iterator[Interrupt]:
    """Inside, Ctrl-C and a termination signal set a flag; outside the main thread nothing changes."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.signal(number, interrupt.handle) for number in _SIGNALS}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
