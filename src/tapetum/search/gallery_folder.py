"""The folder of a gallery: the file that says what it is, and what else may lie there.

`gallery.json` names the format, the kind of storage and where the current rows are. It is replaced whole, so
everything that must change at once is changed by writing it. `calibration.json` says what distances mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from tapetum.embedding_files import is_embeddings_folder
from tapetum.errors import DataError, GalleryVersionError
from tapetum.evaluation.calibration.calibration import Calibration
from tapetum.evaluation.calibration.files import load_calibration, save_calibration
from tapetum.files import replace_text
from tapetum.json_files import read_json_of

FORMAT = "tapetum-gallery"
FORMAT_VERSION = 1
SUMMARY = "gallery.json"
CALIBRATION = "calibration.json"
FAILURES = "failures.parquet"
"""Where what could not be indexed is listed; it may be there before the gallery."""

_OWN = ("rows-", "tracklets-")
"""What folders of rows start with; those of an interrupted write may have a dot before."""


def storage_of(folder: Path) -> str | None:
    """The kind of storage of the gallery in a folder; None where there is no gallery.

    Raises:
        DataError: `gallery.json` is damaged.
        GalleryVersionError: It is of a newer version.
    """
    path = folder / SUMMARY
    return str(_read(path)["storage"]) if path.is_file() else None


def read_summary(folder: Path, storage: str, fields: Mapping[str, type]) -> dict[str, Any]:
    """What `gallery.json` says.

    Args:
        folder: Of the gallery.
        storage: What kind it must be.
        fields: Further keys that must be there, and of which type.

    Raises:
        DataError: It is damaged, or of another kind.
        GalleryVersionError: It is of a newer version.
    """
    path = folder / SUMMARY
    summary = _read(path)
    if summary["storage"] != storage:
        raise DataError(f"{path}: storage is {summary['storage']!r}; expected {storage!r}")
    for key, kind in fields.items():
        if not isinstance(summary.get(key), kind):
            raise DataError(f"{path}: {key} is {summary.get(key)!r}; expected {kind.__name__}")
    return summary


def write_summary(folder: Path, storage: str, fields: Mapping[str, Any]) -> None:
    """Replace `gallery.json`, whole or not at all.

    Raises:
        OSError: It could not be written; what was there before is untouched.
    """
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "storage": storage}
    replace_text(folder / SUMMARY, json.dumps({**head, **fields}, indent=1) + "\n")


def read_calibration(folder: Path, model: str | None) -> Calibration | None:
    """The calibration stored for `model`; None where there is none for it.

    Raises:
        DataError: The file is damaged.
    """
    path = folder / CALIBRATION
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    found = _calibration_in(path, (status.st_mtime_ns, status.st_size, status.st_ino))
    return found if found.model == model else None


@lru_cache(maxsize=16)
def _calibration_in(path: Path, stamp: tuple[int, int, int]) -> Calibration:
    """The calibration in a file, read once for each state of the file: every search asks for it."""
    return load_calibration(path)


def write_calibration(folder: Path, calibration: Calibration | None) -> None:
    """Store a calibration, or remove the one that is there.

    Raises:
        OSError: It could not be written; what was there before is untouched.
    """
    if calibration is None:
        (folder / CALIBRATION).unlink(missing_ok=True)
    else:
        save_calibration(folder / CALIBRATION, calibration)


def refuse_other_content(folder: Path) -> None:
    """Nothing, or an error where a folder without a gallery holds something else.

    Raises:
        DataError: It does, or it is a file.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; a gallery is a folder")
    if is_embeddings_folder(folder):
        raise DataError(f"{folder} holds embeddings, not a gallery; store them into a gallery of their own")
    strangers = sorted(item.name for item in folder.iterdir() if not _may_be_there(item.name))
    if strangers:
        raise DataError(
            f"{folder} holds other files ({strangers[0]}) and no gallery; choose a new or empty folder"
        )


def _may_be_there(name: str) -> bool:
    return name.startswith(".") or name == FAILURES or name.startswith(_OWN)


def _read(path: Path) -> dict[str, Any]:
    summary = read_json_of(path, FORMAT, "a gallery")
    version = summary.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise GalleryVersionError(
            f"{path}: format_version is {version}; this version reads {FORMAT_VERSION}. The gallery was "
            "written by a newer version of Tapetum: use that one, or a newer one. Nothing was changed"
        )
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: format_version is {version!r}; this version reads {FORMAT_VERSION}")
    if not isinstance(summary.get("storage"), str):
        raise DataError(f"{path}: storage is {summary.get('storage')!r}; expected a text")
    return summary
