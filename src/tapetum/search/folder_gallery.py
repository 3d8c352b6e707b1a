"""A gallery in a folder: the reference gallery, written whole at each change.

`gallery.json` names the format, the kind of storage and the folder of the current rows, which has the format
of embeddings on disk. A change writes a new folder of rows, then replaces `gallery.json`, then removes the
former rows: a crash at any moment leaves one or the other state, whole.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tapetum.embedding_files import is_embeddings_folder, load_embeddings, save_embeddings
from tapetum.errors import DataError, GalleryChangedError
from tapetum.files import replace_text
from tapetum.json_files import read_json_of
from tapetum.search.memory_gallery import MemoryGallery, Rows

FORMAT = "tapetum-gallery"
FORMAT_VERSION = 1
SUMMARY = "gallery.json"


class FolderGallery(MemoryGallery):
    """A gallery kept in a folder and searched in memory; for one writer at a time."""

    storage = "numpy"

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        """Open a folder, see `Gallery.open`; a new one is written with the first tracklets."""
        super().__init__()
        self.uri = str(folder)
        self._folder = folder
        self._version = 0
        if (folder / SUMMARY).is_file():
            self._load()
            return
        _refuse_other_content(folder)
        if not create:
            raise FileNotFoundError(f"{folder}: there is no gallery")

    def optimise(self) -> None:
        """Remove what interrupted writes have left in the folder."""
        with self._writing:
            if self._folder.is_dir():
                self._refuse_foreign_change()
                self._remove_all_but(self._name(self._version))

    def _load(self) -> None:
        summary = _read_summary(self._folder / SUMMARY)
        self._version = summary["version"]
        self._rows = Rows(load_embeddings(self._folder / self._name(self._version)))

    def _replace(self, rows: Rows) -> None:
        self._refuse_foreign_change()
        self._folder.mkdir(parents=True, exist_ok=True)
        name = self._name(self._version + 1)
        shutil.rmtree(self._folder / name, ignore_errors=True)  # of an interrupted write
        save_embeddings(rows.embeddings, self._folder / name)
        summary = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "storage": self.storage,
            "version": self._version + 1,
        }
        replace_text(self._folder / SUMMARY, json.dumps(summary, indent=1) + "\n")
        self._version += 1
        self._rows = rows
        self._remove_all_but(name)

    def _refuse_foreign_change(self) -> None:
        path = self._folder / SUMMARY
        found = _read_summary(path)["version"] if path.is_file() else 0
        if found != self._version:
            raise GalleryChangedError(
                f"{self._folder} was changed by another process since it was opened; open it again"
            )

    def _remove_all_but(self, name: str) -> None:
        for item in self._folder.iterdir():
            if item.is_dir() and item.name != name and item.name.lstrip(".").startswith("rows-"):
                shutil.rmtree(item, ignore_errors=True)

    @staticmethod
    def _name(version: int) -> str:
        return f"rows-{version}"


def _read_summary(path: Path) -> dict[str, Any]:
    summary = read_json_of(path, FORMAT, "a gallery")
    expected = {"format_version": FORMAT_VERSION, "storage": FolderGallery.storage}
    for key, value in expected.items():
        if summary.get(key) != value:
            raise DataError(f"{path}: {key} is {summary.get(key)!r}; this version reads {value!r}")
    if not isinstance(summary.get("version"), int):
        raise DataError(f"{path}: version is {summary.get('version')!r}; expected an integer")
    return summary


def _refuse_other_content(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; a gallery is a folder")
    if is_embeddings_folder(folder):
        raise DataError(f"{folder} holds embeddings, not a gallery; store them into a gallery of their own")
    names = sorted(item.name for item in folder.iterdir() if not item.name.lstrip(".").startswith("rows-"))
    if names:
        raise DataError(
            f"{folder} holds other files ({names[0]}) and no gallery; choose a new or empty folder"
        )
