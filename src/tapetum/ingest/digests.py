"""Digests that name what a tracklet is made from, so that the same content is known again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tapetum.data.containers import Reference
from tapetum.object_storage import is_remote, look_at

_BLOCK = 1 << 20


def digest_of(*parts: object) -> str:
    """SHA-256, in hexadecimal digits, of values that JSON can write.

    >>> digest_of("a", ["b", 1])[:16]
    '214a7b6e9fd13516'
    """
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes; of one that cannot be read, a text that says so and equals no digest.

    A file that is missing today and there tomorrow is other content, so it is tried again.
    """
    found = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return found.hexdigest()


def frame_digest(frame: str) -> str:
    """Digest of a frame's file; of one in a container or in object storage, names, sizes and ages."""
    reference = Reference.parse(frame)
    if reference is None:
        return _remote_digest(frame) if is_remote(frame) else file_digest(frame)
    place = Path(reference.container)
    try:
        found = (place / "data.mdb" if place.is_dir() else place).stat()
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return f"{reference.entry} of {found.st_size} bytes, changed {found.st_mtime_ns}"


def _remote_digest(frame: str) -> str:
    """Size and age of a file in object storage, whose bytes would have to be fetched twice."""
    try:
        found = look_at(frame)
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return "unreadable: no such file" if found is None else f"{found.size} bytes, changed {found.changed_ns}"
