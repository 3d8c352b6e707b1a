"""The timeline of an answer: a row for each camera, a pin for each hit, where it was seen when.

Places along the time axis are percent of the drawing's width, so that it fits any screen; all else is pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tapetum.search.query import Hit
from tapetum.server.page.times import is_date, time_text
from tapetum.types import Id

_LEFT, _RIGHT = 24.0, 97.0
"""Where pins are put; to the left of them stand the names of the cameras."""

_NEAREST = 4.2
"""Percent that two pins of one lane are apart at least; nearer ones go into lanes below each other."""

_LANE, _GAP, _AXIS = 23, 4, 20
_LONGEST = 11
"""Letters of a name that there is room for."""

_MOST_TICKS = 4
_STEPS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
_SHORT = 1800
"""Ticks that span less, in seconds, show seconds and no date."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A hit of the timeline.

    Attributes:
        hit: Which.
        x: Percent of the width.
        y: Pixels from the top.
    """

    hit: Hit
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Row:
    """A camera of the timeline.

    Attributes:
        name: The camera's.
        short: Its beginning, as far as there is room.
        y: Where its name stands, in pixels from the top.
        rule: Where the line below it is drawn.
        pins: Its hits.
    """

    name: str
    short: str
    y: float
    rule: float
    pins: tuple[Pin, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A time of the axis; `text` where nothing turns dates into local time."""

    x: float
    seconds: float
    text: str
    is_short: bool

    @property
    def is_date(self) -> bool:
        """Whether it counts from 1970."""
        return is_date(self.seconds)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is drawn.

    Attributes:
        rows: By camera, integers first, unknown last.
        ticks: Times along the axis; none where no time is known: then hits stand in order of rank.
        height: In pixels.
        undated: Hits without a time, where others have one.
    """

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    height: int
    undated: tuple[Hit, ...]


def draw_timeline(hits: Sequence[Hit]) -> Timeline | None:
    """The timeline of an answer; None where it has no hits."""
    if not hits:
        return None
    times = [hit.tracklet.time for hit in hits if hit.tracklet.time is not None]
    shown = [hit for hit in hits if hit.tracklet.time is not None] if times else list(hits)
    undated = tuple(hit for hit in hits if hit.tracklet.time is None) if times else ()
    places = _places(shown)
    rows: list[Row] = []
    top = 0
    for camera in _cameras(shown):
        seen = [(places[hit.rank], hit) for hit in shown if hit.tracklet.camera_id == camera]
        row, top = _row(camera_name(camera), seen, top)
        rows.append(row)
    ticks = _ticks(min(times), max(times)) if times else ()
    return Timeline(tuple(rows), ticks, top + (_AXIS if ticks else 0), undated)


def camera_name(camera_id: Id | None) -> str:
    """A camera as people read it.

    >>> camera_name(3), camera_name("yard"), camera_name(None)
    ('Camera 3', 'yard', 'no camera')
    """
    if camera_id is None:
        return "no camera"
    text = str(camera_id)
    return f"Camera {text}" if text.isdecimal() else text


def _places(hits: Iterable[Hit]) -> dict[int, float]:
    """Percent of the width for each rank."""
    hits = list(hits)
    values = [float(hit.rank) if hit.tracklet.time is None else hit.tracklet.time for hit in hits]
    first, last = min(values), max(values)
    return {hit.rank: _place(value, first, last) for hit, value in zip(hits, values, strict=True)}


def _place(value: float, first: float, last: float) -> float:
    share = (value - first) / (last - first) if last > first else 0.5
    return _LEFT + (_RIGHT - _LEFT) * share


def _cameras(hits: Iterable[Hit]) -> list[Id | None]:
    found = {hit.tracklet.camera_id for hit in hits}
    return sorted(found, key=lambda camera: (camera is None, isinstance(camera, str), camera or 0))


def _row(name: str, seen: list[tuple[float, Hit]], top: int) -> tuple[Row, int]:
    """A camera's row, and where the next one starts."""
    ends: list[float] = []
    pins = []
    for x, hit in sorted(seen, key=lambda pair: (pair[0], pair[1].rank)):
        lane = next((lane for lane, end in enumerate(ends) if x - end >= _NEAREST), len(ends))
        ends[lane : lane + 1] = [x]
        pins.append(Pin(hit, x, top + _GAP / 2 + (lane + 0.5) * _LANE))
    bottom = top + len(ends) * _LANE + _GAP
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return Row(name, short, top + _GAP / 2 + 0.5 * _LANE + 4, bottom, tuple(pins)), bottom


def _ticks(first: float, last: float) -> tuple[Tick, ...]:
    """Round times within the span; the one time where there is only one."""
    if first == last:
        return (Tick(_place(first, first, last), first, time_text(first), is_short=False),)
    step = _step(last - first)
    numbers = range(math.ceil(first / step), math.floor(last / step) + 1)
    is_short = last - first < _SHORT
    return tuple(
        Tick(_place(number * step, first, last), number * step, _tick_text(number * step), is_short)
        for number in numbers
    )


def _step(span: float) -> float:
    """Seconds between ticks."""
    found = next((step for step in _STEPS if span / step <= _MOST_TICKS), None)
    return float(found if found is not None else 86_400 * math.ceil(span / 86_400 / _MOST_TICKS))


def _tick_text(seconds: float) -> str:
    return time_text(seconds).removesuffix(" UTC") if is_date(seconds) else f"{seconds:g} s"
