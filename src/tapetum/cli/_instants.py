"""Instants as people write and read them: spans back from now, dates, and times of an unknown epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime

FIRST_CREDIBLE = 1e9
"""Unix seconds, in 2001: earlier times of a gallery count from another epoch."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_FIRST_DATE, _LAST_DATE = -6e10, 2.5e11
"""Unix seconds that are dates of the years 69 to 9892."""


def instant_of(text: str, now: float) -> float:
    """The instant that a span before now, or a date, names: Unix seconds.

    Args:
        text: A number and s, m (minutes), h, d or w; or a date, with a time where wished, of UTC where it
            names no zone.
        now: Unix seconds that spans count back from.

    Raises:
        ValueError: It is neither, or later than now.

    >>> instant_of("2d", 200_000.0), instant_of("1970-01-02", 200_000.0)
    (27200.0, 86400.0)
    """
    span = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([smhdw])", text.strip())
    if span:
        return now - float(span[1]) * _SECONDS[span[2]]
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time: expected such as 30d, 12h, 6w, or 2026-05-04") from None
    instant = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if instant > now:
        raise ValueError(f"{text!r} lies in the future")
    return instant


def date_text(instant: float) -> str:
    """An instant as a date in UTC, or as seconds where no date can say it.

    >>> date_text(0.0)
    '1970-01-01 00:00 UTC'
    """
    if not _FIRST_DATE < instant < _LAST_DATE:
        return f"{instant:g} s"
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M UTC")


def time_text(seconds: float) -> str:
    """A tracklet's time: a date where it counts from 1970, else seconds.

    >>> time_text(72_000.0), time_text(1_777_852_800.0)
    ('72000.0 s', '2026-05-04 00:00 UTC')
    """
    return date_text(seconds) if seconds >= FIRST_CREDIBLE else f"{seconds:.1f} s"
