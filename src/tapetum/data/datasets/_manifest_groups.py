"""Which rows of a manifest make a tracklet, in which order, and what all of them must agree on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tapetum.data.datasets._manifest_table import Codes, Column, ManifestTable, Problems, Rows
from tapetum.data.datasets._manifest_values import frame_order
from tapetum.data.pictures import images_in
from tapetum.errors import DataError
from tapetum.object_storage import is_remote

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Tracklets as rows.

    Attributes:
        ids: Identifiers of the tracklets, in order of first appearance.
        codes: Tracklet of each row, `[rows]`.
        first: First row of each tracklet, `[tracklets]`.
        place: The column that says where pictures are: "path" or "folder".
    """

    ids: tuple[str, ...]
    codes: Codes
    first: Rows
    place: str

    def __len__(self) -> int:
        return len(self.ids)

    def all_of(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of which tracklets all rows are marked, `[tracklets]`."""
        missed = np.bincount(self.codes[~rows], minlength=len(self))
        return np.asarray(missed == 0)


@dataclass(frozen=True, slots=True, eq=False)
class Field(Generic[T]):
    """What a column means, row by row; texts of one meaning have one code."""

    codes: Codes
    values: Sequence[T]

    @classmethod
    def of(cls, column: Column, parsed: Sequence[T]) -> Field[T]:
        """A column and the meaning of each of its values."""
        place: dict[T, int] = {}
        merged = np.array([place.setdefault(value, len(place)) for value in parsed], dtype=np.int64)
        return cls(merged[column.codes], tuple(place))

    def at(self, rows: Rows) -> list[T]:
        """The meanings in some rows."""
        return [self.values[code] for code in self.codes[rows].tolist()]


def group_rows(table: ManifestTable, problems: Problems) -> Groups:
    """Group rows by `tracklet_id`; a row without one is a tracklet of its own, named after its place.

    Raises:
        DataError: The table says where pictures are in no way, in two ways, or in videos.
    """
    column = _place_column(table)
    given, place = table.column("tracklet_id"), table.column(column)
    named = given.filled
    empty = np.flatnonzero(~place.filled)
    if len(empty):
        problems.add_rows(empty, f"{column} is empty")
    texts: dict[str, int] = {}
    merged = np.array([texts.setdefault(text, len(texts)) for text in (*given.values, *place.values)])
    names = merged[np.where(named, given.codes, place.codes + len(given.values))]
    found, first, codes = np.unique(names, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.argsort(order)
    by_code = list(texts)
    ids = tuple(by_code[code] for code in found[order].tolist())
    groups = Groups(ids, rank[codes.reshape(-1)], first[order], column)
    for row in _first_of_each(groups, named != named[groups.first][groups.codes]):
        tracklet = int(groups.codes[row])
        earlier = table.name(int(groups.first[tracklet]))
        name = repr(groups.ids[tracklet])
        message = f"{name} is the tracklet_id of one row and the {column} of another without tracklet_id"
        problems.add(row, f"{message} ({earlier}); expected different names")
    return groups


def refuse_mixtures(groups: Groups, name: str, field: Field[Any], problems: Problems) -> None:
    """Note each tracklet whose rows do not agree on a field: one problem, at the first row that differs."""
    for row in _first_of_each(groups, field.codes != field.codes[groups.first][groups.codes]):
        tracklet = int(groups.codes[row])
        first = int(groups.first[tracklet])
        here, there = ("unknown" if v in (None, "") else v for v in field.at(np.array([row, first])))
        problems.add(
            row,
            f"tracklet {groups.ids[tracklet]!r} has {name} {here} here and {there} in "
            f"{problems.table.name(first)}; expected one",
        )


def frames_of(groups: Groups, times: NDArray[np.float64], problems: Problems) -> list[tuple[str, ...]]:
    """Paths of each tracklet's frames in their order: by `frame`, else by `time`, else as in the file."""
    table = problems.table
    place = table.column(groups.place)
    base = os.path.join(table.file.parent, "")  # noqa: PTH118 (a text to put before many)
    paths = [
        path if os.path.isabs(path) or is_remote(path) else base + path  # noqa: PTH117
        for path in place.values
    ]
    if groups.place == "folder":
        return _folder_frames(groups, paths, problems)
    order = _row_order(groups, times, problems)
    _refuse_repeats(groups, place.codes, "path", problems)
    listed = [paths[code] for code in place.codes[order].tolist()]
    ends = np.cumsum(np.bincount(groups.codes, minlength=len(groups))).tolist()
    return [tuple(listed[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _place_column(table: ManifestTable) -> str:
    """Which column says where pictures are: "path" or "folder".

    Raises:
        DataError: Neither, both, or videos.
    """
    given = [name for name in ("path", "folder") if table.column(name).filled.any()]
    if len(given) == 2:
        raise DataError(f"{table.file}: has both path and folder; expected one of the two columns")
    if given or "path" in table or "folder" in table:
        return given[0] if given else "path" if "path" in table else "folder"
    if "video" in table:
        raise DataError(
            f"{table.file}: lists videos (columns video, track), which cannot be read yet: video comes with "
            "cropping, which this version does not have; write the crops to picture files and list those"
        )
    raise DataError(f"{table.file}: has no column path or folder; found {', '.join(table.names)}")


def _first_of_each(groups: Groups, rows: NDArray[np.bool_]) -> list[int]:
    """Of the marked rows, the first of each tracklet."""
    marked = np.flatnonzero(rows)
    found: list[int] = marked[np.unique(groups.codes[marked], return_index=True)[1]].tolist()
    return found


def _row_order(groups: Groups, times: NDArray[np.float64], problems: Problems) -> Rows:
    """Rows in the order of tracklets, and within a tracklet of its frames."""
    column = problems.table.column("frame")
    numbered = column.filled
    numbers, by_frame = frame_order(column), groups.all_of(numbered)
    for row in _first_of_each(groups, ~numbered & ~(by_frame | groups.all_of(~numbered))[groups.codes]):
        name = groups.ids[groups.codes[row]]
        problems.add(row, f"no frame number, but other rows of tracklet {name!r} have one")
    by_time = groups.all_of(np.isfinite(times)) & ~by_frame
    keys = np.where(by_frame[groups.codes], numbers, np.where(by_time[groups.codes], times, 0.0))
    order = np.lexsort((np.arange(len(keys)), keys, groups.codes))
    _refuse_repeats(groups, np.where(by_frame[groups.codes], column.codes, -1), "frame", problems)
    return order


def _refuse_repeats(groups: Groups, codes: Codes, what: str, problems: Problems) -> None:
    """Note rows that repeat a value of an earlier row of their tracklet; codes below 0 are passed over."""
    order = np.lexsort((np.arange(len(codes)), codes, groups.codes))
    ahead, row = order[:-1], order[1:]
    same = (codes[ahead] == codes[row]) & (groups.codes[ahead] == groups.codes[row]) & (codes[row] >= 0)
    for earlier, later in zip(ahead[same].tolist(), row[same].tolist(), strict=True):
        text = problems.table.column(what).text(later)
        name, first = groups.ids[groups.codes[later]], problems.table.name(earlier)
        problems.add(later, f"{what} {text!r} of tracklet {name!r} is listed already, in {first}")


def _folder_frames(groups: Groups, paths: Sequence[str], problems: Problems) -> list[tuple[str, ...]]:
    """The pictures of each row's folder; a folder that is missing or has none is noted."""
    for row in _first_of_each(groups, np.arange(len(groups.codes)) != groups.first[groups.codes]):
        name, first = groups.ids[groups.codes[row]], problems.table.name(int(groups.first[groups.codes[row]]))
        problems.add(
            row, f"tracklet {name!r} is listed already, in {first}; expected one row, as folder is given"
        )
    place = problems.table.column("folder")
    found: list[tuple[str, ...]] = []
    for row in groups.first.tolist():
        path = paths[int(place.codes[row])]
        frames: tuple[str, ...] = ()
        try:
            frames = images_in(Path(path)) if place.text(row) else ()
        except DataError as error:
            problems.add(row, str(error))
        except OSError as error:
            problems.add(row, f"{path}: {error.strerror}")
        found.append(frames)
    return found
