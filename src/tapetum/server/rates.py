"""How often one user or address may ask: a bucket of tickets that fills up again at an even rate."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

_MOST_BUCKETS = 10_000


class RateLimit:
    """A bucket for each key; a request takes a ticket. Usable from any thread."""

    def __init__(self, *, per_minute: float, at_once: float, clock: Callable[[], float] = monotonic) -> None:
        """All buckets full.

        Args:
            per_minute: Tickets that each bucket gains in a minute.
            at_once: Tickets that it holds at most.
            clock: Seconds.
        """
        self._per_second = per_minute / 60.0
        self._at_once = max(1.0, at_once)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, key: str) -> float:
        """Take a ticket: 0; or seconds until there is one, where there is none."""
        now = self._clock()
        with self._lock:
            tickets, since = self._buckets.pop(key, (self._at_once, now))
            tickets = min(self._at_once, tickets + (now - since) * self._per_second)
            wait_s = 0.0 if tickets >= 1.0 else (1.0 - tickets) / self._per_second
            self._buckets[key] = (tickets - 1.0 if wait_s == 0.0 else tickets, now)
            while len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        return math.ceil(wait_s * 1e3) / 1e3
