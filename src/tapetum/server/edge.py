"""The outermost layer of the application: names and counts requests, bounds them, and sets secure headers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tapetum.server.metrics import Metrics
from tapetum.server.problems import defect_response, refusal_response
from tapetum.server.receiving import FORM_BYTES
from tapetum.server.refusals import BadRequest, ClientGone, Refusal, TimedOut, TooLarge
from tapetum.server.settings import API, ServerSettings

_POLICY = (
    "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_HSTS = "max-age=31536000"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DIGITS = 18
"""Of a length; no longer number is looked at."""

_NO_ROUTE = "none"


class Edge:
    """Every request passes here first, and every answer last."""

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, uploads: Collection[str]
    ) -> None:
        """Stand around `app`.

        Args:
            app: What answers.
            settings: Names and limits.
            metrics: Told of every request.
            uploads: Paths whose bodies are read piece by piece, and counted, by what answers there.
        """
        self._uploads = uploads
        self._app = app
        self._metrics = metrics
        self._limits = settings.limits
        self._headers = {**_HEADERS, **({"Strict-Transport-Security": _HSTS} if settings.https else {})}
        self._hosts = allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        name = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = name
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._mark(MutableHeaders(scope=message), name)
            await send(message)

        try:
            await self._pass_on(scope, receive, send_marked)
        except Exception as error:
            if status:
                raise  # half an answer is out
            await defect_response(error, scope["method"], scope["path"])(scope, receive, send_marked)
        finally:
            took_s = perf_counter() - begun
            self._metrics.request(_route_of(scope), _known_method(scope["method"]), status, took_s)

    def _mark(self, headers: MutableHeaders, name: str) -> None:
        headers["X-Request-Id"] = name
        for header, value in self._headers.items():
            headers[header] = value
        headers.setdefault("Cache-Control", "no-store")

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._refuse_host(headers)
            bounded = await self._bounded(scope, headers, receive)
        except Refusal as refusal:
            await refusal_response(refusal)(scope, receive, send)
            return
        await self._app(scope, bounded, send)

    def _refuse_host(self, headers: Headers) -> None:
        """A page of another site may have its name point here; such requests name that site."""
        if self._hosts and host_name(headers.get("host", "")) not in self._hosts:
            raise BadRequest("this service is not known by the name in the Host header", field="Host")

    async def _bounded(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """What reads the body: uploads piece by piece, everything else at once; neither more than may be."""
        is_upload = scope["method"] == "POST" and scope["path"] in self._uploads
        most = self._limits.upload_bytes + FORM_BYTES if is_upload else self._limits.body_bytes
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise BadRequest("the length of the body is no number", field="Content-Length")
        if len(length) > _DIGITS or int(length) > most:
            raise TooLarge(f"the body is longer than {most} bytes")
        if is_upload:
            return receive
        if int(length) == 0 and "transfer-encoding" not in headers:
            return receive
        return _again(await self._body(receive, most), receive)

    async def _body(self, receive: Receive, most: int) -> bytes:
        found = bytearray()
        try:
            async with asyncio.timeout(self._limits.receive_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone("the connection was closed")
                    found += message.get("body", b"")
                    if len(found) > most:
                        raise TooLarge(f"the body is longer than {most} bytes")
                    if not message.get("more_body", False):
                        return bytes(found)
        except TimeoutError:
            raise TimedOut(f"the body did not arrive within {self._limits.receive_s:g} s") from None


def allowed_hosts(settings: ServerSettings) -> Collection[str]:
    """Names by which clients may address a service; none: any."""
    named = {host.lower() for host in settings.hosts}
    return named | {*_LOOPBACK, settings.host.lower()} if settings.is_local else named


def host_name(host: str) -> str:
    """The name in a Host header, without its port.

    >>> host_name("LocalHost:8000"), host_name("[::1]:80"), host_name("[::1]")
    ('localhost', '[::1]', '[::1]')
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body which was read already, then whatever comes after it."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given


def _route_of(scope: Scope) -> str:
    """How the route of a request is written, without what stands in for its parts."""
    route = str(getattr(scope.get("route"), "path", _NO_ROUTE))
    is_below = scope["path"].startswith(API) and not route.startswith(API)
    return API + route if is_below and route != _NO_ROUTE else route  # routers may not know their prefix


def _known_method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
