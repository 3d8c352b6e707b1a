"""What the texts of a manifest mean: identifiers, modalities, parts, times, and the order of frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from tapetum.data.datasets._base import Remark
from tapetum.data.datasets._manifest_table import Column, Problems
from tapetum.data.pictures import natural_key
from tapetum.types import Id, Modality

VISIBLE_WORDS = ("visible", "vis", "rgb", "color", "colour")
INFRARED_WORDS = ("infrared", "ir", "nir", "thermal")
AUTO = "auto"
TRAIN, QUERY, GALLERY, TEST = "train", "query", "gallery", "test"
SPLITS = (TRAIN, QUERY, GALLERY, TEST)

_WORDS: Mapping[str, Modality | None] = {
    **dict.fromkeys(VISIBLE_WORDS, Modality.VISIBLE),
    **dict.fromkeys(INFRARED_WORDS, Modality.INFRARED),
    **dict.fromkeys((AUTO, "")),
}


def read_modality(text: str) -> Modality | None:
    """The modality that a word stands for; None for "auto" and for nothing.

    >>> read_modality("RGB"), read_modality("nir"), read_modality("auto")
    (<Modality.VISIBLE: 'visible'>, <Modality.INFRARED: 'infrared'>, None)

    Raises:
        ValueError: Another word.
    """
    try:
        return _WORDS[text.lower()]
    except KeyError:
        known = ", ".join((*VISIBLE_WORDS, *INFRARED_WORDS, AUTO))
        raise ValueError(f"unknown modality {text!r}; expected one of {known}") from None


def read_split(text: str) -> str:
    """The part that a word names, "" for nothing.

    Raises:
        ValueError: Another word.
    """
    if text.lower() not in (*SPLITS, ""):
        raise ValueError(f"unknown split {text!r}; expected one of {', '.join(SPLITS)}, or nothing")
    return text.lower()


def read_certainty(text: str) -> float | None:
    """A certainty of 0 to 1; None for nothing.

    Raises:
        ValueError: No such number.
    """
    if not text:
        return None
    if not 0.0 <= _number(text) <= 1.0:
        raise ValueError(f"modality_certainty is {text!r}; expected a number from 0 to 1")
    return float(text)


def read_ids(values: Sequence[str]) -> tuple[list[Id | None], list[str]]:
    """Identifiers: all as integers where all are, else all as texts; None for empty ones.

    Returns:
        The identifiers, and the texts that became the same integer as an earlier one ("007" after "7").

    >>> read_ids(["1", "", "007", "7"])
    ([1, None, 7, 7], ['7'])
    >>> read_ids(["1", "a2"])
    (['1', 'a2'], [])
    """
    if not all(text.removeprefix("-").isdecimal() for text in values if text):
        return [text or None for text in values], []
    found: list[Id | None] = [int(text) if text else None for text in values]
    first: dict[Id | None, str] = {}
    merged = [t for t, value in zip(values, found, strict=True) if first.setdefault(value, t) != t]
    return found, merged


def read_times(column: Column, problems: Problems) -> tuple[NDArray[np.float64], list[str]]:
    """Seconds of each row `[rows]`, NaN where empty, and notes; dates become seconds since 1970, in UTC."""
    parsed = problems.parse(column, read_time)
    plain, dated, local = (
        [code for code, value in enumerate(parsed) if value is not None and value[1] in kinds]
        for kinds in ((None,), (True, False), (False,))
    )
    if plain and dated:
        first, later = sorted(int(column.rows_of(codes[0])[0]) for codes in (plain, dated))
        problems.add(
            later,
            f"time {column.text(later)!r} does not go with {column.text(first)!r} in "
            f"{problems.table.name(first)}; expected seconds everywhere, or dates everywhere",
        )
    seconds = np.array([math.nan if value is None else value[0] for value in parsed])
    notes: list[str] = [Remark(f"{len(local)} different times name no zone; taken as UTC")] if local else []
    return seconds[column.codes], notes


def read_time(text: str) -> tuple[float, bool | None] | None:
    """Seconds, and for a date whether it names its zone (None for a plain number); None for nothing.

    >>> read_time("12.5"), read_time("1970-01-02T00:00:00+00:00"), read_time("1970-01-01 01:00")
    ((12.5, None), (86400.0, True), (3600.0, False))

    Raises:
        ValueError: Neither seconds nor a date.
    """
    if not text:
        return None
    seconds = _number(text)
    if math.isfinite(seconds):
        return seconds, None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"time {text!r}; expected seconds, or a date such as 2024-05-31T18:04:05+02:00"
        ) from None
    zoned = moment.tzinfo is not None
    return (moment if zoned else moment.replace(tzinfo=UTC)).timestamp(), zoned


def frame_order(column: Column) -> NDArray[np.float64]:
    """Place of each row in the order of frames `[rows]`: numbers as such, texts by the numbers in them."""
    numbers = np.array([_number(text) for text in column.values])
    filled = np.array([text != "" for text in column.values])
    if np.isfinite(numbers[filled]).all():
        return numbers[column.codes]
    ranks = np.empty(len(numbers))
    ranks[sorted(range(len(numbers)), key=lambda code: natural_key(column.values[code]))] = np.arange(
        len(numbers)
    )
    return ranks[column.codes]


def _number(text: str) -> float:
    """A text as a number; NaN where it is none."""
    try:
        return float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan
