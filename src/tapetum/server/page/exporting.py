"""Cases as files: to keep with a report, to send, to read without the service."""

from __future__ import annotations

import time
from functools import partial

from fastapi import APIRouter, Response

from tapetum.server.page.answering import Answering
from tapetum.server.page.case_files import CasePictures, case_archive, case_facts, case_table
from tapetum.server.page.cases import Case
from tapetum.server.page.rendering import Pages
from tapetum.server.page.scores import shown_hits
from tapetum.server.page.sheets import spread
from tapetum.server.page.timeline import draw_timeline
from tapetum.server.refusals import NotFound, refusing
from tapetum.server.routes.parts import Viewer
from tapetum.server.service import SearchService
from tapetum.server.users import User

_OF_QUERY = 8


class Exporting:
    """The routes of exports; each is recorded before it is given."""

    def __init__(self, service: SearchService, pages: Pages, answering: Answering) -> None:
        """Export cases of `answering`."""
        self._service = service
        self._pages = pages
        self._answering = answering

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        router.add_api_route("/cases/{case_id}/case.html", self.page, methods=["GET"], response_model=None)
        router.add_api_route("/cases/{case_id}/hits.csv", self.table, methods=["GET"], response_model=None)
        router.add_api_route("/cases/{case_id}/case.zip", self.archive, methods=["GET"], response_model=None)

    async def page(self, user: Viewer, case_id: str) -> Response:
        """The case as one HTML file with its pictures."""
        case = await self._recorded(case_id, user, "html")
        return _file(await self._text(case, user), "text/html; charset=utf-8", f"{_name(case)}.html")

    async def table(self, user: Viewer, case_id: str) -> Response:
        """The hits as a table, CSV."""
        case = await self._recorded(case_id, user, "csv")
        return _file(case_table(case), "text/csv; charset=utf-8", f"{_name(case)}.csv")

    async def archive(self, user: Viewer, case_id: str) -> Response:
        """Both, with the facts for programs, in one archive."""
        case = await self._recorded(case_id, user, "zip")
        text = await self._text(case, user)
        exported = partial(case_archive, case, text, by=user, at=time.time())
        return _file(await self._service.reads.run(exported), "application/zip", f"{_name(case)}.zip")

    async def _recorded(self, case_id: str, user: User, kind: str) -> Case:
        case = await self._answering.find(case_id, user)
        ids = [hit.tracklet.tracklet_id for hit in case.answer.result]
        what = {"kind": kind, "case": case_id, "ids": ids}
        await self._service.recorder.write("export", user, what, case.form.reason)
        return case

    async def _text(self, case: Case, user: User) -> bytes:
        """The HTML file."""
        with refusing():
            pictures = await self._service.reads.run(lambda: self._pictures(case, user))
        shown = shown_hits(case)
        text = self._pages.text(
            "case.html",
            case=case,
            facts=case_facts(case, by=user, at=time.time()),
            hits=shown,
            pictures=pictures,
            timeline=draw_timeline([each.hit for each in shown]),
        )
        return text.encode("utf-8", "replace")

    def _pictures(self, case: Case, user: User) -> CasePictures:
        """The query's pictures, where they are still kept, and the hits'."""
        query: list[bytes] = []
        for handle in case.queries:
            try:
                numbers = range(handle.pictures)
                found = [self._service.query_picture(handle.query_id, n, by=user) for n in numbers]
            except NotFound:
                continue
            query += spread(found, _OF_QUERY)
        if case.form.item_id and not case.queries:
            query += self._thumbnails(case.form.item_id)
        hits = case.answer.result
        return CasePictures(query, [self._thumbnails(hit.tracklet.tracklet_id) for hit in hits])

    def _thumbnails(self, tracklet_id: str) -> list[bytes]:
        try:
            return self._service.gallery.thumbnails(tracklet_id)
        except KeyError:
            return []


def _name(case: Case) -> str:
    """Name of a case's files: when it was asked, in UTC."""
    return f"tapetum-case-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(case.asked_at))}"


def _file(content: bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=headers)
