"""Files that never change while a version runs: style sheets, scripts, icons."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_PACKAGE = "tapetum.server.page"
_FOLDER = "static"
_FOR_EVER = "public, max-age=31536000, immutable"
_ADDRESS_DIGITS = 12


class StaticFolder(StaticFiles):
    """The folder of such files; browsers keep them for good, since a new version has a new address."""

    def __init__(self) -> None:
        """The folder in the package."""
        super().__init__(packages=[(_PACKAGE, _FOLDER)])

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or the error that there is none."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = _FOR_EVER
        return response


def static_address() -> str:
    """Where the folder is mounted: it names the files' contents."""
    digest = hashlib.sha256()
    for name, content in sorted(_contents(files(_PACKAGE) / _FOLDER, "")):
        digest.update(f"{name}:{len(content)}:".encode())
        digest.update(content)
    return f"/static/{digest.hexdigest()[:_ADDRESS_DIGITS]}"


def static_file(name: str) -> bytes:
    """The bytes of such a file, by its name within the folder.

    Raises:
        FileNotFoundError: There is none.
    """
    return (files(_PACKAGE) / _FOLDER / name).read_bytes()


def _contents(folder: Traversable, above: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = f"{above}/{entry.name}"
        if entry.is_dir():
            yield from _contents(entry, name)
        else:
            yield name, entry.read_bytes()
