"""What routes have in common: who may use them, which errors they document, and where the service is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from tapetum.server.access import anyone, require
from tapetum.server.refusals import ClientGone
from tapetum.server.removal import Caretaker
from tapetum.server.schemas.base import ErrorOut
from tapetum.server.service import SearchService
from tapetum.server.users import Role, User

T = TypeVar("T")
Responses = dict[int | str, dict[str, Any]]

_MEANINGS = {
    400: "The request cannot be read: damaged JSON, an unknown Host header, a damaged form.",
    401: "No token and no session that is valid.",
    403: "The role does not allow it, or another site made the browser ask.",
    404: "There is no such thing, or no longer.",
    409: "The service has no model for pictures, or the gallery was moved to another model.",
    413: "More bytes, files or pixels than are taken.",
    415: "A body or a file of a kind that is not taken.",
    422: "A value does not fit; `field` names it.",
    429: "Too many requests; ask again after the seconds of Retry-After.",
    500: "A defect of the service.",
    503: "The service cannot answer now: stopping, disk full, or the audit log cannot be written.",
    504: "It took too long.",
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until it may be asked again.", "schema": {"type": "integer"}}
}
_ALWAYS = (400, 413, 422, 429, 500, 504)
_GUARDED = (401, 403, 503)

BEARER = HTTPBearer(
    auto_error=False, description="A token of `tapetum token create`. Not needed where the service has none."
)
COOKIE = APIKeyCookie(
    name="tapetum_session",
    auto_error=False,
    description=(
        "The session of a browser, from POST /session. With POST and DELETE the header X-CSRF-Token must be "
        "sent too. Over TLS the name is __Host-tapetum_session."
    ),
)


def errors(*statuses: int, guarded: bool = True) -> Responses:
    """What a route says of its errors: those of every route, and some of its own.

    Args:
        statuses: Its own.
        guarded: Whether it needs a token.
    """
    all_of_them = sorted({*_ALWAYS, *statuses, *(_GUARDED if guarded else ())})
    found: Responses = {
        status: {"model": ErrorOut, "description": _MEANINGS[status]} for status in all_of_them
    }
    found[429]["headers"] = _RETRY_AFTER
    return found


def service_of(request: Request) -> SearchService:
    """The service of the application that a request came to."""
    service: SearchService = request.app.state.service
    return service


def caretaker_of(request: Request) -> Caretaker:
    """What erases and purges."""
    caretaker: Caretaker = request.app.state.caretaker
    return caretaker


Service = Annotated[SearchService, Depends(service_of)]
Viewer = Annotated[User, Depends(require(Role.VIEWER))]
Operator = Annotated[User, Depends(require(Role.OPERATOR))]
Admin = Annotated[User, Depends(require(Role.ADMIN))]
OPEN = [Depends(anyone)]
GUARDED = [Security(BEARER), Security(COOKIE)]


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns; where the client closes the connection first, the work is cancelled.

    Raises:
        ClientGone: The connection was closed.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientGone("the connection was closed")
        return doing.result()
    finally:
        doing.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    """Return when the client is gone; the body was read already."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
