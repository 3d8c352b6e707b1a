"""Write a file whole or not at all: beside its place first, then renamed into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, flush it to the disk and rename it into place.

    Whatever happens, `path` holds either its former content or the whole new one.

    Returns:
        `path`.

    Raises:
        OSError: The file could not be written (a full disk, no permission); the message names it. What was
            there before is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"cannot write (what was there before is untouched): {reason}", str(path)
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def replace_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all; see `replace_file`."""
    return replace_file(path, lambda place: place.write_text(text, encoding="utf-8"))


def _flush(path: Path) -> None:
    """Bring a file's content, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
