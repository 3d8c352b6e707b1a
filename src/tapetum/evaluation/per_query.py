"""What every single query found, as a table: the ranking that pictures show and that was scored.

One row per query and trial:

| column | holds |
|---|---|
| `data`, `model` | name of the tracklets and fingerprint of the model that were scored |
| `trial`, `direction` | the search; trials of one direction are averaged |
| `tracklet_id`, `person_id`, `camera_id`, `modality` | the query |
| `skipped` | whether the gallery holds no true match; then the three scores are null |
| `matches` | number of true matches in the gallery, those left out not counted |
| `count` | what `first_rank` counts: "images" or "identities" |
| `first_rank`, `average_precision`, `inp` | its scores |
| `gallery` | tracklet identifiers of the nearest gallery items, nearest first |
| `distances` | of these: 1 - cosine similarity, 0..2 |
| `is_match` | whether each is of the query's person |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.evaluation.evaluate import Evaluation, TrialResult
from tapetum.evaluation.ranking.lists import RankedBlock, ranked_blocks
from tapetum.evaluation.scores.metrics import Scores
from tapetum.files import replace_file
from tapetum.id_columns import id_column
from tapetum.types import Embeddings, Id

FORMAT = "tapetum-per-query"
FORMAT_VERSION = 1
_KEY = b"format"
_NAME = pa.dictionary(pa.int32(), pa.string())
_FIELDS = {
    "data": _NAME,
    "model": _NAME,
    "trial": _NAME,
    "direction": _NAME,
    "tracklet_id": pa.string(),
    "person_id": None,
    "camera_id": None,
    "modality": _NAME,
    "skipped": pa.bool_(),
    "matches": pa.int64(),
    "count": _NAME,
    "first_rank": pa.int64(),
    "average_precision": pa.float64(),
    "inp": pa.float64(),
    "gallery": pa.list_(pa.string()),
    "distances": pa.list_(pa.float64()),
    "is_match": pa.list_(pa.bool_()),
}
"""Columns and their types; None: as the identifiers are."""


def per_query_table(embeddings: Embeddings, result: TrialResult, *, top: int = 20) -> pa.Table:
    """One row per query of a trial: its scores and the gallery items that it found first.

    Args:
        embeddings: What was scored.
        result: What it gave.
        top: Longest list of gallery items; shorter where the trial's rules leave fewer.

    Raises:
        ValueError: `top` is below 1, or the scores are of another number of queries than the trial has.
    """
    trial, tracklets = result.trial, embeddings.tracklets
    _check(result)
    query = [tracklets[int(row)] for row in trial.query]
    same_for_all = {
        "data": tracklets.name,
        "model": embeddings.model,
        "trial": trial.name,
        "direction": trial.direction or trial.name,
        "count": trial.count,
    }
    columns = {
        **{name: _repeated(value, len(query)) for name, value in same_for_all.items()},
        "tracklet_id": pa.array([t.tracklet_id for t in query], pa.string()),
        "modality": pa.array([t.modality.value for t in query]).dictionary_encode(),
        **_id_columns(embeddings, trial.query),
        **_score_columns(result.scores),
        **_list_columns(embeddings, result, top),
    }
    schema = _schema(embeddings)
    ordered = [columns[name].cast(schema.field(name).type) for name in _FIELDS]
    return pa.Table.from_arrays(ordered, schema=schema)


def save_per_query(
    path: Path | str, embeddings: Embeddings, evaluation: Evaluation, *, top: int = 20
) -> Path:
    """Write the rows of every query of every trial as Parquet, whole or not at all, and return the path.

    Args:
        path: The file; its folder must exist.
        embeddings: What was scored.
        evaluation: What it gave.
        top: As `per_query_table`.

    Raises:
        ValueError: As `per_query_table`.
        OSError: The file could not be written; what was there before is untouched.
    """
    return save_tables(path, (per_query_table(embeddings, result, top=top) for result in evaluation.results))


def save_tables(path: Path | str, tables: Iterable[pa.Table]) -> Path:
    """Write tables of `per_query_table` as one Parquet file, whole or not at all, and return the path.

    For several evaluations (a model per trial, say); one table is held at a time.

    Raises:
        ValueError: There is no table, or their identifiers are of different types.
        OSError: The file could not be written; what was there before is untouched.
    """

    def write(place: Path) -> None:
        remaining = iter(tables)
        first = next(remaining, None)
        if first is None:
            raise ValueError("there is no trial to write")
        with pq.ParquetWriter(place, first.schema) as writer:
            for table in chain([first], remaining):
                writer.write_table(table)

    return replace_file(Path(path), write)


def read_per_query(path: Path | str) -> pa.Table:
    """The rows in a file of `save_per_query`; `tapetum.id_columns.column_values` gives identifiers back.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is damaged, something else, or of another format version.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"{place}: no such file")
    try:
        table = pq.read_table(place)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place}: not a complete Parquet file: {error}") from None
    wanted = f"{FORMAT} {FORMAT_VERSION}"
    found = (table.schema.metadata or {}).get(_KEY, b"").decode()
    if found != wanted or table.column_names != list(_FIELDS):
        raise DataError(f"{place}: format {found or 'unknown'!r}; this version reads {wanted!r}")
    return table


