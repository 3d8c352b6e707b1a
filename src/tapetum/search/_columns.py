"""What filters look at, as arrays over the rows of a gallery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.search.query import Filter, as_text, as_texts
from tapetum.search.storing import in_order
from tapetum.types import Id, Modality, Tracklet

Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Identifiers:
    """A column of identifiers, each known by its number.

    Attributes:
        numbers: int32 `[N]`, place in `values`; -1 where unknown.
        values: The distinct identifiers; 3 and "3" are two.
    """

    numbers: NDArray[np.int32]
    values: tuple[Id, ...]

    @classmethod
    def of(cls, identifiers: Iterable[Id | None]) -> Identifiers:
        """The column of some identifiers."""
        places: dict[tuple[type, Id], int] = {}
        numbers = [-1 if i is None else places.setdefault((type(i), i), len(places)) for i in identifiers]
        return cls(np.array(numbers, dtype=np.int32), tuple(value for _, value in places))

    def among(self, wanted: Id | Iterable[Id]) -> Rows:
        """Which rows have one of the wanted identifiers, compared as texts; unknown ones have not."""
        texts = as_texts(wanted) or frozenset()
        chosen = np.array([as_text(value) in texts for value in self.values] + [False], dtype=np.bool_)
        found: Rows = chosen[self.numbers]  # -1 is the last place
        return found

    def known(self) -> tuple[Id, ...]:
        """The distinct identifiers, integers first, each kind in order."""
        numbers = np.unique(self.numbers)
        return in_order(self.values[int(number)] for number in numbers if number >= 0)


@dataclass(frozen=True, slots=True)
class Columns:
    """What filters look at.

    Attributes:
        infrared: bool `[N]`.
        time: float64 `[N]`, seconds; NaN where unknown.
        camera: Cameras.
        person: People.
    """

    infrared: Rows
    time: NDArray[np.float64]
    camera: Identifiers
    person: Identifiers

    @classmethod
    def of(cls, tracklets: Sequence[Tracklet]) -> Columns:
        """The columns of some tracklets."""
        return cls(
            np.array([t.modality is Modality.INFRARED for t in tracklets], dtype=np.bool_),
            np.array([np.nan if t.time is None else t.time for t in tracklets], dtype=np.float64),
            Identifiers.of(t.camera_id for t in tracklets),
            Identifiers.of(t.person_id for t in tracklets),
        )

    def __len__(self) -> int:
        return len(self.time)

    def passing(self, where: Filter) -> Rows:
        """Which rows pass a filter."""
        kept = np.ones(len(self), dtype=np.bool_)
        if where.modality is not None:
            kept &= self.infrared == (where.modality is Modality.INFRARED)
        if where.after is not None:
            kept &= self.time >= where.after  # false for NaN
        if where.before is not None:
            kept &= self.time < where.before
        for column, wanted in ((self.camera, where.cameras), (self.person, where.persons)):
            if wanted is not None:
                kept &= column.among(wanted)
        if where.exclude_cameras is not None:
            kept &= ~self.camera.among(where.exclude_cameras)
        return kept

    def before(self, instant: float, stored_at: NDArray[np.float64], *, by_seen: bool) -> Rows:
        """Which rows are older than an instant; those of unknown age are not.

        Args:
            instant: In the seconds of `time`.
            stored_at: float64 `[N]`, when each was stored; NaN where unknown.
            by_seen: Whether `time` counts, where it is known.
        """
        age = np.where(np.isnan(self.time), stored_at, self.time) if by_seen else stored_at
        found: Rows = age < instant
        return found

    def modalities(self) -> dict[str, int]:
        """Rows of each modality, by its name."""
        infrared = int(self.infrared.sum())
        return {Modality.VISIBLE.value: len(self) - infrared, Modality.INFRARED.value: infrared}

    def span(self) -> tuple[float | None, float | None]:
        """Earliest and latest known time; None where no time is known."""
        known = self.time[~np.isnan(self.time)]
        return (float(known.min()), float(known.max())) if len(known) else (None, None)
