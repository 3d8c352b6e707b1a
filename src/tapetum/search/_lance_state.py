"""What `gallery.json` says of a gallery in LanceDB: which table holds its rows, of which model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tapetum.errors import DataError
from tapetum.search.gallery_folder import SUMMARY, read_summary, write_summary
from tapetum.search.planning import Index

STORAGE = "lancedb"
_PREFIX = "tracklets-"
_FIELDS = {"table": str, "model": str, "dimension": int}


@dataclass(frozen=True, slots=True)
class TableOf:
    """A table, and the embeddings in it.

    Attributes:
        table: Its name.
        model: Fingerprint of the model.
        dimension: Length of an embedding.
    """

    table: str
    model: str
    dimension: int

    @property
    def number(self) -> int:
        """The number in the table's name."""
        return int(self.table.removeprefix(_PREFIX))

    def next(self, model: str, dimension: int) -> TableOf:
        """The table after this one."""
        return TableOf(f"{_PREFIX}{self.number + 1}", model, dimension)

    @classmethod
    def first(cls, model: str, dimension: int) -> TableOf:
        """The table of a new gallery."""
        return cls(f"{_PREFIX}1", model, dimension)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"table": self.table, "model": self.model, "dimension": self.dimension}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TableOf:
        """What `to_json` wrote.

        Raises:
            KeyError: A value is missing.
            ValueError: A value is not as expected.
        """
        found = cls(str(content["table"]), str(content["model"]), int(content["dimension"]))
        if not found.table.startswith(_PREFIX) or found.number < 1 or found.dimension < 1:
            raise ValueError(f"table {found.table!r} of dimension {found.dimension}")
        return found


@dataclass(frozen=True, slots=True)
class State:
    """What a gallery is at one moment.

    Attributes:
        current: The table that is searched.
        replacement: The table that will take its place; None where no other model is on its way.
        index: The approximate index of the current table; None where every search is exact.
    """

    current: TableOf
    replacement: TableOf | None = None
    index: Index | None = None

    def with_index(self, index: Index | None) -> State:
        """The same with another index."""
        return replace(self, index=index)

    def with_replacement(self, replacement: TableOf | None) -> State:
        """The same with another table on its way."""
        return replace(self, replacement=replacement)

    def switched(self) -> State:
        """The replacement in the place of the current table."""
        assert self.replacement is not None
        return State(self.replacement)


def read_state(folder: Path) -> State:
    """The state of a gallery.

    Raises:
        DataError: `gallery.json` is damaged, or of another kind of gallery.
        GalleryVersionError: It is of a newer version.
    """
    summary = read_summary(folder, STORAGE, _FIELDS)
    following, index = summary.get("replacement"), summary.get("index")
    try:
        return State(
            TableOf.from_json(summary),
            None if following is None else TableOf.from_json(following),
            None if index is None else Index.from_json(index),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / SUMMARY}: not complete: {error!r}") from None


def write_state(folder: Path, state: State) -> None:
    """Replace `gallery.json`, whole or not at all.

    Raises:
        OSError: It could not be written; what was there before is untouched.
    """
    fields = {
        **state.current.to_json(),
        "replacement": None if state.replacement is None else state.replacement.to_json(),
        "index": None if state.index is None else state.index.to_json(),
    }
    write_summary(folder, STORAGE, fields)
