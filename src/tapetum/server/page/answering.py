"""Searches of the page: asked of the service, kept as cases, and looked up again."""

from __future__ import annotations

from collections.abc import Sequence

from tapetum.server.access import refuse_role
from tapetum.server.asking import QueryHandle
from tapetum.server.page.cases import Case, CaseBook
from tapetum.server.page.forms import SearchForm
from tapetum.server.refusals import NotFound, refusing
from tapetum.server.service import SearchService
from tapetum.server.users import Role, User
from tapetum.types import Tracklet


class Answering:
    """The service, and the cases that it answered."""

    def __init__(self, service: SearchService) -> None:
        """No case yet."""
        self._service = service
        self._cases = CaseBook()

    async def answer(self, form: SearchForm, by: User) -> Case:
        """A search, answered and kept.

        Raises:
            Refusal: It cannot be answered, or the user may not ask it.
        """
        if form.query_ids or form.right or form.wrong:
            refuse_role(by, Role.OPERATOR)
        ask = form.ask()
        answer = await self._service.search(ask, by=by)
        queries = tuple(self.uploads(form.query_ids, by))
        case = Case(form, ask, answer, by, await self._service.info(), queries)
        self._cases.add(case)
        return case

    async def find(self, case_id: str, by: User) -> Case:
        """A case of a user, without what has been erased since.

        Raises:
            NotFound: There is none, or no longer.
            Refusal: The gallery cannot answer now.
        """
        case = self._cases.get(case_id, by)
        if not case.shown_ids:
            return case
        with refusing():
            gone = await self._service.reads.run(lambda: self._missing(case.shown_ids))
        return case.without(gone)

    def uploads(self, query_ids: Sequence[str], by: User) -> list[QueryHandle]:
        """What is known of uploads; those that are no longer kept are left out."""
        found = []
        for query_id in query_ids:
            try:
                found.append(self._service.query(query_id, by=by))
            except NotFound:
                continue
        return found

    async def item(self, item_id: str, by: User) -> Tracklet | None:
        """The tracklet that is searched by; None where there is none.

        Raises:
            NotFound: It is not in the gallery.
        """
        return (await self._service.item(item_id, by=by)).tracklet if item_id else None

    def _missing(self, tracklet_ids: Sequence[str]) -> frozenset[str]:
        """Which tracklets are not in the gallery."""
        try:
            self._service.gallery.get(tracklet_ids)
        except KeyError:
            return frozenset(i for i in tracklet_ids if not self._has(i))
        return frozenset()

    def _has(self, tracklet_id: str) -> bool:
        try:
            self._service.gallery.get([tracklet_id])
        except KeyError:
            return False
        return True
