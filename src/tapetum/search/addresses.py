"""Addresses of galleries: which kind of store each of them names."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from tapetum.errors import MissingExtraError
from tapetum.search.gallery import Gallery
from tapetum.search.gallery_folder import storage_of

if TYPE_CHECKING:
    from tapetum.search._qdrant_store import Place

MEMORY = "memory:"
NUMPY = "numpy:"
QDRANT = "qdrant:"
QDRANT_KEY = "QDRANT_API_KEY"
"""Environment variable with what a Qdrant server wants to be told; an address would show it to everyone."""

_SERVER = re.compile(r"qdrant(\+https)?://")
_PORT = 6333
_TRIAL_NAME = "tracklets"
_NUMBERS = ("shards", "replicas", "consistency")
_KNOWN = f"a folder, {MEMORY!r}, '{NUMPY}FOLDER', 'qdrant://HOST:PORT/NAME' or '{QDRANT}FOLDER'"


def open_gallery(uri: str | Path, *, create: bool = True) -> Gallery:
    """The gallery at `uri`; see `Gallery.open`."""
    from tapetum.search.folder_gallery import FolderGallery
    from tapetum.search.lance_gallery import LanceGallery
    from tapetum.search.memory_gallery import MemoryGallery

    address = str(uri)
    if address == MEMORY:
        return MemoryGallery()
    if address.startswith(NUMPY):
        return FolderGallery(_folder(address.removeprefix(NUMPY)), create=create)
    if address.startswith(QDRANT) or _SERVER.match(address):
        return _open_qdrant(address, create)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", address)  # one letter is a drive
    if scheme:
        raise ValueError(f"{address!r}: there is no store {scheme[1]!r} in this version; give {_KNOWN}")
    folder = _folder(address)
    is_numpy = storage_of(folder) == FolderGallery.storage
    return FolderGallery(folder) if is_numpy else LanceGallery(folder, create=create)


def is_lasting(uri: str | Path) -> bool:
    """Whether a gallery is still there when the process ends."""
    return str(uri) not in (MEMORY, QDRANT + ":memory:")


def _folder(address: str) -> Path:
    if not address.strip():
        raise ValueError(f"the gallery's address is empty; give {_KNOWN}")
    return Path(address)


def _open_qdrant(address: str, create: bool) -> Gallery:
    try:
        from tapetum.search._qdrant_store import Place
        from tapetum.search.qdrant_gallery import QdrantGallery
    except ModuleNotFoundError as error:
        if error.name != "qdrant_client":
            raise
        raise MissingExtraError("qdrant-client", "qdrant") from None
    if _SERVER.match(address):
        return QdrantGallery(server_place(address), create=create)
    where = address.removeprefix(QDRANT)
    folder = None if where == ":memory:" else _folder(where)
    return QdrantGallery(Place(address, _TRIAL_NAME, folder=folder), create=create)


def server_place(address: str) -> Place:
    """Where `qdrant://HOST:PORT/NAME?shards=6&replicas=2&consistency=1` is; `qdrant+https://` is by TLS.

    Raises:
        ValueError: No host or name, a name that is no plain one, or an option that is unknown or no number.
    """
    from tapetum.search._qdrant_store import Place

    parts = urlsplit(address)
    name = parts.path.strip("/")
    if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"{address!r}: expected qdrant://HOST:PORT/NAME, the name of letters and digits")
    if parts.username or parts.password:
        raise ValueError(f"an address shows what it holds: give the server's key in {QDRANT_KEY}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option, value in options.items():
        if option not in _NUMBERS or not value.isdecimal() or int(value) < 1:
            raise ValueError(f"{address!r}: {option}={value}; expected {'=N, '.join(_NUMBERS)}=N")
    numbers = {option: int(value) for option, value in options.items()}
    protocol = "https" if parts.scheme.endswith("+https") else "http"
    return Place(
        uri=address,
        name=name,
        url=f"{protocol}://{parts.hostname}:{parts.port or _PORT}",
        shards=numbers.get("shards"),
        replicas=numbers.get("replicas"),
        consistency=numbers.get("consistency"),
        key=os.environ.get(QDRANT_KEY),
    )
