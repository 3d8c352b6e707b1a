"""Who asks, and whether they may: tokens, signed-in browsers, and how often anybody may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import Request, Response

from tapetum.errors import DataError
from tapetum.server.rates import RateLimit
from tapetum.server.refusals import NotAllowed, NotKnown, TooFast, Unavailable
from tapetum.server.sessions import Session, Sessions
from tapetum.server.settings import ServerSettings
from tapetum.server.tokens import Token, TokenFile
from tapetum.server.users import LOCAL, Role, User

if TYPE_CHECKING:
    from tapetum.server.recording import Recorder

CSRF_HEADER = "X-CSRF-Token"
"""Header by which pages prove that what they send was meant."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE = "tapetum_session"
_LOCAL_SESSION = "local"
"""Stands for the session of everybody, where there are no tokens."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in, and what their pages send as `X-CSRF-Token`."""

    user: User
    csrf_token: str


class Access:
    """Tells who asks. Where there are no tokens, it is the one local user."""

    def __init__(self, settings: ServerSettings, tokens: TokenFile | None) -> None:
        """Nobody is signed in yet.

        Args:
            settings: Limits, and how cookies are set.
            tokens: Who may ask; None: anybody who can reach the service.
        """
        limits = settings.limits
        self.tokens = tokens
        self.sessions = Sessions(most=limits.sessions, ttl_s=limits.session_hours * 3600.0)
        self._requests = RateLimit(per_minute=limits.requests_per_minute, at_once=limits.requests_at_once)
        self._failures = RateLimit(per_minute=limits.logins_per_minute, at_once=limits.logins_per_minute)
        self._secure = settings.https or not settings.is_local
        self._session_s = int(limits.session_hours * 3600.0)
        self.cookie = f"__Host-{_COOKIE}" if self._secure else _COOKIE
        """Name of the session's cookie."""

    def identify(self, request: Request) -> User:
        """Who asks.

        Raises:
            NotKnown: No token and no session that is valid.
            NotAllowed: Another site makes a browser ask, or the page's own token is missing.
            TooFast: They ask too often, or showed too many wrong tokens.
            Unavailable: The file of tokens cannot be read.
        """
        refuse_other_site(request)
        user = self._who(request)
        self._count(f"user {user.name}" if self.tokens is not None else f"address {user.address}")
        return user

    def admit_anyone(self, request: Request) -> None:
        """Count a request that needs no token, by its address.

        Raises:
            NotAllowed: Another site makes a browser ask.
            TooFast: Too many came from there.
        """
        refuse_other_site(request)
        self._count(f"address {_address(request)}")

    def show(self, request: Request, secret: str) -> Token:
        """The token that somebody shows.

        Raises:
            NotKnown: There is none such.
            TooFast: The address showed too many wrong ones.
            Unavailable: The file of tokens cannot be read.
        """
        token = self._find(lambda tokens: tokens.find(secret))
        if token is not None:
            return token
        wait_s = self._failures.wait_s(_address(request))
        if wait_s:
            raise TooFast("too many wrong tokens from this address", retry_after_s=wait_s)
        raise NotKnown("no such token, or it has expired")

    def sign_in(self, response: Response, token: Token) -> Session:
        """Begin a session, and set its cookie."""
        session = self.sessions.begin(token.digest)
        response.set_cookie(
            self.cookie,
            session.session_id,
            max_age=self._session_s,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )
        return session

    def sign_out(self, request: Request, response: Response) -> None:
        """End the session, and take its cookie back."""
        self.sessions.end(request.cookies.get(self.cookie, ""))
        response.delete_cookie(self.cookie, path="/", secure=self._secure, httponly=True, samesite="strict")

    def session_id(self, request: Request) -> str:
        """What a page's own token is bound to."""
        return _LOCAL_SESSION if self.tokens is None else request.cookies.get(self.cookie, "")

    def _who(self, request: Request) -> User:
        address, name = _address(request), request_id(request)
        if self.tokens is None:
            if _is_browser(request):
                self._refuse_forged(request)
            return replace(LOCAL, address=address, request_id=name)
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            token = self.show(request, secret.strip())
        else:
            token = self._signed_in(request)
            self._refuse_forged(request)
        return User(token.name, token.role, address, name)

    def _signed_in(self, request: Request) -> Token:
        session = self.sessions.find(request.cookies.get(self.cookie, ""))
        if session is None:
            raise NotKnown("show a token: Authorization: Bearer TOKEN")
        now = datetime.now(UTC)
        token = self._find(
            lambda tokens: next(
                (t for t in tokens.tokens() if t.digest == session.digest and t.is_valid(now)), None
            )
        )
        if token is None:
            self.sessions.end(session.session_id)
            raise NotKnown("the token was revoked or has expired")
        return token

    def _find(self, look: Callable[[TokenFile], Token | None]) -> Token | None:
        if self.tokens is None:
            return None
        try:
            return look(self.tokens)
        except (DataError, OSError) as error:
            raise Unavailable("the file of tokens cannot be read") from error

    def _refuse_forged(self, request: Request) -> None:
        given = request.headers.get(CSRF_HEADER, "")
        if request.method not in _SAFE and not self.sessions.is_csrf_token(self.session_id(request), given):
            raise NotAllowed(f"the header {CSRF_HEADER} is missing or wrong; load the page anew")

    def _count(self, key: str) -> None:
        wait_s = self._requests.wait_s(key)
        if wait_s:
            raise TooFast("too many requests; ask more slowly", retry_after_s=wait_s)


