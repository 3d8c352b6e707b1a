"""The rows of a gallery as a table of LanceDB: its columns, and how tracklets go in and come out.

`sequence` is the order in which identifiers were first stored; `revision` is another at each writing, so a
row is known by both. Identifiers of people and cameras are JSON (`3`, `"gate"`), so they come back as they
were.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tapetum.errors import DataError, GalleryVersionError, TapetumError
from tapetum.search._columns import Columns, Identifiers
from tapetum.search.storing import Beside, id_of, id_text
from tapetum.types import Modality, Tracklet

TRACKLET_COLUMNS = ["tracklet_id", "modality", "person_id", "camera_id", "time", "part", "frames"]
FILTER_COLUMNS = ["sequence", "revision", "modality", "person_id", "camera_id", "time"]
_GONE = re.compile(r"[Nn]ot found|No such file|os error 2\b|was not found|does not exist")
_NEWER = re.compile(r"[Pp]lease upgrade|newer version|cannot be read by this version|Unsupported.*version")


def table_schema(dimension: int) -> pa.Schema:
    """The columns of a table of embeddings of this length."""
    return pa.schema(
        [
            pa.field("sequence", pa.int64(), nullable=False),
            pa.field("revision", pa.int64(), nullable=False),
            pa.field("tracklet_id", pa.string(), nullable=False),
            pa.field("modality", pa.string(), nullable=False),
            pa.field("person_id", pa.string()),
            pa.field("camera_id", pa.string()),
            pa.field("time", pa.float64()),
            pa.field("part", pa.string()),
            pa.field("frames", pa.list_(pa.string())),
            pa.field("stored_at", pa.float64()),
            pa.field("content", pa.string()),
            pa.field("thumbnails", pa.list_(pa.binary())),
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
        ]
    )


def to_table(
    tracklets: Sequence[Tracklet],
    vectors: NDArray[np.float32],
    beside: Sequence[Beside],
    sequence: Sequence[int],
    revision: int,
) -> pa.Table:
    """Rows as they are stored."""
    dimension = int(vectors.shape[1])
    columns: dict[str, Any] = {
        "sequence": sequence,
        "revision": [revision] * len(tracklets),
        "tracklet_id": [t.tracklet_id for t in tracklets],
        "modality": [t.modality.value for t in tracklets],
        "person_id": [id_text(t.person_id) for t in tracklets],
        "camera_id": [id_text(t.camera_id) for t in tracklets],
        "time": [None if t.time is None or math.isnan(t.time) else t.time for t in tracklets],
        "part": [t.part for t in tracklets],
        "frames": [[str(frame) for frame in t.frames] for t in tracklets],
        "stored_at": [entry.stored_at for entry in beside],
        "content": [entry.content for entry in beside],
        "thumbnails": [list(entry.thumbnails) for entry in beside],
        "vector": vector_column(vectors),
    }
    schema = table_schema(dimension)
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names}, schema)


def vector_column(vectors: NDArray[np.float32]) -> pa.Array:
    """Vectors `[N, D]` as a column."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, int(vectors.shape[1]))


def vectors_of(rows: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
    """The vectors `[n, D]` of some rows."""
    column = rows.column("vector")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    values: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), column.type.list_size)


def tracklets_of(rows: pa.Table) -> list[Tracklet]:
    """The tracklets of some rows."""
    columns = [rows.column(name).to_pylist() for name in TRACKLET_COLUMNS]
    return [
        Tracklet(
            name, tuple(frames or ()), Modality(modality), id_of(person), id_of(camera), time, part or ""
        )
        for name, modality, person, camera, time, part, frames in zip(*columns, strict=True)
    ]


def filter_columns(rows: pa.Table) -> Columns:
    """What filters look at, of some rows."""
    infrared = pc.equal(rows.column("modality"), Modality.INFRARED.value)
    return Columns(
        infrared.to_numpy(),
        rows.column("time").to_numpy(),
        _identifiers(rows.column("camera_id")),
        _identifiers(rows.column("person_id")),
    )


def quoted(texts: Sequence[str]) -> str:
    """Texts as a list for an SQL condition, without brackets."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


@contextmanager
def store_errors(place: Path) -> Iterator[None]:
    """Errors of LanceDB, which are `RuntimeError`s with a text, as those that say what is wrong.

    Raises:
        FileNotFoundError: A file of the store is gone, as where another process removed an old version.
        OSError: A file could not be read or written; the error has the operating system's number.
        GalleryVersionError: The store is of a newer version of LanceDB.
        DataError: Anything else: the store is damaged.
    """
    try:
        yield
    except TapetumError:
        raise
    except RuntimeError as error:
        text = re.sub(r",\s*/\S+\.rs.*$", "", str(error), flags=re.DOTALL)
        number = re.search(r"os error (\d+)", text)
        if _GONE.search(text):
            raise FileNotFoundError(f"{place}: {text}") from error
        if number:
            raise OSError(int(number[1]), text, str(place)) from error
        if _NEWER.search(text):
            raise GalleryVersionError(f"{place}: {text}") from error
        raise DataError(f"{place}: {text}") from error


def _identifiers(column: pa.ChunkedArray) -> Identifiers:
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.chunk(0)
    numbers = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Identifiers(numbers, tuple(json.loads(value) for value in coded.dictionary.to_pylist()))
