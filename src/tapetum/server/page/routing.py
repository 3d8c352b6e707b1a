"""How the page's routes are called: refusals become pages, and forms work without scripts."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from tapetum.server.access import CSRF_HEADER, find_user
from tapetum.server.page.rendering import Pages, is_fragment_wanted
from tapetum.server.refusals import NotKnown, Refusal, UnknownType
from tapetum.server.users import User

CSRF_FIELD = "csrf_token"
"""In a form's address: what a script would send as a header."""

_FORM = "application/x-www-form-urlencoded"
_HEADINGS = {403: "Not allowed", 404: "Not found", 429: "Too many requests", 503: "Not available now"}


class PageRoute(APIRoute):
    """A route whose refusals are shown as pages, or sent to the page that asks people to sign in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()

        async def answer_or_show(request: Request) -> Response:
            request = with_form_token(request)
            try:
                return await answer(request)
            except Refusal as refusal:
                return show_refusal(request, refusal)

        return answer_or_show


def with_form_token(request: Request) -> Request:
    """The same request; the token that a form without scripts has in its address is read as the header."""
    token = request.query_params.get(CSRF_FIELD)
    if token is None or CSRF_HEADER in request.headers:
        return request
    header = CSRF_HEADER.lower().encode(), token.encode("utf-8", "replace")
    return Request({**request.scope, "headers": [*request.scope["headers"], header]}, request.receive)


async def read_form(request: Request) -> FormData:
    """The fields of a form; its length has been bounded before.

    Raises:
        UnknownType: It is no plain form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise UnknownType(f"a form is taken as {_FORM}", field="Content-Type")
    return await request.form()


def show_refusal(request: Request, refusal: Refusal) -> Response:
    """A refusal, for people."""
    if isinstance(refusal, NotKnown):
        return _to_login(request)
    pages: Pages = request.app.state.pages
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(refusal.retry_after_s)))
    whole = not is_fragment_wanted(request)
    return pages.show(
        request,
        "problem_page.html" if whole else "problem.html",
        user=_known_user(request) if whole else None,
        status=refusal.status,
        headers=headers,
        problem=problem_text(refusal),
        heading=_HEADINGS.get(refusal.status, "This did not work"),
    )


def problem_text(refusal: Refusal) -> str:
    """What is wrong, as a sentence."""
    text = refusal.detail
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _known_user(request: Request) -> User | None:
    """Who asks, where that was found out before the refusal."""
    try:
        return find_user(request)
    except Refusal:
        return None


def _to_login(request: Request) -> Response:
    """To the form that asks for a token, and from there back to where people wanted to go."""
    asked = request.url.path
    if request.url.query and request.method == "GET":
        asked = f"{asked}?{request.url.query}"
    after = asked if request.method == "GET" and not is_fragment_wanted(request) else "/"
    address = f"/login?{urlencode({'next': after})}" if after != "/" else "/login"
    if is_fragment_wanted(request):
        return Response(status_code=401, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)
