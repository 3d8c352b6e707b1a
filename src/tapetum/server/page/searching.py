"""The page to search by: the query, the answer, and hits beside the query."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from tapetum.server.page.answering import Answering
from tapetum.server.page.cases import Case
from tapetum.server.page.forms import HEAD, TOPS, Fields, SearchForm, read_search
from tapetum.server.page.rendering import Pages, is_fragment_wanted
from tapetum.server.page.routing import problem_text, read_form
from tapetum.server.page.scores import Shown, shown_hits
from tapetum.server.page.timeline import draw_timeline
from tapetum.server.receiving import Receiver
from tapetum.server.refusals import Invalid, NotFound, Refusal
from tapetum.server.routes.parts import Operator, Viewer
from tapetum.server.service import SearchService
from tapetum.server.users import User

_MOST_COMPARED = 12


class Searching:
    """The routes of the search page."""

    def __init__(self, service: SearchService, pages: Pages, answering: Answering) -> None:
        """Ask `service` and show its answers."""
        self._service = service
        self._pages = pages
        self._answering = answering

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        router.add_api_route("/", self.start, methods=["GET"], response_model=None)
        router.add_api_route("/search", self.search, methods=["POST"], response_model=None)
        router.add_api_route("/upload", self.choose, methods=["GET"], response_model=None)
        router.add_api_route("/upload", self.upload, methods=["POST"], response_model=None)
        router.add_api_route("/cases/{case_id}", self.case, methods=["GET"], response_model=None)
        router.add_api_route(
            "/cases/{case_id}/compare", self.compare, methods=["GET", "POST"], response_model=None
        )

    async def start(self, request: Request, user: Viewer) -> Response:
        """The page before a search; `item` or `query_id` in the address are what will be searched by."""
        asked = request.query_params
        form = SearchForm(query_ids=tuple(asked.getlist("query_id")), item_id=asked.get("item", ""))
        return await self._page(request, user, form)

    async def search(self, request: Request, user: Viewer) -> Response:
        """Search: the answer alone for a script, else on to its page."""
        form = read_search(await read_form(request))
        is_fragment = is_fragment_wanted(request)
        try:
            case = await self._answering.answer(form, user)
        except Refusal as refusal:
            if is_fragment or refusal.status >= 500:
                raise
            return await self._page(request, user, form, refusal=refusal)
        address = f"/cases/{case.case_id}"
        if not is_fragment:
            return RedirectResponse(address, 303)
        shown = await self._shown(case.form, case, user)
        headers = {"HX-Push-Url": address}
        return self._pages.show(request, "answer.html", user=user, headers=headers, is_fragment=True, **shown)

    async def choose(self, request: Request, user: Operator) -> Response:
        """The form for pictures, for browsers without scripts."""
        return self._pages.show(request, "upload.html", user=user, here="search")

    async def upload(self, request: Request, user: Operator) -> Response:
        """Take pictures to search by: what they were taken for, for a script; else on to the search."""
        receiver: Receiver = request.app.state.receiver
        form = await receiver.receive(request)
        query = await self._service.upload(form.files, by=user, kind=form.kind, modality=form.modality)
        if not is_fragment_wanted(request):
            return RedirectResponse(f"/?{urlencode({'query_id': query.query_id})}", 303)
        return self._pages.show(request, "queries.html", user=user, queries=[query], item=None)

    async def case(self, request: Request, user: Viewer, case_id: str) -> Response:
        """An answer that was given before, with the search that led to it."""
        case = await self._answering.find(case_id, user)
        return await self._page(request, user, case.form, case=case)

    async def compare(self, request: Request, user: Viewer, case_id: str) -> Response:
        """Hits of an answer beside the query, large; the field `compare` holds their ranks."""
        fields = request.query_params if request.method == "GET" else await read_form(request)
        case = await self._answering.find(case_id, user)
        hits = _chosen(case, fields)
        template = "compare.html" if is_fragment_wanted(request) else "compare_page.html"
        item = await self._answering.item(case.form.item_id, user) if not case.form.query_ids else None
        queries = self._answering.uploads(case.form.query_ids, user)
        return self._pages.show(
            request, template, user=user, here="search", case=case, hits=hits, item=item, queries=queries
        )

    async def _page(
        self,
        request: Request,
        user: User,
        form: SearchForm,
        *,
        case: Case | None = None,
        refusal: Refusal | None = None,
    ) -> Response:
        """The whole page; where something is wrong, with what was filled in."""
        try:
            shown = await self._shown(form, case, user)
        except NotFound as missing:
            shown = await self._shown(SearchForm(where=form.where, reason=form.reason), case, user)
            refusal = refusal or missing
        return self._pages.show(
            request,
            "search.html",
            user=user,
            status=200 if refusal is None else refusal.status,
            here="search",
            problem="" if refusal is None else problem_text(refusal),
            **shown,
        )

    async def _shown(self, form: SearchForm, case: Case | None, user: User) -> dict[str, Any]:
        """What the templates of the search page call by name."""
        hits = [] if case is None else shown_hits(case)
        queries = self._answering.uploads(form.query_ids, user)
        return {
            "form": form,
            "case": case,
            "hits": hits,
            "queries": queries,
            "item": None if queries else await self._answering.item(form.item_id, user),
            "info": await self._service.info(),
            "cameras": await self._service.cameras(),
            "timeline": draw_timeline([shown.hit for shown in hits]),
            "left_out": _left_out(form, hits),
            "summary": "" if case is None else _summary(case),
            "tops": TOPS,
            "head": HEAD,
        }


def _chosen(case: Case, fields: Fields) -> list[Shown]:
    """The hits of these ranks."""
    ranks = {value for value in fields.getlist("compare") if isinstance(value, str)}
    if not ranks:
        raise Invalid("choose at least one hit to compare", field="compare")
    chosen = [shown for shown in shown_hits(case) if str(shown.hit.rank) in ranks]
    if not chosen:
        raise NotFound("the answer has no hit of this rank", field="compare")
    return chosen[:_MOST_COMPARED]


def _left_out(form: SearchForm, hits: list[Shown]) -> list[str]:
    """Marked tracklets that are not among the hits: their marks are shown apart, to be taken back."""
    among = {shown.hit.tracklet.tracklet_id for shown in hits}
    return [tracklet_id for tracklet_id in (*form.right, *form.wrong) if tracklet_id not in among]


def _summary(case: Case) -> str:
    """The answer in a sentence, for those who hear the page."""
    result = case.answer.result
    found = "Unknown: no hit is probable enough" if result.is_unknown else f"{len(result)} hits"
    return f"{found}; {result.searched} tracklets searched, {result.manner}."
