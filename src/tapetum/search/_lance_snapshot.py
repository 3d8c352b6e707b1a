"""One state of a gallery's table: what filters look at in memory, all else read when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tapetum.search._columns import Columns
from tapetum.search._lance_operations import Table, sequences_of
from tapetum.search._lance_state import TableOf
from tapetum.search._lance_table import FILTER_COLUMNS, filter_columns, quoted, vectors_of
from tapetum.search._nearest import Indices, Vectors
from tapetum.search.planning import Index
from tapetum.search.query import Filter
from tapetum.search.storing import stored_forms
from tapetum.types import Id, Modality

_READ_AT_ONCE = 16384
_TAKE_AT_ONCE = 4096
_FEW = 0.02
"""Up to this share of the rows, each is read from its own place; of more, the whole column is."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table as it was at one moment; its rows are in gallery order.

    Attributes:
        of: Which table, of which model.
        table: The table, opened at that moment.
        version: Its version.
        index: Its approximate index.
        sequence: int64 `[N]`, rising.
        revision: int64 `[N]`.
        row_ids: uint64 `[N]`, where the table keeps each row.
        columns: What filters look at.
    """

    of: TableOf
    table: Table = field(repr=False)
    version: int
    index: Index | None
    sequence: Indices = field(repr=False)
    revision: Indices = field(repr=False)
    row_ids: NDArray[np.uint64] = field(repr=False)
    columns: Columns = field(repr=False)

    @classmethod
    def load(cls, table: Table, of: TableOf, index: Index | None) -> Snapshot:
        """The table as it is now."""
        version = int(table.version)
        rows = table.search().select(FILTER_COLUMNS).with_row_id(True).to_arrow()
        if not pc.all(pc.greater(*_neighbours(rows.column("sequence")))).as_py():
            rows = rows.sort_by("sequence")
        numbers = [rows.column(name).to_numpy() for name in ("sequence", "revision", "_rowid")]
        return cls(of, table, version, index, numbers[0], numbers[1], numbers[2], filter_columns(rows))

    def __len__(self) -> int:
        return len(self.sequence)

    def rows_passing(self, where: Filter | None) -> NDArray[np.bool_]:
        """Which rows pass a filter."""
        return np.ones(len(self), dtype=np.bool_) if where is None else self.columns.passing(where)

    def rows_of(self, tracklet_ids: Sequence[str]) -> dict[str, int]:
        """Row of each tracklet that is there."""
        found = sequences_of(self.table, tracklet_ids)
        return {name: int(np.searchsorted(self.sequence, number)) for name, number in found.items()}

    def read(self, rows: Indices, columns: Sequence[str]) -> pa.Table:
        """Columns of some rows, in the order asked."""
        parts = list(self._parts(np.unique(rows), list(dict.fromkeys([*columns, "sequence"]))))
        if not parts:
            return self.table.schema.empty_table().select(list(columns))
        found = pa.concat_tables(parts)
        place = np.argsort(found.column("sequence").to_numpy(), kind="stable")
        wanted = np.searchsorted(np.unique(rows), rows)
        return found.take(place[wanted]).select(list(columns))

    def read_vectors(self, rows: Indices) -> Iterator[tuple[Indices, Vectors]]:
        """Vectors of some rows, in parts: places in `rows`, which must rise, and the vectors.

        Raises:
            FileNotFoundError: Rows are gone.
        """
        sequence, count = self.sequence[rows], 0
        for part in self._parts(rows, ["sequence", "vector"]):
            count += part.num_rows
            yield np.searchsorted(sequence, part.column("sequence").to_numpy()), vectors_of(part)
        if count != len(rows):
            raise FileNotFoundError(f"{len(rows) - count} rows of table {self.of.table} are gone")

    def read_all(self, columns: Sequence[str], condition: str | None = None) -> pa.Table:
        """Columns of all rows, or of those that meet a condition, in gallery order."""
        asked = self.table.search().select([*columns, "sequence"])
        found = (asked if condition is None else asked.where(condition)).to_arrow()
        return found.sort_by("sequence").select(list(columns))

    def approximate(self, query: Vectors, where: Filter | None, effort: int, count: int) -> Indices:
        """About the `count` rows nearest to a query, by the table's index; in order of rows."""
        asked = self.table.search(query).distance_type("dot").nprobes(effort).limit(count)
        meets = condition(where)
        asked = asked if meets is None else asked.where(meets, prefilter=True)
        found = asked.select(["sequence", "_distance"]).to_arrow().column("sequence").to_numpy()
        return np.sort(np.searchsorted(self.sequence, found))

    def _parts(self, rows: Indices, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Columns of some rows (which rise), in parts of any order."""
        if len(rows) <= _FEW * len(self) + 100:
            for start in range(0, len(rows), _TAKE_AT_ONCE):
                ids = self.row_ids[rows[start : start + _TAKE_AT_ONCE]].tolist()
                yield self.table.take_row_ids(ids).select(list(columns)).to_arrow()
            return
        wanted = np.zeros(len(self), dtype=np.bool_)
        wanted[rows] = True
        for start in range(0, len(self), _READ_AT_ONCE):
            here = self.sequence[start : start + _READ_AT_ONCE]
            if not wanted[start : start + _READ_AT_ONCE].any():
                continue
            asked = f"sequence >= {here[0]} AND sequence <= {here[-1]}"
            for batch in self.table.search().where(asked).select(list(columns)).to_batches():
                part = pa.Table.from_batches([batch])
                kept = wanted[np.searchsorted(self.sequence, part.column("sequence").to_numpy())]
                yield part if kept.all() else part.filter(pa.array(kept))


def _neighbours(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """All values but the first, and those before them."""
    return column.slice(1), column.slice(0, max(len(column) - 1, 0))


def condition(where: Filter | None) -> str | None:
    """A filter as an SQL condition; None where everything passes."""
    if where is None:
        return None
    parts = []
    if where.modality is not None:
        parts.append(f"modality = {quoted([Modality(where.modality).value])}")
    for column, wanted in (("camera_id", where.cameras), ("person_id", where.persons)):
        if wanted is not None:
            parts.append(_one_of(column, wanted))
    if where.exclude_cameras is not None:
        parts.append(f"(camera_id IS NULL OR NOT {_one_of('camera_id', where.exclude_cameras)})")
    if where.after is not None:
        parts.append(_compared("time >=", where.after, always=-math.inf))
    if where.before is not None:
        parts.append(_compared("time <", where.before, always=math.inf))
    return " AND ".join(parts) or None


def _one_of(column: str, wanted: Id | Iterable[Id]) -> str:
    stored = stored_forms(wanted)
    return f"{column} IN ({quoted(stored)})" if stored else "false"


def _compared(comparison: str, value: float, *, always: float) -> str:
    if math.isinf(value):
        return "time IS NOT NULL" if value == always else "false"
    return f"{comparison} {float(value)!r}"
