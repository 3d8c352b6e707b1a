"""Signing in by a token, and out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from tapetum.server.access import current_user, find_user, log_in, log_out
from tapetum.server.page.rendering import Pages
from tapetum.server.page.routing import problem_text, read_form
from tapetum.server.refusals import NotKnown


class SigningIn:
    """The form that asks for a token."""

    def __init__(self, pages: Pages) -> None:
        """Show it by these templates."""
        self._pages = pages

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        router.add_api_route("/login", self.ask, methods=["GET"], response_model=None)
        router.add_api_route("/login", self.sign_in, methods=["POST"], response_model=None)
        router.add_api_route("/logout", self.sign_out, methods=["POST"], response_model=None)

    async def ask(self, request: Request) -> Response:
        """The form; or on to the page, where the one who asks is known."""
        after = _own_address(request.query_params.get("next", ""))
        if find_user(request) is not None:
            return RedirectResponse(after, 303)
        return self._pages.show(request, "login.html", user=None, next=after)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session by a token; or the form again, where it is not known."""
        fields = await read_form(request)
        after = _own_address(str(fields.get("next", "")))
        response = RedirectResponse(after, 303)
        try:
            await log_in(request, response, str(fields.get("token", "")).strip())
        except NotKnown as refusal:
            problem = problem_text(refusal)
            return self._pages.show(request, "login.html", user=None, status=401, next=after, problem=problem)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        current_user(request)
        response = RedirectResponse("/login", 303)
        log_out(request, response)
        return response


def _own_address(address: str) -> str:
    r"""An address of this service: nobody is sent elsewhere after signing in.

    >>> _own_address("/gallery?page=2"), _own_address("//evil.example"), _own_address("/\\evil.example")
    ('/gallery?page=2', '/', '/')
    """
    is_own = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if is_own else "/"
