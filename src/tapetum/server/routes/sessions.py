"""Signing a browser in and out, and asking who one is."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tapetum.server.access import csrf_token, log_in, log_out
from tapetum.server.routes.parts import GUARDED, Viewer, errors
from tapetum.server.schemas.answered import UserOut
from tapetum.server.schemas.asked import SignInIn

router = APIRouter(prefix="/session", tags=["session"])


@router.post("", summary="Sign a browser in", responses=errors())
async def begin_session(wish: SignInIn, request: Request, response: Response) -> UserOut:
    """Show a token once; the answer sets the session's cookie. Programs show theirs each time."""
    signed_in = await log_in(request, response, wish.token)
    return UserOut(name=signed_in.user.name, role=signed_in.user.role, csrf_token=signed_in.csrf_token)


@router.get("", summary="Who asks", dependencies=GUARDED, responses=errors())
async def get_session(request: Request, user: Viewer) -> UserOut:
    """The name and role of the token or session, and for a browser what it has to send with changes."""
    is_bearer = "authorization" in request.headers
    return UserOut(name=user.name, role=user.role, csrf_token=None if is_bearer else csrf_token(request))


@router.delete("", status_code=204, summary="Sign a browser out", dependencies=GUARDED, responses=errors())
async def end_session(request: Request, response: Response, user: Viewer) -> None:
    """End the session and take its cookie back."""
    log_out(request, response)