def current_user(request: Request) -> User:
    """Who asks; counted once for each request.

    Raises:
        Refusal: As `Access.identify`.
    """
    known = getattr(request.state, "user", None)
    if isinstance(known, User):
        return known
    user = access_of(request).identify(request)
    request.state.user = user
    return user


def find_user(request: Request) -> User | None:
    """Who asks; None where nobody knows, so that a page can ask them to sign in.

    Raises:
        Refusal: As `Access.identify`, but for `NotKnown`.
    """
    try:
        return current_user(request)
    except NotKnown:
        return None


def require(role: Role) -> Callable[[Request], Awaitable[User]]:
    """A dependency that gives who asks, where their role includes `role`."""

    async def allowed(request: Request) -> User:
        user = current_user(request)
        refuse_role(user, role)
        return user

    return allowed


def refuse_role(user: User, role: Role) -> None:
    """Nothing, or an error where a user may not do what needs `role`.

    Raises:
        NotAllowed: They may not.
    """
    if not user.role.includes(role):
        raise NotAllowed(f"this needs the role {role.value}; {user.name} has the role {user.role.value}")


async def anyone(request: Request) -> None:
    """A dependency for what needs no token.

    Raises:
        Refusal: As `Access.admit_anyone`.
    """
    access_of(request).admit_anyone(request)


def csrf_token(request: Request) -> str:
    """What a page sends as `X-CSRF-Token` with whatever changes anything."""
    access = access_of(request)
    return access.sessions.csrf_token(access.session_id(request))


async def log_in(request: Request, response: Response, secret: str) -> SignedIn:
    """Sign a browser in by a token: sets the session's cookie on `response`; recorded either way.

    Raises:
        NotKnown: There is no such token; or the service has none, and nobody needs to sign in.
        NotAllowed: Another site makes a browser ask.
        Refusal: Too many tries, or the audit log cannot be written.
    """
    access = access_of(request)
    recorder: Recorder = request.app.state.recorder
    access.admit_anyone(request)
    stranger = User("", Role.VIEWER, _address(request), request_id(request))
    try:
        token = access.show(request, secret)
    except NotKnown:
        await recorder.write("login_refused", stranger, {})
        raise
    user = replace(stranger, name=token.name, role=token.role)
    await recorder.write("login", user, {})
    session = access.sign_in(response, token)
    return SignedIn(user, access.sessions.csrf_token(session.session_id))


def log_out(request: Request, response: Response) -> None:
    """Sign a browser out, and take its cookie back."""
    access_of(request).sign_out(request, response)


def access_of(request: Request) -> Access:
    """What tells who asks, of the application that a request came to."""
    access: Access = request.app.state.access
    return access


def request_id(request: Request) -> str:
    """What names a request in the log and in its answer's header."""
    return str(getattr(request.state, "request_id", ""))


def refuse_other_site(request: Request) -> None:
    """Nothing, or an error where another site makes somebody's browser change anything.

    Raises:
        NotAllowed: It is so.
    """
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin")
    is_own = origin is None or _place_of(origin) == request.headers.get("host", "").lower()
    if not is_own or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotAllowed("another site may not ask for this")


def _place_of(origin: str) -> str | None:
    """Name and port of an origin; None where it has none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _is_browser(request: Request) -> bool:
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host
