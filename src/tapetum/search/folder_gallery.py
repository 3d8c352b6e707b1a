"""The reference gallery in a folder, written whole at each change.

`gallery.json` names the folder of the current rows, `rows-<version>`, which has the format of embeddings on
disk, and in `stored.parquet` what lies beside them. A change writes a new folder of rows, then replaces
`gallery.json`, then removes the former rows: a crash at any moment leaves one or the other state, whole.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tapetum.embedding_files import load_embeddings, save_embeddings
from tapetum.errors import DataError, GalleryChangedError
from tapetum.evaluation.calibration.calibration import Calibration
from tapetum.files import replace_file
from tapetum.search._rows import Rows
from tapetum.search.gallery_folder import (
    SUMMARY,
    read_calibration,
    read_summary,
    refuse_other_content,
    write_calibration,
    write_summary,
)
from tapetum.search.memory_gallery import MemoryGallery
from tapetum.search.storing import Beside

BESIDE = "stored.parquet"
_FIELDS = {"version": int}
_SCHEMA = pa.schema(
    [
        pa.field("content", pa.string()),
        pa.field("stored_at", pa.float64()),
        pa.field("thumbnails", pa.list_(pa.binary())),
    ]
)


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
        refuse_other_content(folder)
        if not create:
            raise FileNotFoundError(f"{folder}: there is no gallery")

    def optimise(self) -> None:
        """Remove what interrupted writes have left in the folder."""
        with self._writing:
            if self._folder.is_dir():
                self._refuse_foreign_change()
                self._remove_all_but(self._name(self._version))

    def calibration(self) -> Calibration | None:
        """What distances mean; see `Gallery.calibration`."""
        return read_calibration(self._folder, self._rows.model)

    def _keep_calibration(self, calibration: Calibration | None) -> None:
        write_calibration(self._folder, calibration)

    def _load(self) -> None:
        self._version = read_summary(self._folder, self.storage, _FIELDS)["version"]
        place = self._folder / self._name(self._version)
        embeddings = load_embeddings(place)
        self._rows = Rows(embeddings, _load_beside(place / BESIDE, len(embeddings)))

    def _replace(self, rows: Rows) -> None:
        self._refuse_foreign_change()
        self._folder.mkdir(parents=True, exist_ok=True)
        name = self._name(self._version + 1)
        shutil.rmtree(self._folder / name, ignore_errors=True)  # of an interrupted write
        save_embeddings(rows.embeddings, self._folder / name)
        _save_beside(rows.beside, self._folder / name / BESIDE)
        write_summary(self._folder, self.storage, {"version": self._version + 1})
        self._version += 1
        self._rows = rows
        self._remove_all_but(name)

    def _refuse_foreign_change(self) -> None:
        known = (self._folder / SUMMARY).is_file()
        found = read_summary(self._folder, self.storage, _FIELDS)["version"] if known else 0
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


def _save_beside(beside: tuple[Beside, ...], path: Path) -> None:
    columns = {
        "content": [entry.content for entry in beside],
        "stored_at": [entry.stored_at for entry in beside],
        "thumbnails": [list(entry.thumbnails) for entry in beside],
    }
    table = pa.Table.from_pydict(columns, schema=_SCHEMA)
    replace_file(path, lambda place: pq.write_table(table, place))


def _load_beside(path: Path, count: int) -> tuple[Beside, ...]:
    """What lies beside the rows; nothing is known of rows that were stored before there was such a file."""
    if not path.is_file():
        return (Beside(),) * count
    try:
        rows = pq.read_table(path, schema=_SCHEMA).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a complete table of what is stored: {error}") from None
    if len(rows) != count:
        raise DataError(f"{path}: {len(rows)} rows, and {count} embeddings; they do not belong together")
    return tuple(Beside(tuple(row["thumbnails"] or ()), row["content"], row["stored_at"]) for row in rows)
