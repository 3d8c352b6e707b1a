"""Answers by person or by camera: of each the first hit, and how many tracklets it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from tapetum.search.query import Filter, Group, Hit, SearchResult, as_text, in_ranks
from tapetum.types import Id, Tracklet

if TYPE_CHECKING:
    from tapetum.search.gallery import Gallery

Grouping = Literal["person", "camera"]
"""What hits are brought together by."""

LOOKED_AT = 10_000
"""Groups are made of at most so many hits: who comes later is no answer."""

_FIRST = 10  # hits for each group that is wished, at first
_DEEPER = 4  # times as many, where they gave too few groups


def grouped(
    look: Callable[[int], SearchResult],
    by: Grouping,
    *,
    top: int,
    gallery: Gallery,
    where: Filter | None,
    left_out: Sequence[Tracklet] = (),
) -> SearchResult:
    """The first hit of each group, in the order of these, with the groups.

    Hits are looked at until there are `top` groups, all groups are found, or `LOOKED_AT` hits are seen. A
    tracklet whose person or camera is unknown is a group by itself: nobody knows that two of them are one.

    Args:
        look: Gives the answer of at most so many hits.
        by: What makes a group; identifiers are compared as texts.
        top: At most this many groups.
        gallery: Where group sizes are counted.
        where: The filter of the search.
        left_out: Tracklets of the gallery that are not searched.
    """
    depth = max(top, min(_FIRST * top, LOOKED_AT))
    while True:
        found = look(depth)
        firsts = _first_hits(found, by)[:top]
        sizes = [_size(hit, by, gallery, where, left_out) for hit in firsts]
        is_all = len(found) < depth or sum(sizes) >= found.searched
        if len(firsts) == top or is_all or depth >= LOOKED_AT:
            groups = (Group(_id_of(hit.tracklet, by), size) for hit, size in zip(firsts, sizes, strict=True))
            return replace(found, hits=in_ranks(firsts), groups=tuple(groups))
        depth = min(_DEEPER * depth, LOOKED_AT)


def refuse_unknown_grouping(by: str | None) -> None:
    """Nothing, or an error where hits cannot be grouped like this.

    Raises:
        ValueError: It is neither "person" nor "camera".
    """
    if by is not None and by not in get_args(Grouping):
        raise ValueError(f"unknown grouping {by!r}; known: {', '.join(get_args(Grouping))}")


def _first_hits(found: SearchResult, by: Grouping) -> list[Hit]:
    """The first hit of each group."""
    firsts: dict[object, Hit] = {}
    for hit in found:
        known = as_text(_id_of(hit.tracklet, by))
        firsts.setdefault(known if known is not None else (None, hit.tracklet.tracklet_id), hit)
    return list(firsts.values())


def _size(
    hit: Hit, by: Grouping, gallery: Gallery, where: Filter | None, left_out: Sequence[Tracklet]
) -> int:
    """Number of tracklets of a hit's group that are searched."""
    known = _id_of(hit.tracklet, by)
    if known is None:
        return 1
    within = where or Filter()
    of_group = replace(within, persons=known) if by == "person" else replace(within, cameras=known)
    found = gallery.count(of_group) - sum(of_group.accepts(tracklet) for tracklet in left_out)
    return max(1, found)  # it may have been deleted since it was found


def _id_of(tracklet: Tracklet, by: Grouping) -> Id | None:
    return tracklet.person_id if by == "person" else tracklet.camera_id
