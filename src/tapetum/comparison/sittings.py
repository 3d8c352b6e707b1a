"""Time that a piece of work takes over several sittings, kept in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tapetum.files import replace_text


@dataclass(frozen=True, slots=True)
class TimeTaken:
    """Time of all sittings.

    Attributes:
        sittings: How many there were.
        wall_s: Seconds on the clock; None where a sitting was killed, whose time nobody knows.
        cpu_s: Seconds of the process on all processors; None as for `wall_s`.
    """

    sittings: int
    wall_s: float | None
    cpu_s: float | None

    def to_json(self) -> dict[str, float | None]:
        """The figures, ready for `json.dumps`."""
        return {"sittings": self.sittings, "seconds": self.wall_s, "cpu_seconds": self.cpu_s}


@contextmanager
def sitting(file: Path) -> Iterator[None]:
    """Inside, time is taken and added to `file`, also when the work is interrupted or fails."""
    earlier = _read(file)
    _write(file, [*earlier, None])
    wall, cpu = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        _write(file, [*earlier, (time.monotonic() - wall, time.process_time() - cpu)])


def time_taken(file: Path) -> TimeTaken:
    """The sum of the sittings in `file`; it need not be there."""
    found = _read(file)
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return TimeTaken(len(found), None, None)
    return TimeTaken(len(found), sum(wall for wall, _ in known), sum(cpu for _, cpu in known))


def _read(file: Path) -> list[tuple[float, float] | None]:
    if not file.is_file():
        return []
    return [tuple(one) if one else None for one in json.loads(file.read_text(encoding="utf-8"))]


def _write(file: Path, sittings: list[tuple[float, float] | None]) -> None:
    replace_text(file, json.dumps(sittings) + "\n")
