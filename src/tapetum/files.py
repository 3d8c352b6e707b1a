"""Write a file or a folder whole or not at all: beside its place first, then renamed into it."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

if TYPE_CHECKING:
    from torch import Tensor


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
        raise _not_written(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def replace_folder(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a new folder beside `path`, flush its files to the disk and rename it into place.

    A folder that is there already is replaced by two renames: between them, for an instant, there is none.

    Returns:
        `path`.

    Raises:
        OSError: It could not be written; the message names it. What was there before is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    former = path.with_name(f".{path.name}.{os.getpid()}.former")
    try:
        temporary.mkdir()
        write(temporary)
        for item in (*temporary.iterdir(), temporary):
            _flush(item)
        if path.exists():
            path.rename(former)
        temporary.rename(path)
        _flush(path.parent)
    except OSError as error:
        if former.exists():
            former.rename(path)
        raise _not_written(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)
    return path


def replace_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all; see `replace_file`."""
    return replace_file(path, lambda place: place.write_text(text, encoding="utf-8"))


def replace_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    """Write tensors and a header of texts as safetensors, whole or not at all; see `replace_file`."""
    from safetensors.torch import save_file

    def write(place: Path) -> None:
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, place, dict(metadata))
        except SafetensorError as error:
            raise as_os_error(error) from error

    return replace_file(path, write)


def _not_written(error: OSError, path: Path) -> OSError:
    """The same error, naming the place that was to be written."""
    reason = error.strerror or str(error)
    return OSError(error.errno, f"cannot write (what was there before is untouched): {reason}", str(path))


def as_os_error(error: SafetensorError) -> OSError:
    """The operating system's error inside one of safetensors, which keeps its number in the text alone."""
    text = str(error)
    number = re.search(r"(?:os error|code:) (\d+)", text)
    code = int(number.group(1)) if number else errno.EIO
    return OSError(code, os.strerror(code) if number else text)


def _flush(path: Path) -> None:
    """Bring a file's content, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
