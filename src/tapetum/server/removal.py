"""Removing people's data for good: recorded before it is done, and again when it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tapetum.search.query import Filter, as_texts
from tapetum.server.asking import Removal
from tapetum.server.refusals import Invalid, Refusal, refusing
from tapetum.server.threads import Threads
from tapetum.server.users import User
from tapetum.types import Id

if TYPE_CHECKING:
    from tapetum.search.gallery import Age
    from tapetum.server.service import SearchService

_PATIENCE_S = 3600.0
"""Large galleries are written anew to remove a few rows from the disk."""

_MOST_WAITING = 8

_FIRST_CREDIBLE = 1e9
"""Unix seconds, in 2001: earlier times of a gallery count from another epoch, and all would be old."""


class Caretaker:
    """Erases and purges on behalf of an administrator, one thing at a time."""

    def __init__(self, service: SearchService) -> None:
        """Of the gallery of `service`, with its audit log."""
        self._service = service
        self._gallery = service.gallery
        self._recorder = service.recorder
        self._thread = Threads("removal", threads=1, most_waiting=_MOST_WAITING, timeout_s=_PATIENCE_S)

    async def erase(
        self,
        *,
        by: User,
        person_ids: Sequence[Id] = (),
        item_ids: Sequence[str] = (),
        reason: str = "",
        dry_run: bool = False,
    ) -> Removal:
        """Remove people's tracklets, or some tracklets, from the gallery and from the disk.

        Args:
            by: Who asks.
            person_ids: Whose; compared as texts.
            item_ids: Which; those that are not there are passed over.
            reason: Why.
            dry_run: Only count them.

        Raises:
            NoReason: A reason is required and was not given.
            AuditFailed: The audit log cannot be written; nothing was removed, unless only the last record of
                it is missing.
            Unavailable: The disk cannot be written; no answer shows them any more, but bytes may be left.
        """
        self._service.check_reason(reason)
        ids = await self._service.read_gallery(lambda: self._chosen(person_ids, item_ids))
        what = {"persons": sorted(as_texts(person_ids) or ()), "ids": ids, "dry_run": dry_run}
        await self._recorder.write("erase", by, what, reason)
        if dry_run:
            return Removal(len(ids), done=False)
        people, items = list(person_ids) or None, list(item_ids) or None
        return await self._remove(
            "erase", lambda: self._gallery.erase(person_ids=people, tracklet_ids=items), by, {"ids": ids}
        )

    async def erase_item(self, item_id: str, *, by: User, reason: str = "") -> Removal:
        """Remove one tracklet; see `erase`.

        Raises:
            NotFound: There is none by this name.
        """
        await self._service.read_gallery(lambda: self._gallery.get([item_id]))
        return await self.erase(by=by, item_ids=[item_id], reason=reason)

    async def purge(
        self, before: float, *, by: User, age: Age = "seen", reason: str = "", dry_run: bool = False
    ) -> Removal:
        """Remove what is older than an instant, from the gallery and from the disk.

        Args:
            before: The instant, in Unix seconds.
            by: Who asks.
            age: Whether it counts from when a tracklet was seen or stored.
            reason: Why.
            dry_run: Only count it.

        Raises:
            Invalid: The instant is in the future, or the gallery's times do not count from 1970.
            Refusal: As `erase`.
        """
        self._service.check_reason(reason)
        if before > time.time():
            raise Invalid("that is in the future: all would be removed", field="before")
        ids = await self._service.read_gallery(lambda: self._old(before, age))
        what = {"before": before, "by": age, "count": len(ids), "dry_run": dry_run}
        await self._recorder.write("purge", by, what, reason)
        if dry_run:
            return Removal(len(ids), done=False)
        return await self._remove(
            "purge", lambda: self._gallery.purge(before, by=age), by, {"before": before}
        )

    def close(self) -> None:
        """Begin nothing new; what was begun is brought to its end."""
        self._thread.close()

    async def _remove(
        self, action: str, work: Callable[[], int], by: User, what: Mapping[str, Any]
    ) -> Removal:
        """Do it, and record how it went."""
        try:
            with refusing():
                count = await self._thread.run(work)
        except Refusal as refusal:
            await self._recorder.write(f"{action}_failed", by, {**what, "error": refusal.code})
            raise
        await self._recorder.write(f"{action}_done", by, {**what, "count": count})
        self._service.forget_counts()
        return Removal(count, done=True)

    def _chosen(self, person_ids: Sequence[Id], item_ids: Sequence[str]) -> list[str]:
        """The tracklets that are meant and are there."""
        found = {item for item in item_ids if self._is_there(item)}
        if person_ids:
            found |= {t.tracklet_id for t in self._gallery.filter(Filter(persons=list(person_ids)))}
        return sorted(found)

    def _old(self, before: float, age: Age) -> list[str]:
        """The tracklets that are older than an instant."""
        last = self._gallery.info().last_time
        if age == "seen" and last is not None and last < _FIRST_CREDIBLE:
            raise Invalid("the gallery's times do not count from 1970; purge by 'stored'", field="by")
        return self._gallery.older_than(before, by=age)

    def _is_there(self, item_id: str) -> bool:
        try:
            self._gallery.get([item_id])
        except KeyError:
            return False
        return True
