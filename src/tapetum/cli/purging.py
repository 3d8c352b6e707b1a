"""`tapetum purge` and `tapetum erase`: what they would remove is counted first, and removed with `--yes`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer

from tapetum.cli._console import note, say
from tapetum.cli._instants import FIRST_CREDIBLE, date_text, instant_of
from tapetum.cli._sources import GalleryArgument
from tapetum.search import Filter, Gallery
from tapetum.search.gallery import Age

_SHOWN = 20
"""Tracklets that are listed."""

YesOption = Annotated[bool, typer.Option("--yes", help="Do it; without, only count.")]


class By(StrEnum):
    """What a tracklet's age counts from."""

    SEEN = "seen"
    STORED = "stored"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(purge)
    app.command()(erase)


def purge(
    gallery: GalleryArgument,
    older_than: Annotated[str, typer.Option(help="Such as 30d, 12h or 6w, or a date such as 2026-05-04.")],
    by: Annotated[By, typer.Option(help="Age since it was seen, or since it was stored.")] = By.SEEN,
    yes: YesOption = False,
) -> None:
    """Remove what is older than some time, from the disk too; without --yes only count it.

    Where it is unknown when a tracklet was seen, its age counts from when it was stored.
    """
    instant = instant_of(older_than, time.time())
    age: Age = "seen" if by is By.SEEN else "stored"
    with closing(Gallery.open(gallery, create=False)) as place:
        if age == "seen":
            _refuse_other_epoch(place)
        what = f"{age} before {date_text(instant)}"
        if not yes:
            _tell(gallery, place.older_than(instant, by=age), place.count(), what)
            return
        purged = place.purge(instant, by=age)
        _report(gallery, purged, place.count(), f"{what} removed", len(place.older_than(instant, by=age)))


def erase(
    gallery: GalleryArgument,
    person: Annotated[list[str] | None, typer.Option(help="All of this person; repeatable.")] = None,
    tracklet: Annotated[list[str] | None, typer.Option(help="This tracklet; repeatable.")] = None,
    yes: YesOption = False,
) -> None:
    """Remove people or tracklets for good, from the disk too; without --yes only count them."""
    if not person and not tracklet:
        raise ValueError("nothing to erase: give --person or --tracklet")
    with closing(Gallery.open(gallery, create=False)) as place:
        known, missing = _found(place, person or (), tracklet or ())
        for option, name in missing:
            note(f"{option} {name}: nothing of it is in {gallery}")
        if not yes:
            _tell(gallery, known, place.count(), "found")
            return
        erased = place.erase(person_ids=person or None, tracklet_ids=tracklet or None)
        left, _ = _found(place, person or (), tracklet or ())
        _report(gallery, erased, place.count(), "erased", len(left))


def _refuse_other_epoch(gallery: Gallery) -> None:
    """Nothing, or an error where times do not count from 1970, so that everything would be old."""
    last = gallery.info().last_time
    if last is not None and last < FIRST_CREDIBLE:
        raise ValueError(
            f"the latest time in {gallery.uri} is {last:.0f} s, which would be {date_text(last)}: its times "
            "do not count from 1970; give --by stored"
        )


def _found(
    gallery: Gallery, persons: Sequence[str], tracklets: Sequence[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Tracklets of people and of these identifiers; and the options that nothing was found for."""
    found: dict[str, None] = {}
    missing = []
    for person in persons:
        names = [t.tracklet_id for t in gallery.filter(Filter(persons=person))]
        found |= dict.fromkeys(names)
        missing += [] if names else [("--person", person)]
    for name in tracklets:
        try:
            gallery.get([name])
        except KeyError:
            missing.append(("--tracklet", name))
        else:
            found[name] = None
    return list(found), missing


def _tell(gallery: str, names: Sequence[str], count: int, what: str) -> None:
    """What would be removed."""
    for name in names[:_SHOWN]:
        note(name)
    if len(names) > _SHOWN:
        note(f"and {len(names) - _SHOWN} more")
    hint = "; nothing was removed: give --yes to remove them" if names else ""
    say(f"{gallery}: {len(names)} of {count} tracklets {what}{hint}")


def _report(gallery: str, gone: int, count: int, what: str, left: int) -> None:
    """What was removed.

    Raises:
        OSError: Some of it is there again: another process stored it meanwhile.
    """
    if left:
        raise OSError(f"{gallery}: {left} of them are there again: somebody stores them; stop that first")
    say(f"{gallery}: {gone} tracklets {what}, {count} left")