def _check(result: TrialResult) -> None:
    found, expected = len(result.scores.first_rank), len(result.trial.query)
    if found != expected:
        raise ValueError(f"trial {result.name} has {expected} queries, its scores {found}")


def _schema(embeddings: Embeddings) -> pa.Schema:
    """The same for every trial of the embeddings: identifiers are typed as all of theirs."""
    tracklets = embeddings.tracklets
    fields = {
        "person_id": id_column("person_id", [t.person_id for t in tracklets])[1],
        "camera_id": id_column("camera_id", [t.camera_id for t in tracklets])[1],
    }
    columns = [fields.get(name) or pa.field(name, kind) for name, kind in _FIELDS.items()]
    return pa.schema(columns, {_KEY: f"{FORMAT} {FORMAT_VERSION}".encode()})


def _id_columns(embeddings: Embeddings, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
    found = {}
    for name in ("person_id", "camera_id"):
        ids: Sequence[Id | None] = [getattr(t, name) for t in embeddings.tracklets]
        values, field = id_column(name, ids)
        found[name] = pa.array([values[int(row)] for row in rows], field.type)
    return found


def _score_columns(scores: Scores) -> dict[str, pa.Array]:
    skipped = scores.first_rank == 0
    return {
        "skipped": pa.array(skipped),
        "first_rank": pa.array(scores.first_rank, pa.int64(), mask=skipped),
        "average_precision": pa.array(scores.average_precision, pa.float64(), mask=skipped),
        "inp": pa.array(scores.inp, pa.float64(), mask=skipped),
    }


def _list_columns(embeddings: Embeddings, result: TrialResult, top: int) -> dict[str, pa.Array]:
    """What the queries found, ranked in blocks."""
    names = pa.array([embeddings.tracklets[int(row)].tracklet_id for row in result.trial.gallery])
    blocks = [_lists(block) for block in ranked_blocks(embeddings, result.trial, top=top)]
    lengths, matches, columns, distances, is_match = (
        np.concatenate(parts) for parts in zip(*blocks, strict=True)
    )
    ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return {
        "matches": pa.array(matches, pa.int64()),
        "gallery": pa.ListArray.from_arrays(ends, names.take(pa.array(columns))),
        "distances": pa.ListArray.from_arrays(ends, pa.array(distances)),
        "is_match": pa.ListArray.from_arrays(ends, pa.array(is_match)),
    }


def _lists(block: RankedBlock) -> tuple[NDArray[np.generic], ...]:
    """Lengths and numbers of matches of a block's lists, and the lists joined end to end."""
    filled = np.arange(block.columns.shape[1]) < block.lengths[:, None]
    matches = (block.pairs.same & ~block.pairs.left_out).sum(axis=1)
    distances = 1.0 + block.distances[filled].astype(np.float64)
    return block.lengths, matches, block.columns[filled], distances, block.is_match[filled]


def _repeated(value: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))
