"""What is asked of a gallery and what it answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tapetum.types import Id, Modality, Tracklet


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tracklets a search looks at; every condition that is given must hold.

    Identifiers are compared as texts: 3 and "3" name the same camera. A tracklet whose camera, person or time
    is unknown fails every condition on it, except that no unknown camera is excluded.

    Attributes:
        modality: Only this modality; a `Modality` or its name.
        cameras: Only these cameras; one or several.
        exclude_cameras: None of these cameras; one or several.
        persons: Only these people; one or several.
        after: Earliest time, in the seconds of `Tracklet.time`, included.
        before: Time in the same seconds at which the search ends, not included.
    """

    modality: Modality | str | None = None
    cameras: Id | Iterable[Id] | None = None
    exclude_cameras: Id | Iterable[Id] | None = None
    persons: Id | Iterable[Id] | None = None
    after: float | None = None
    before: float | None = None

    def __post_init__(self) -> None:
        """Bring the conditions into one form.

        Raises:
            ValueError: Unknown modality, a time that is NaN, or a time span that ends before it starts.
        """
        if self.modality is not None:
            object.__setattr__(self, "modality", _as_modality(self.modality))
        for name in ("cameras", "exclude_cameras", "persons"):
            object.__setattr__(self, name, as_texts(getattr(self, name)))
        for name in ("after", "before"):
            value = getattr(self, name)
            if value is not None and math.isnan(value):
                raise ValueError(f"{name} is not a number")
        if self.after is not None and self.before is not None and self.before < self.after:
            raise ValueError(f"before={self.before} is earlier than after={self.after}")

    def accepts(self, tracklet: Tracklet) -> bool:
        """Whether all conditions hold for a tracklet."""
        cameras, excluded, persons = (
            as_texts(ids) for ids in (self.cameras, self.exclude_cameras, self.persons)
        )
        time = tracklet.time
        return (
            (self.modality is None or tracklet.modality is self.modality)
            and (cameras is None or as_text(tracklet.camera_id) in cameras)
            and (excluded is None or as_text(tracklet.camera_id) not in excluded)
            and (persons is None or as_text(tracklet.person_id) in persons)
            and (self.after is None or (time is not None and time >= self.after))
            and (self.before is None or (time is not None and time < self.before))
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """A tracklet that was found.

    Attributes:
        tracklet: What was found.
        similarity: Cosine, -1..1; higher is nearer.
        rank: Place in the answer, counted from 1.
        probability: That it shows the person of the query; None without a calibration for its modality.
        marked: "right" where the asker said that it shows the person; None where nothing was said.
    """

    tracklet: Tracklet
    similarity: float
    rank: int
    probability: float | None = None
    marked: Literal["right"] | None = None

    @property
    def distance(self) -> float:
        """1 - similarity: lower is nearer."""
        return 1.0 - self.similarity


@dataclass(frozen=True, slots=True)
class Group:
    """The tracklets of one person or camera, of which an answer shows the first.

    Attributes:
        key: The person or camera; None where unknown: such a tracklet is a group by itself.
        size: How many tracklets of it were searched, the first included.
    """

    key: Id | None
    size: int


@dataclass(frozen=True, slots=True)
class SearchResult(Sequence[Hit]):
    """The answer to one query, nearest first unless its head was re-ranked; ties in gallery order.

    Attributes:
        hits: At most as many as were asked for.
        exact: True where every tracklet that passes the filter was compared.
        searched: Number of tracklets that pass the filter.
        recall: Where not exact, the share of true nearest tracklets that the index is known to find.
        min_probability: What a hit must reach to be an answer; None: nothing was wished.
        reranked: Whether the head of the list was ordered by k-reciprocal neighbours, not by similarity.
        groups: One for each hit, where a hit is the first of its group; None where nothing was grouped.
        seen: How the query was seen; None where a bare vector was asked.
    """

    hits: tuple[Hit, ...]
    exact: bool
    searched: int
    recall: float | None = None
    min_probability: float | None = None
    reranked: bool = False
    groups: tuple[Group, ...] | None = None
    seen: Modality | None = None

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @property
    def is_unknown(self) -> bool:
        """Whether a probability was wished that no hit reaches: the person is not known to be here."""
        if self.min_probability is None:
            return False
        return all(hit.probability is None or hit.probability < self.min_probability for hit in self.hits)

    @property
    def manner(self) -> str:
        """How the answer was found: "exact", or "approximate, recall 0.97"."""
        if self.exact:
            return "exact"
        return "approximate" if self.recall is None else f"approximate, recall {self.recall:.2f}"


def without(
    found: SearchResult, left_out: Sequence[Tracklet], *, top: int, where: Filter | None
) -> SearchResult:
    """The answer without some tracklets of the gallery, which count as not searched.

    Args:
        found: At least `top` + as many hits as are left out, or all there are.
        left_out: Different tracklets of the gallery.
        top: At most this many hits are kept.
        where: The filter of the search.
    """
    gone = {tracklet.tracklet_id for tracklet in left_out}
    counted = sum(where is None or where.accepts(tracklet) for tracklet in left_out)
    kept = [hit for hit in found if hit.tracklet.tracklet_id not in gone]
    return replace(found, hits=in_ranks(kept[:top]), searched=found.searched - counted)


def in_ranks(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    """Hits in their order, with ranks from 1 on."""
    placed = enumerate(hits, start=1)
    return tuple(hit if hit.rank == rank else replace(hit, rank=rank) for rank, hit in placed)


def as_text(identifier: Id | None) -> str | None:
    """An identifier as it is compared; None where unknown."""
    return None if identifier is None else str(identifier)


def as_texts(identifiers: Id | Iterable[Id] | None) -> frozenset[str] | None:
    """One or several identifiers as they are compared; None where there is no condition.

    >>> sorted(as_texts([3, "4"])), sorted(as_texts("12")), as_texts(None)
    (['3', '4'], ['12'], None)
    """
    if identifiers is None:
        return None
    if isinstance(identifiers, int | str):
        identifiers = (identifiers,)
    return frozenset(str(identifier) for identifier in identifiers)


def _as_modality(value: Modality | str) -> Modality:
    try:
        return Modality(value)
    except ValueError:
        raise ValueError(f"unknown modality {value!r}; known: {', '.join(Modality)}") from None
