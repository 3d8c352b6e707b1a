"""The table of failures: what of each source is not in the gallery, or not all of it, and why."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tapetum.errors import DataError
from tapetum.files import replace_file
from tapetum.ingest.items import Problem
from tapetum.search._writer_lock import WriterLock
from tapetum.search.gallery import Gallery
from tapetum.search.gallery_folder import FAILURES

_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("item", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("noted_at", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of the table: a problem, where it was met, and when, in Unix seconds."""

    source: str
    problem: Problem
    noted_at: float


class FailureTable:
    """What went wrong with each item of a source; an item that goes well later is taken out.

    Several processes may keep one table, each for sources of its own.
    """

    def __init__(self, file: Path | None, source: str) -> None:
        """The table of a file, for the changes that one source brings.

        Args:
            file: Parquet; it may not be there yet. None: nothing is kept.
            source: Title of the source.

        Raises:
            DataError: The file is damaged.
        """
        self._file, self._source = file, source
        self._rows = {row.problem.item: row for row in self._stored() if row.source == source}
        self._met: set[str] = set()
        self._is_changed = False

    def note(self, problem: Problem) -> None:
        """Keep a problem; one of the same item is replaced."""
        self._met.add(problem.item)
        former = self._rows.get(problem.item)
        if former is None or former.problem != problem:
            self._rows[problem.item] = Failure(self._source, problem, time.time())
            self._is_changed = True

    def clear(self, item: str) -> None:
        """Forget an item that went well."""
        if self._rows.pop(item, None) is not None:
            self._is_changed = True

    def keep_met(self, unchanged: Iterable[str] = ()) -> None:
        """After the whole source was seen: forget what of it was not met again.

        Args:
            unchanged: Items that were not read, for the gallery has them; what is noted of them stays.
        """
        for item in self._rows.keys() - self._met.union(unchanged):
            self.clear(item)

    def save(self) -> None:
        """Write the file, whole or not at all, where something changed.

        Raises:
            DataError: The file was damaged meanwhile.
            OSError: It could not be written; what was there before is untouched.
        """
        if self._file is None or not self._is_changed:
            return
        file = self._file
        with WriterLock(file.parent, f".{file.name}.lock").held():
            others = [row for row in self._stored() if row.source != self._source]
            table = _as_table([*others, *self._rows.values()])
            replace_file(file, lambda place: pq.write_table(table, place))
        self._is_changed = False

    def _stored(self) -> list[Failure]:
        """What is in the file now, of all sources."""
        return load_failures(self._file) if self._file is not None and self._file.is_file() else []


def load_failures(file: Path) -> list[Failure]:
    """The rows of a table of failures.

    Raises:
        OSError: The file cannot be read.
        DataError: It is no such table.
    """
    try:
        with file.open("rb") as opened:
            rows = pq.read_table(opened, schema=_SCHEMA).to_pylist()
    except pa.ArrowException as error:
        raise DataError(f"{file}: not a table of failures: {error}") from None
    problems = [Problem(row["item"], row["kind"], row["reason"]) for row in rows]
    return [Failure(r["source"], p, r["noted_at"]) for r, p in zip(rows, problems, strict=True)]


def failures_file(gallery: Gallery) -> Path | None:
    """Where the failures of a gallery are kept: in its folder; None where it is not in a folder."""
    address = gallery.uri.removeprefix("numpy:")
    return None if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", address) else Path(address) / FAILURES


def _as_table(rows: Sequence[Failure]) -> pa.Table:
    columns: dict[str, Sequence[Any]] = {
        "source": [row.source for row in rows],
        "item": [row.problem.item for row in rows],
        "kind": [row.problem.kind for row in rows],
        "reason": [row.problem.reason for row in rows],
        "noted_at": [row.noted_at for row in rows],
    }
    return pa.Table.from_pydict({k: _writable(v) for k, v in columns.items()}, schema=_SCHEMA)


def _writable(values: Sequence[Any]) -> list[Any]:
    """Texts without what cannot be written as UTF-8, such as bytes of foreign file names."""
    return [v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in values]
