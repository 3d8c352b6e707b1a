"""Tokens: secrets that say who asks. The file keeps their SHA-256 alone, so that reading it lets nobody in.

A token is 256 random bits, so a plain hash is enough: there is nothing to guess. The file is read anew when
it has changed; a token that is revoked stops working at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tapetum.errors import DataError
from tapetum.files import replace_file
from tapetum.json_files import read_json_of
from tapetum.search._writer_lock import WriterLock
from tapetum.server.users import Role

FORMAT = "tapetum-tokens"
VERSION = 1
PREFIX = "tpt_"
"""What a token begins with, so that scanners for lost secrets can be told of it."""

_LONGEST_NAME = 64
_Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token.

    Attributes:
        name: Whose it is; the audit log names it. Unique.
        role: What it allows.
        digest: Its SHA-256, hexadecimal.
        created: When, as ISO 8601 in UTC.
        expires: When it stops working, in the same form; None: when it is revoked.
    """

    name: str
    role: Role
    digest: str
    created: str
    expires: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it works at an instant."""
        return self.expires is None or now < datetime.fromisoformat(self.expires)


class TokenFile:
    """A file of tokens, which only its owner may read or write."""

    def __init__(self, path: Path) -> None:
        """The file at `path`, which may be missing: then there are no tokens."""
        self.path = path
        self._reading = threading.Lock()
        self._known: tuple[_Version, tuple[Token, ...]] | None = None

    def tokens(self) -> tuple[Token, ...]:
        """All tokens, those that have expired too, in the order of their creation.

        Raises:
            DataError: It is no such file, or others than its owner may read it.
            OSError: It cannot be read.
        """
        with self._reading:
            try:
                found = self.path.stat()
            except FileNotFoundError:
                return ()
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._known is None or self._known[0] != version:
                _refuse_open_file(self.path, found.st_mode)
                self._known = (version, _read(self.path))
            return self._known[1]

    def find(self, secret: str) -> Token | None:
        """The token that somebody shows; None where there is none, or it has expired.

        All are compared, each in constant time: how long it takes tells nothing.

        Raises:
            DataError: As `tokens`.
            OSError: As `tokens`.
        """
        digest = digest_of(secret)
        found = None
        for token in self.tokens():
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found if found is not None and found.is_valid(datetime.now(UTC)) else None

    def create(self, name: str, role: Role, expires: datetime | None = None) -> str:
        """A new token; the secret, which is nowhere else.

        Raises:
            ValueError: The name is blank, too long, holds signs that cannot be seen, or is taken; or it
                would have expired already.
            DataError: As `tokens`.
            OSError: The file cannot be written; it is as it was.
        """
        _check_name(name)
        now = datetime.now(UTC)
        if expires is not None and expires <= now:
            raise ValueError(f"a token that expires at {expires.isoformat()} would be of no use")
        secret = PREFIX + secrets.token_urlsafe(32)
        until = None if expires is None else expires.astimezone(UTC).isoformat(timespec="seconds")
        token = Token(name, role, digest_of(secret), now.isoformat(timespec="seconds"), until)
        with self._writing():
            known = self.tokens()
            if any(other.name == name for other in known):
                raise ValueError(
                    f"there is a token {name!r} already; revoke it first, or choose another name"
                )
            self._write((*known, token))
        return secret

    def revoke(self, name: str) -> None:
        """Take a token's rights away.

        Raises:
            KeyError: There is none by this name.
            DataError: As `tokens`.
            OSError: The file cannot be written; it is as it was.
        """
        with self._writing():
            known = self.tokens()
            left = tuple(token for token in known if token.name != name)
            if len(left) == len(known):
                names = ", ".join(token.name for token in known) or "none"
                raise KeyError(f"{self.path}: no token {name!r}; there are: {names}")
            self._write(left)

    def _writing(self) -> Any:
        return WriterLock(self.path.parent, f".{self.path.name}.lock").held()

    def _write(self, tokens: tuple[Token, ...]) -> None:
        rows = [
            {
                "name": t.name,
                "role": t.role.value,
                "sha256": t.digest,
                "created": t.created,
                "expires": t.expires,
            }
            for t in tokens
        ]
        text = json.dumps({"format": FORMAT, "version": VERSION, "tokens": rows}, indent=2) + "\n"

        def write(place: Path) -> None:
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)

        replace_file(self.path, write)


def digest_of(secret: str) -> str:
    """SHA-256 of a secret, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a token's name is 1 to {_LONGEST_NAME} visible letters, found {name!r}")


def _refuse_open_file(path: Path, mode: int) -> None:
    if sys.platform != "win32" and stat.S_IMODE(mode) & 0o077:
        raise DataError(
            f"{path}: others than its owner may use this file (mode {stat.S_IMODE(mode):03o}); "
            f"run: chmod 600 {path}"
        )


def _read(path: Path) -> tuple[Token, ...]:
    content = read_json_of(path, FORMAT, "a file of tokens")
    if content.get("version") != VERSION:
        raise DataError(f"{path}: version {content.get('version')!r} of the format; expected {VERSION}")
    try:
        found = tuple(_token(row) for row in content["tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: a damaged file of tokens: {error!r}") from None
    return found


def _token(row: dict[str, Any]) -> Token:
    token = Token(
        str(row["name"]), Role(row["role"]), str(row["sha256"]), str(row["created"]), row["expires"]
    )
    token.is_valid(datetime.now(UTC))
    return token
