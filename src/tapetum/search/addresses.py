"""Addresses of galleries: which kind of store each of them names."""

from __future__ import annotations

import re
from pathlib import Path

from tapetum.search.gallery import Gallery
from tapetum.search.gallery_folder import storage_of

MEMORY = "memory:"
NUMPY = "numpy:"
_KNOWN = f"a folder, {MEMORY!r} or '{NUMPY}FOLDER'"


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
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", address)  # one letter is a drive
    if scheme:
        raise ValueError(f"{address!r}: there is no store {scheme[1]!r} in this version; give {_KNOWN}")
    folder = _folder(address)
    is_numpy = storage_of(folder) == FolderGallery.storage
    return FolderGallery(folder) if is_numpy else LanceGallery(folder, create=create)


def _folder(address: str) -> Path:
    if not address.strip():
        raise ValueError(f"the gallery's address is empty; give {_KNOWN}")
    return Path(address)
