"""A shard: tracklets that are embedded together, known by a key that names all that decides their embeddings.

There are two kinds. Shards of rows list their tracklets, in `shards/KEY.parquet`. Shards of a source are one
file that is read as a whole, a video with its tracks or a tar archive, and need no list.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tapetum.errors import DataError
from tapetum.id_columns import column_values, id_column
from tapetum.ingest.items import Draft
from tapetum.ingest.sources import parts_of
from tapetum.scale.stamps import FileRule, file_stamp
from tapetum.types import Modality

Kind = Literal["rows", "source"]
_DIGITS = 32
_COLUMNS = ("name", "frames", "modality", "person_id", "camera_id", "time", "part", "keeps_all", "stamp")


@dataclass(frozen=True, slots=True)
class Shard:
    """Tracklets that are embedded together.

    Attributes:
        key: 32 hexadecimal digits that name the model, how clips are made, the tracklets and their files.
        kind: "rows" or "source".
        title: What it is of, for messages.
        rows: Number of its tracklets; None where only reading its file tells.
        address: Of a source: as `tapetum.ingest.open_source` takes it.
    """

    key: str
    kind: Kind
    title: str
    rows: int | None = None
    address: str = ""

    @property
    def description(self) -> str:
        """Name of the file that lists the tracklets."""
        return f"shards/{self.key}.parquet"

    @property
    def result(self) -> str:
        """Name of the file of its embeddings."""
        return f"embeddings/{self.key}.parquet"

    def to_json(self) -> dict[str, Any]:
        """What the plan keeps of it."""
        return {
            "key": self.key,
            "kind": self.kind,
            "title": self.title,
            "rows": self.rows,
            "address": self.address,
        }


def rows_key(recipe: str, drafts: Sequence[Draft], stamps: Sequence[str]) -> str:
    """The key of a shard of rows.

    Args:
        recipe: Names the model and how clips are made.
        drafts: Its tracklets.
        stamps: Of their files.
    """
    found = hashlib.sha256(recipe.encode("utf-8"))
    for draft, stamp in zip(drafts, stamps, strict=True):
        entry = [draft.name, *draft.facts(), draft.keeps_all, list(draft.frames), stamp]
        found.update(json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n")
    return found.hexdigest()[:_DIGITS]


def source_key(recipe: str, address: str, rule: FileRule) -> str:
    """The key of a shard that is a file, by what the file is now.

    Raises:
        OSError: Object storage does not answer.
    """
    stamps = [] if rule == "names" else [file_stamp(file) for file in source_files(address)]
    text = json.dumps([recipe, address, stamps], separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:_DIGITS]


def source_files(address: str) -> list[str]:
    """The files that a source is read from: a video and its tracks, or an archive."""
    parts = parts_of(address)
    if parts is None:
        raise ValueError(f"{address}: expected a video or an archive")
    _, path, options = parts
    return [path, *([options["tracks"]] if "tracks" in options else [])]


def describe(drafts: Sequence[Draft], stamps: Sequence[str]) -> bytes:
    """The list of a shard's tracklets as a Parquet file."""
    people, people_field = id_column("person_id", [d.person_id for d in drafts])
    cameras, cameras_field = id_column("camera_id", [d.camera_id for d in drafts])
    columns = [
        (pa.field("name", pa.string()), [d.name for d in drafts]),
        (pa.field("frames", pa.list_(pa.string())), [list(d.frames) for d in drafts]),
        (pa.field("modality", pa.string()), [d.modality and d.modality.value for d in drafts]),
        (people_field, people),
        (cameras_field, cameras),
        (pa.field("time", pa.float64()), [d.time for d in drafts]),
        (pa.field("part", pa.string()), [d.part for d in drafts]),
        (pa.field("keeps_all", pa.bool_()), [d.keeps_all for d in drafts]),
        (pa.field("stamp", pa.string()), list(stamps)),
    ]
    schema = pa.schema([field for field, _ in columns])
    table = pa.Table.from_arrays([pa.array(found, field.type) for field, found in columns], schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def read_description(content: bytes, where: str) -> tuple[list[Draft], list[str]]:
    """The tracklets of a shard, and the stamps of their files when they were listed.

    Raises:
        DataError: The file is damaged, or no such list.
    """
    try:
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        found = {name: column_values(table, name) for name in _COLUMNS}
        seen = [None if value is None else Modality(value) for value in found["modality"]]
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(f"{where}: not a complete list of a shard's tracklets: {error}") from None
    rows = zip(
        found["name"],
        map(tuple, found["frames"]),
        seen,
        found["person_id"],
        found["camera_id"],
        found["time"],
        found["part"],
        found["keeps_all"],
        strict=True,
    )
    return [Draft(*row) for row in rows], list(found["stamp"])
