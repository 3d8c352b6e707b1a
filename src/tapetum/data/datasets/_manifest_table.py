"""The table behind a manifest, CSV or Parquet, column by column: each distinct text once, and who has it.

Both formats give the same texts, so the same identifiers and the same errors. Rows are counted from 0 inside
and named in messages as `FILE:LINE` (CSV) or `FILE: row N` (Parquet, from 1).
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tapetum.data.datasets._text_files import refuse_missing
from tapetum.errors import DataError
from tapetum.files import replace_file

SUFFIXES = (".csv", ".parquet")
COLUMNS = (
    *("path", "folder", "video", "track", "person_id", "camera_id", "modality", "modality_certainty"),
    *("tracklet_id", "frame", "time", "split"),
)
"""Columns that mean something; others are noted and not looked at."""

_DELIMITERS = (",", ";", "\t")
_SHOWN = 20
_ROWS_SHOWN = 5

Codes = NDArray[np.int64]
Rows = NDArray[np.int64]


class ManifestError(DataError):
    """Rows of a manifest are not as they should be; `problems` has a line for each, in the file's order."""

    def __init__(self, file: Path, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = list(self.problems[:_SHOWN])
        if len(self.problems) > _SHOWN:
            lines.append(f"{file}: and {len(self.problems) - _SHOWN} more problems")
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of texts.

    Attributes:
        codes: Place in `values` of each row, `[rows]`.
        values: Distinct texts without white space around them, in order of appearance; "" where empty.
    """

    codes: Codes
    values: tuple[str, ...]

    def text(self, row: int) -> str:
        """What stands in a row."""
        return self.values[int(self.codes[row])]

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which rows hold something, `[rows]`."""
        return np.array([value != "" for value in self.values], dtype=np.bool_)[self.codes]

    def rows_of(self, code: int) -> Rows:
        """The rows that hold one of the values."""
        return np.flatnonzero(self.codes == code)


class ManifestTable:
    """The rows of a manifest.

    Attributes:
        file: Where it was read from.
        rows: How many there are.
        columns: The known columns that it has.
        names: Of all its columns.
    """

    def __init__(self, file: Path, table: pa.Table, delimiter: str = "") -> None:
        """Take over what was read.

        Args:
            file: The file.
            table: Its columns.
            delimiter: What parts the columns of a CSV file; "" for Parquet.

        Raises:
            DataError: Two columns have one name, or values of a column are no texts, numbers or times.
        """
        self.file = file
        self.rows = int(table.num_rows)
        self._delimiter = delimiter
        self.names = tuple(str(name).strip().lower() for name in table.column_names)
        twice = next((name for name in self.names if self.names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{file}: column {twice!r} occurs {self.names.count(twice)} times")
        self.columns: Mapping[str, Column] = {
            name: self._column(name, table.column(place))
            for place, name in enumerate(self.names)
            if name in COLUMNS
        }

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def column(self, name: str) -> Column:
        """A column; where the file has none of this name, one of empty texts."""
        return self.columns.get(name) or Column(np.zeros(self.rows, dtype=np.int64), ("",))

    def where(self, row: int) -> str:
        """The row as the start of a message: "FILE:LINE" or "FILE: row N"."""
        if self._delimiter:
            return f"{self.file}:{self._lines[row]}"
        return f"{self.file}: row {row + 1}"

    def name(self, *rows: int) -> str:
        """Rows inside a message: "line 3", "lines 3, 8 and 4 more"."""
        what = "line" if self._delimiter else "row"
        numbers = [str(self._lines[row] if self._delimiter else row + 1) for row in rows[:_ROWS_SHOWN]]
        more = f" and {len(rows) - _ROWS_SHOWN} more" if len(rows) > _ROWS_SHOWN else ""
        return f"{what}{'s' if len(rows) > 1 else ''} {', '.join(numbers)}{more}"

    @cached_property
    def _lines(self) -> list[int]:
        """Line on which each row begins; looked up only where there is something to say."""
        return record_lines(self.file, self._delimiter)[1:]

    def _column(self, name: str, values: pa.ChunkedArray) -> Column:
        try:
            texts = pc.utf8_trim_whitespace(pc.fill_null(_as_texts(values), ""))
        except (pa.ArrowException, TypeError) as error:
            raise DataError(f"{self.file}: column {name!r} is of type {values.type}: {error}") from None
        coded = texts.combine_chunks().dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):  # an empty table
            coded = coded.combine_chunks()
        return Column(coded.indices.to_numpy().astype(np.int64), tuple(coded.dictionary.to_pylist()))


class Problems:
    """What is wrong with rows of a table, gathered before anything is refused."""

    def __init__(self, table: ManifestTable) -> None:
        self.table = table
        self._found: list[tuple[int, str]] = []

    def add(self, row: int, message: str) -> None:
        """Note that something is wrong in a row."""
        self._found.append((row, message))

    def add_rows(self, rows: Rows, message: str) -> None:
        """Note that the same is wrong in one row or several."""
        listed = rows.tolist()
        also = f"; also in {self.table.name(*listed[1:])}" if len(listed) > 1 else ""
        self.add(listed[0], message + also)

    def parse(self, column: Column, read: Callable[[str], Any]) -> list[Any]:
        """`read` of each distinct text of a column; None, and a problem, where that is a ValueError."""
        found = []
        for code, text in enumerate(column.values):
            try:
                found.append(read(text))
            except ValueError as error:
                self.add_rows(column.rows_of(code), str(error))
                found.append(None)
        return found

    def refuse(self) -> None:
        """Nothing, or an error where anything was found.

        Raises:
            ManifestError: With all that was found, in the order of the rows.
        """
        if self._found:
            lines = [f"{self.table.where(row)}: {message}" for row, message in sorted(self._found)]
            raise ManifestError(self.table.file, lines)


def read_table(file: Path) -> ManifestTable:
    """The rows of a CSV or Parquet file.

    A CSV file is UTF-8 and may part its columns by commas, semicolons or tabs.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is neither, is damaged, has no row, or a line has another number of columns than the
            first.
    """
    refuse_missing(file, "expected a manifest, .csv or .parquet")
    if file.suffix.lower() not in SUFFIXES:
        raise DataError(f"{file}: expected a file that ends in {' or '.join(SUFFIXES)}")
    try:
        if file.suffix.lower() == ".csv":
            table = _read_csv(file)
        else:  # pyarrow's read_table would make columns of folders named a=b
            table = ManifestTable(file, pq.ParquetFile(file).read())
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    if not table.rows:
        raise DataError(f"{file}: no rows")
    return table


def write_table(file: Path, columns: Mapping[str, Sequence[str]]) -> Path:
    """Write columns of texts as CSV or Parquet, whichever the file's ending says, whole or not at all.

    Raises:
        OSError: The file cannot be written; what was there before is untouched.
    """

    def write_csv(place: Path) -> None:
        with place.open("w", encoding="utf-8", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))

    def write_parquet(place: Path) -> None:
        arrays = {name: pa.array(texts, pa.string()) for name, texts in columns.items()}
        pq.write_table(pa.table(arrays), place)

    return replace_file(file, write_csv if file.suffix.lower() == ".csv" else write_parquet)


def describe_unknown(name: str) -> str:
    """A sentence about a column that is not looked at.

    >>> describe_unknown("persn_id")
    "column 'persn_id' is not looked at; did you mean 'person_id'?"
    >>> describe_unknown("weather")
    "column 'weather' is not looked at"
    """
    close = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.75)
    return f"column {name!r} is not looked at" + "".join(f"; did you mean {known!r}?" for known in close)


