"""What the audit log keeps of each thing that is done with people's data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tapetum.search.query import Filter, SearchResult, as_texts
from tapetum.server.asking import Ask, ItemPage
from tapetum.server.audit import AuditLog
from tapetum.server.refusals import AuditFailed
from tapetum.server.users import User


class Recorder:
    """Writes what is done to the audit log, before it is answered; nothing where no log is kept."""

    def __init__(self, log: AuditLog | None) -> None:
        """Write to `log`; None: keep nothing."""
        self._log = log

    @property
    def is_kept(self) -> bool:
        """Whether there is a log."""
        return self._log is not None

    @property
    def log(self) -> AuditLog | None:
        """The log; None where none is kept."""
        return self._log

    def can_write(self) -> bool:
        """Whether the log can be written, or none is kept."""
        return self._log is None or self._log.can_write()

    async def search(self, ask: Ask, digests: Sequence[str], found: SearchResult, by: User) -> None:
        """Record a search with what it was asked by and what it found.

        Raises:
            AuditFailed: The log cannot be written.
        """
        what = {
            "query_ids": list(ask.query_ids),
            "pictures": list(digests),
            "item_id": ask.item_id,
            "filters": filter_facts(ask.filters),
            "top": ask.top,
            "right": list(ask.right),
            "wrong": list(ask.wrong),
            "hits": len(found),
            "ids": [hit.tracklet.tracklet_id for hit in found],
        }
        await self.write("search", by, what, ask.reason)

    async def look(self, item_id: str, by: User) -> None:
        """Record that somebody looked at a tracklet.

        Raises:
            AuditFailed: The log cannot be written.
        """
        await self.write("look", by, {"ids": [item_id]})

    async def listing(self, where: Filter, page: ItemPage, by: User) -> None:
        """Record that somebody leafed through the gallery.

        Raises:
            AuditFailed: The log cannot be written.
        """
        ids = [tracklet.tracklet_id for tracklet in page.tracklets]
        await self.write("list", by, {"filters": filter_facts(where), "offset": page.offset, "ids": ids})

    async def write(self, action: str, by: User, what: Mapping[str, Any], reason: str = "") -> None:
        """Record anything; it is on the disk when this returns.

        Args:
            action: What was done, in a word.
            by: Who did it.
            what: To what; values that JSON knows.
            reason: Why, as they say.

        Raises:
            AuditFailed: The log cannot be written.
        """
        if self._log is None:
            return
        record = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "action": action,
            "user": by.name,
            "role": by.role.value,
            "address": by.address,
            "request_id": by.request_id,
            "reason": reason,
            **what,
        }
        try:
            await asyncio.shield(asyncio.to_thread(self._log.append, record))
        except OSError as error:
            raise AuditFailed("the audit log cannot be written, so nothing is answered") from error


def filter_facts(where: Filter) -> dict[str, Any]:
    """The conditions of a filter that are given, as JSON knows them.

    >>> filter_facts(Filter(cameras=[3, 1], after=0.5))
    {'cameras': ['1', '3'], 'after': 0.5}
    """
    facts = {
        "modality": None if where.modality is None else str(where.modality),
        "cameras": _listed(as_texts(where.cameras)),
        "exclude_cameras": _listed(as_texts(where.exclude_cameras)),
        "persons": _listed(as_texts(where.persons)),
        "after": where.after,
        "before": where.before,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _listed(ids: Iterable[str] | None) -> list[str] | None:
    return None if ids is None else sorted(ids)
