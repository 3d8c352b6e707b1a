"""Embeddings of a shard as one Parquet file, which says whether it is whole and of which shard it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.id_columns import column_values, id_column
from tapetum.ingest.items import Problem
from tapetum.types import Modality, Tracklet

FORMAT = "tapetum-shard"
FORMAT_VERSION = 1
_HEADER = b"tapetum"
_TRACKLET = ("tracklet_id", "frames", "modality", "person_id", "camera_id", "time", "part")


@dataclass(frozen=True, slots=True, eq=False)
class ShardResult:
    """What became of a shard.

    Attributes:
        key: Of the shard.
        model: Fingerprint of the model.
        vectors: float32 `[N, D]`, rows L2-normalised.
        tracklets: N tracklets.
        contents: N digests of what they were made from.
        thumbnails: Of each, JPEG files' bytes, the best first.
        problems: What could not be embedded, or not all of it.
        facts: Figures of the work, such as seconds; no part of the digest.
    """

    key: str
    model: str
    vectors: NDArray[np.float32]
    tracklets: tuple[Tracklet, ...]
    contents: tuple[str, ...]
    thumbnails: tuple[tuple[bytes, ...], ...]
    problems: tuple[Problem, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tracklets)

    @property
    def failed(self) -> int:
        """Problems of the kind "failed"."""
        return sum(problem.kind == "failed" for problem in self.problems)

    def digest(self) -> str:
        """SHA-256 of all that is stored but the figures of the work."""
        rows = [
            [
                t.tracklet_id,
                list(t.frames),
                t.modality.value,
                t.person_id,
                t.camera_id,
                _seconds(t),
                t.part,
                content,
            ]
            for t, content in zip(self.tracklets, self.contents, strict=True)
        ]
        problems = [[p.item, p.kind, p.reason] for p in self.problems]
        found = hashlib.sha256(json.dumps([self.key, self.model, rows, problems]).encode("ascii"))
        found.update(np.ascontiguousarray(self.vectors, dtype=np.float32).tobytes())
        for pictures in self.thumbnails:
            for picture in pictures:
                found.update(hashlib.sha256(picture).digest())
            found.update(b"|")
        return found.hexdigest()


def _seconds(tracklet: Tracklet) -> float | None:
    return None if tracklet.time is None else float(tracklet.time)


def to_bytes(result: ShardResult) -> bytes:
    """The Parquet file of a result."""
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "key": result.key,
        "model": result.model,
        "digest": result.digest(),
        "problems": [[p.item, p.kind, p.reason] for p in result.problems],
        "facts": dict(result.facts),
    }
    table = _to_table(result).replace_schema_metadata({_HEADER: json.dumps(header).encode("ascii")})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, write_page_checksum=True)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def from_bytes(content: bytes, key: str, where: str) -> ShardResult:
    """The result in a Parquet file, all of it checked.

    Args:
        content: Of the file.
        key: Of the shard that it should be of.
        where: Where it was found, for the message.

    Raises:
        DataError: It is cut short or damaged, was changed after it was written, or is of another shard.
    """
    try:
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        header = json.loads((table.schema.metadata or {}).get(_HEADER, b"{}"))
        if header.get("format") != FORMAT or header.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"no result of a shard in format version {FORMAT_VERSION}")
        found = _from_table(table, header)
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not the complete result of a shard: {error}") from None
    if found.key != key:
        raise DataError(f"{where}: is of shard {found.key}; expected {key}")
    if found.digest() != header.get("digest"):
        raise DataError(f"{where}: was changed or damaged after it was written")
    return found


def _to_table(result: ShardResult) -> pa.Table:
    tracklets = result.tracklets
    frames = [list(t.frames) for t in tracklets]
    people, people_field = id_column("person_id", [t.person_id for t in tracklets])
    cameras, cameras_field = id_column("camera_id", [t.camera_id for t in tracklets])
    texts, pictures = pa.list_(pa.string()), pa.list_(pa.binary())
    columns = [
        (pa.field("tracklet_id", pa.string()), [t.tracklet_id for t in tracklets]),
        (people_field, people),
        (cameras_field, cameras),
        (pa.field("modality", pa.string()), [t.modality.value for t in tracklets]),
        (pa.field("time", pa.float64()), [t.time for t in tracklets]),
        (pa.field("part", pa.string()), [t.part for t in tracklets]),
        (pa.field("source", pa.string()), [f[0] if f else None for f in frames]),
        (pa.field("frames", texts), frames),
        (pa.field("content", pa.string()), list(result.contents)),
        (pa.field("thumbnails", pictures), [list(found) for found in result.thumbnails]),
    ]
    vectors = np.ascontiguousarray(result.vectors, dtype=np.float32)
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    arrays = [pa.array(found, kind.type) for kind, found in columns]
    schema = pa.schema([kind for kind, _ in columns] + [pa.field("vector", values.type)])
    return pa.Table.from_arrays([*arrays, values], schema=schema)


def _from_table(table: pa.Table, header: Mapping[str, Any]) -> ShardResult:
    columns = {name: column_values(table, name) for name in (*_TRACKLET, "content", "thumbnails")}
    seen = [Modality(value) for value in columns["modality"]]
    rows = zip(
        columns["tracklet_id"],
        map(tuple, columns["frames"]),
        seen,
        columns["person_id"],
        columns["camera_id"],
        columns["time"],
        columns["part"],
        strict=True,
    )
    return ShardResult(
        key=str(header["key"]),
        model=str(header["model"]),
        vectors=_vectors(table),
        tracklets=tuple(Tracklet(*row) for row in rows),
        contents=tuple(columns["content"]),
        thumbnails=tuple(tuple(found or ()) for found in columns["thumbnails"]),
        problems=tuple(Problem(*problem) for problem in header["problems"]),
        facts=header["facts"],
    )


def _vectors(table: pa.Table) -> NDArray[np.float32]:
    column = table.column("vector").combine_chunks()
    if not pa.types.is_fixed_size_list(column.type) or column.type.value_type != pa.float32():
        raise ValueError(f"vectors are {column.type}; expected lists of float32 of one length")
    dimension = column.type.list_size
    values: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(table), dimension)