def record_lines(file: Path, delimiter: str) -> list[int]:
    """Line on which each record of a CSV file begins, the header's first; empty lines are no records."""
    begins, last = [], 0
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter)
        for record in reader:
            if record:
                begins.append(last + 1)
            last = reader.line_num
    return begins


def _read_csv(file: Path) -> ManifestTable:
    with file.open(encoding="utf-8-sig", newline="") as text:
        head = next((line for line in text if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda mark: len(_known(head, mark)))
    strings = {name: pa.string() for name in next(csv.reader([head], delimiter=delimiter), [])}
    odd: list[Any] = []

    def keep(row: Any) -> str:
        odd.append(row)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep
            ),
            convert_options=pyarrow.csv.ConvertOptions(column_types=strings),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise DataError(f"{file}: the file is empty; expected a line of column names") from None
        raise
    if odd:
        lines = record_lines(file, delimiter)
        expected = f"expected {odd[0].expected_columns}, as in the first line"
        found = [f"{file}:{lines[row.number - 1]}: {row.actual_columns} columns; {expected}" for row in odd]
        raise ManifestError(file, found)
    return ManifestTable(file, table, delimiter)


def _known(head: str, delimiter: str) -> list[str]:
    """The known columns in a header."""
    found = next(csv.reader([head], delimiter=delimiter), [])
    return [name for name in found if name.strip().lower() in COLUMNS]


def _as_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as texts: numbers that are whole without a point, times as ISO 8601.

    Raises:
        TypeError: Values of another type.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _as_texts(values.cast(kind.value_type))
    if pa.types.is_floating(kind):
        return _float_texts(values)
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
    if not any(fits(kind) for fits in (*simple, pa.types.is_timestamp, pa.types.is_date)):
        raise TypeError("expected texts, numbers or times")
    return values.cast(pa.string())


def _float_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as texts; a column of whole numbers has become one of floats where some were missing."""
    known = values.drop_null()
    known = known.filter(pc.invert(pc.is_nan(known)))
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if pc.all(pc.equal(pc.floor(known), known)).as_py() is not False and _fits_int(known):
        return values.cast(pa.int64()).cast(pa.string())
    return values.cast(pa.string())


def _fits_int(values: pa.ChunkedArray) -> bool:
    largest = pc.max(pc.abs(values)).as_py()
    return largest is None or largest < 2**53
