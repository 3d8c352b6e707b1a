"""What is done to a table of LanceDB: rows stored, found, deleted, and removed from the disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tapetum.search._lance_table import quoted

Table = Any
"""A table of LanceDB; its package is imported when a table is first needed."""

_AT_ONCE = 1000
_MANY_FRAGMENTS = 256
"""So many writings leave so many pieces, which are then joined."""

_TRIES = 3
_DELETED_SHARE = 0.1
"""LanceDB removes deleted rows from a piece where they are more than this share of it."""


def sequences_of(table: Table, tracklet_ids: Sequence[str]) -> dict[str, int]:
    """Sequence of each tracklet of the table that is among these."""
    found: dict[str, int] = {}
    for start in range(0, len(tracklet_ids), _AT_ONCE):
        asked = quoted(tracklet_ids[start : start + _AT_ONCE])
        rows = table.search().where(f"tracklet_id IN ({asked})").select(["tracklet_id", "sequence"])
        answer = rows.to_arrow()
        columns = (answer.column(name).to_pylist() for name in ("tracklet_id", "sequence"))
        found.update(zip(*columns, strict=True))
    return found


def highest_sequence(table: Table) -> int:
    """The highest sequence of a table; -1 where it is empty."""
    highest = -1
    for batch in table.search().select(["sequence"]).to_batches():
        if batch.num_rows:
            highest = max(highest, int(batch.column("sequence").to_numpy().max()))
    return highest


def delete_rows(table: Table, sequences: Sequence[int]) -> None:
    """Delete rows; named by number, so that the table's own log holds no name of what was deleted."""
    for start in range(0, len(sequences), _AT_ONCE):
        asked = ", ".join(map(str, sequences[start : start + _AT_ONCE]))
        table.delete(f"sequence IN ({asked})")


def put_rows(table: Table, rows: pa.Table, *, replaces: bool) -> None:
    """Store rows in one step; `replaces` says that some are there already, by their identifiers."""
    if replaces:
        merging = table.merge_insert("tracklet_id").when_matched_update_all()
        merging.when_not_matched_insert_all().execute(rows)
    else:
        table.add(rows)


def has_many_pieces(table: Table) -> bool:
    """Whether so many writings went by that the pieces they left should be joined."""
    return int(table.stats()["fragment_stats"]["num_small_fragments"]) > _MANY_FRAGMENTS


def join_pieces(table: Table, *, keep: timedelta) -> None:
    """Join the pieces that writings left; former versions younger than `keep` stay for their readers."""
    table.optimize(cleanup_older_than=keep)


def compact(table: Table, folder: Path) -> None:
    """Leave nothing on the disk but the rows as they are.

    Raises:
        OSError: It did not succeed: bytes of deleted rows are left.
    """
    for _ in range(_TRIES):
        time.sleep(0.002)  # the version that was just written must be older than a millisecond
        table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)
        pieces = _pieces_with_deleted_rows(folder / f"{table.name}.lance")
        if not pieces:
            return
        for piece in pieces:
            _move_out_of(table, piece)
    raise OSError(f"{folder}: deleted rows are still on the disk; try again")


def _pieces_with_deleted_rows(place: Path) -> list[int]:
    """Numbers of the pieces of which some rows are deleted: the first number in the names of those lists."""
    return sorted({int(file.name.partition("-")[0]) for file in place.glob("_deletions/*")})


def _move_out_of(table: Table, piece: int) -> None:
    """Write so many rows of a piece anew that it is worth writing the others anew too."""
    ids = table.search().select(["sequence"]).with_row_id(True).to_arrow().column("_rowid").to_numpy()
    inside: NDArray[np.uint64] = ids[(ids >> np.uint64(32)) == piece]
    count = int(len(inside) * _DELETED_SHARE / (1 - _DELETED_SHARE)) + 1
    for start in range(0, min(count, len(inside)), _AT_ONCE):
        chosen = inside[start : min(start + _AT_ONCE, count)].tolist()
        put_rows(table, table.take_row_ids(chosen).to_arrow(), replaces=True)
