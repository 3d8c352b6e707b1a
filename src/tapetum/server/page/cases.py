"""Cases: searches with their answers, kept for a while so that they can be shown again and exported."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from tapetum.server.asking import Answer, Ask, QueryHandle, ServiceInfo
from tapetum.server.page.forms import SearchForm
from tapetum.server.refusals import NotFound
from tapetum.server.users import User


@dataclass(frozen=True, slots=True)
class Case:
    """A search and its answer.

    Attributes:
        form: The search as it was filled in.
        ask: The same, as the service was asked.
        answer: What was found.
        by: Who searched.
        info: What was served at that time.
        queries: The uploads that were searched by.
        asked_at: When, in Unix seconds.
        case_id: Names it; random.
    """

    form: SearchForm
    ask: Ask
    answer: Answer
    by: User
    info: ServiceInfo
    queries: tuple[QueryHandle, ...] = ()
    asked_at: float = field(default_factory=time.time)
    case_id: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def shown_ids(self) -> tuple[str, ...]:
        """Tracklets of the gallery that it names."""
        marked = (*self.form.right, *self.form.wrong)
        own = (self.form.item_id,) if self.form.item_id else ()
        hits = (hit.tracklet.tracklet_id for hit in self.answer.result)
        return tuple(dict.fromkeys((*own, *hits, *marked)))

    def without(self, gone: Collection[str]) -> Case:
        """The case without tracklets that are not in the gallery any more; ranks stay as they were."""
        if not gone:
            return self
        result, form = self.answer.result, self.form
        kept = [place for place, hit in enumerate(result) if hit.tracklet.tracklet_id not in gone]
        groups = result.groups and tuple(result.groups[place] for place in kept)
        hits = tuple(result.hits[place] for place in kept)
        right, wrong = (tuple(i for i in ids if i not in gone) for ids in (form.right, form.wrong))
        item_id = "" if form.item_id in gone else form.item_id
        return replace(
            self,
            form=replace(form, item_id=item_id, right=right, wrong=wrong),
            answer=replace(self.answer, result=replace(result, hits=hits, groups=groups)),
        )


class CaseBook:
    """Cases by their names, bounded in number and time. It may be used from any thread."""

    def __init__(
        self, *, most: int = 50, ttl_s: float = 2 * 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """An empty book.

        Args:
            most: Cases of one user; the oldest makes room.
            ttl_s: How long a case is kept.
            clock: Seconds since whenever.
        """
        self._most = most
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, Case]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, case: Case) -> None:
        """Keep a case."""
        with self._lock:
            self._forget_expired()
            self._kept[case.case_id] = (self._clock() + self._ttl_s, case)
            own = [name for name, (_, other) in self._kept.items() if other.by.name == case.by.name]
            for name in own[: max(0, len(own) - self._most)]:
                del self._kept[name]

    def get(self, case_id: str, by: User) -> Case:
        """A case of a user.

        Raises:
            NotFound: This user has none by this name, or no longer.
        """
        with self._lock:
            self._forget_expired()
            _, case = self._kept.get(case_id, (0.0, None))
        if case is None or case.by.name != by.name:
            raise NotFound("this answer is no longer kept: search again")
        return case

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._kept:
            case_id, (ends_at, _) = next(iter(self._kept.items()))
            if ends_at > now:
                return
            del self._kept[case_id]
