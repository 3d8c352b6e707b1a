"""Who is signed in by a browser: a random cookie stands for a token, as long as that token is valid."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in.

    Attributes:
        session_id: The cookie's value; secret.
        digest: SHA-256 of the token that was shown; its name and role are looked up each time.
        expires_at: In Unix seconds.
    """

    session_id: str
    digest: str
    expires_at: float


class Sessions:
    """Sessions of one process, in memory: a restart signs everybody out. Usable from any thread."""

    def __init__(self, *, most: int, ttl_s: float, clock: Callable[[], float] = time.time) -> None:
        """None yet.

        Args:
            most: Sessions that are kept; the oldest makes room.
            ttl_s: Seconds that one lasts.
            clock: Unix time in seconds.
        """
        self._most, self._ttl_s, self._clock = most, ttl_s, clock
        self._key = secrets.token_bytes(32)
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, digest: str) -> Session:
        """A new session for whoever showed the token of this digest."""
        session = Session(secrets.token_urlsafe(32), digest, self._clock() + self._ttl_s)
        with self._lock:
            self._open[session.session_id] = session
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        return session

    def find(self, session_id: str) -> Session | None:
        """The session of a cookie; None where there is none, or it has expired."""
        with self._lock:
            session = self._open.get(session_id)
            if session is not None and session.expires_at <= self._clock():
                del self._open[session_id]
                return None
            return session

    def end(self, session_id: str) -> None:
        """Sign out; nothing where there is no such session."""
        with self._lock:
            self._open.pop(session_id, None)

    def csrf_token(self, session_id: str) -> str:
        """What a page of this session sends with whatever changes anything; other sites cannot know it."""
        return hmac.new(self._key, session_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def is_csrf_token(self, session_id: str, given: str) -> bool:
        """Whether `given` is the session's, compared in constant time."""
        return hmac.compare_digest(
            self.csrf_token(session_id).encode("ascii"), given.encode("utf-8", "surrogatepass")
        )
