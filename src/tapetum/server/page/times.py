"""Times as people read and write them: dates where they count from 1970, else seconds."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from tapetum.server.refusals import Invalid

_FIRST, _LAST = 1e8, 2.5e11
"""From 1973 on; fewer seconds count from the start of a recording. And the last year with four digits."""


def is_date(seconds: float | None) -> bool:
    """Whether a time counts from 1970, as far as its size tells.

    >>> is_date(1_772_000_000.0), is_date(72_000.0), is_date(None)
    (True, False, False)
    """
    return seconds is not None and _FIRST <= seconds < _LAST


def time_text(seconds: float | None) -> str:
    """A time for people; dates in UTC, which the page turns into the viewer's own time.

    >>> time_text(1_772_000_000.0), time_text(72_000.25), time_text(None)
    ('2026-02-25 06:13:20 UTC', '72000.2 s', 'time unknown')
    """
    if seconds is None:
        return "time unknown"
    if is_date(seconds):
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{seconds:.1f} s"


def iso_time(seconds: float) -> str:
    """A date as machines write it.

    >>> iso_time(1_772_000_000.0)
    '2026-02-25T06:13:20Z'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def field_text(seconds: float | None) -> str:
    """What a field for a time holds: a date and time of UTC, or seconds; nothing where there is none.

    >>> field_text(1_772_000_000.0), field_text(12.5), field_text(None)
    ('2026-02-25T06:13:20', '12.5', '')
    """
    if seconds is None:
        return ""
    return iso_time(seconds).removesuffix("Z") if is_date(seconds) else f"{seconds:g}"


def read_time(text: str, field: str) -> float | None:
    """The time in a field: seconds, or a date and time, of UTC where it names no zone; None where blank.

    >>> read_time("2026-02-25T06:13:20", "after"), read_time("12.5", "after"), read_time(" ", "after")
    (1772000000.0, 12.5, None)

    Raises:
        Invalid: It is neither.
    """
    text = text.strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _date(text, field)
    if not math.isfinite(seconds):
        raise Invalid(f"{text!r} is no time", field=field)
    return seconds


def _date(text: str, field: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(
            f"{text!r} is no time; expected seconds, or a date such as 2026-03-01T18:30", field=field
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
