"""One line of the table: what was measured, and what it is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tapetum.benchmarking.measuring import Timing

_TIMES = ("s", "ms")


@dataclass(frozen=True, slots=True)
class Limit:
    """The best that can be had, of a unit of work.

    Attributes:
        what: What it is, in words.
        wall_s: Seconds by the clock.
        cpu_s: Seconds of processor; None where a device does the work.
    """

    what: str
    wall_s: float
    cpu_s: float | None = None

    @classmethod
    def of(cls, timing: Timing) -> Limit:
        """What a timing took at best."""
        return cls(timing.what, timing.best_wall_s, timing.best_cpu_s)


@dataclass(frozen=True, slots=True)
class Row:
    """A figure beside its limit.

    Attributes:
        what: What it is of.
        value: Median over the rounds.
        unit: Its unit; one that begins with "s" or "ms" is a time, of which less is better, all others are
            rates.
        limit: The best that can be had, in the same unit; None where there is no such thing.
        limit_of: What the limit is.
        cpu_ratio: The ratio by seconds of processor instead of the clock; None where a device works.
        spread: Most minus fewest seconds over the rounds, in parts of the median; None where it is not told.
        rounds: That count.
        usual: The same work done in the usual way, in the same unit; None where that was not measured.
        memory_mib: That it takes: added to a fresh process, or the highest of the process or device.
        facts: Further figures by name.
    """

    what: str
    value: float
    unit: str
    limit: float | None = None
    limit_of: str = ""
    cpu_ratio: float | None = None
    spread: float | None = None
    rounds: int = 1
    usual: float | None = None
    memory_mib: float | None = None
    facts: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def is_time(self) -> bool:
        """Whether less is better."""
        return self.unit.split(" ")[0] in _TIMES

    @property
    def ratio(self) -> float | None:
        """How much of the limit is reached: 1 is all of it."""
        return self._of(self.limit)

    @property
    def gain(self) -> float | None:
        """How many times as fast as the usual way."""
        return self._of(self.usual)

    def to_json(self) -> dict[str, Any]:
        """The row, with what follows from it, ready for `json.dumps`."""
        return {**asdict(self), "facts": dict(self.facts), "ratio": self.ratio, "gain": self.gain}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Row:
        """The row that `to_json` made `content` of.

        Raises:
            TypeError: It is of something else.
        """
        return cls(**{key: value for key, value in content.items() if key not in ("ratio", "gain")})

    def _of(self, other: float | None) -> float | None:
        if other is None or other <= 0 or self.value <= 0:
            return None
        return other / self.value if self.is_time else self.value / other


def time_row(
    timing: Timing,
    limit: Limit | None,
    *,
    unit: str = "s",
    usual: Timing | None = None,
    memory_mib: float | None = None,
    facts: Mapping[str, float | str] | None = None,
) -> Row:
    """A row of seconds, or of milliseconds where `unit` begins so."""
    factor = 1000 if unit.startswith("ms") else 1
    return Row(
        timing.what,
        factor * timing.wall_s,
        unit,
        None if limit is None else factor * limit.wall_s,
        "" if limit is None else limit.what,
        _share(limit, timing),
        timing.spread,
        timing.rounds,
        None if usual is None else factor * usual.wall_s,
        timing.added_mib if memory_mib is None else memory_mib,
        facts or {},
    )


def rate_row(
    timing: Timing,
    amount: float,
    unit: str,
    limit: Limit | None = None,
    *,
    usual: Timing | None = None,
    memory_mib: float | None = None,
    facts: Mapping[str, float | str] | None = None,
) -> Row:
    """A row of `amount` a second; `limit` is of the same amount."""
    return Row(
        timing.what,
        amount / timing.wall_s,
        unit,
        None if limit is None else amount / limit.wall_s,
        "" if limit is None else limit.what,
        _share(limit, timing),
        timing.spread,
        timing.rounds,
        None if usual is None else amount / usual.wall_s,
        timing.added_mib if memory_mib is None else memory_mib,
        facts or {},
    )


def _share(limit: Limit | None, timing: Timing) -> float | None:
    if limit is None or limit.cpu_s is None or timing.cpu_s <= 0:
        return None
    return limit.cpu_s / timing.cpu_s
