"""Embeddings on disk: one folder that evaluation, search and other programs start from.

- `embeddings.safetensors`: tensor `vectors`, float32 `[N, D]`.
- `tracklets.parquet`: N rows in the same order: `tracklet_id`, `person_id`, `camera_id`, `modality`, `time`,
  `part`, `source` (the first frame's path) and `frames` (all paths).
- `embeddings.json`: format version, fingerprint and name of the method, what it was trained on, name of the
  data, N and D. A file without `trained_on` does not say.

Identifiers that are all integers make an int64 column, texts a string column. A mixture is stored as JSON
texts and the column's metadata says so; identifiers come back exactly as they were.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tapetum.errors import DataError
from tapetum.files import as_os_error, replace_folder
from tapetum.id_columns import column_values, id_column
from tapetum.json_files import read_json_of
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

FORMAT = "tapetum-embeddings"
FORMAT_VERSION = 1
VECTORS, TRACKLETS, SUMMARY = "embeddings.safetensors", "tracklets.parquet", "embeddings.json"


def save_embeddings(
    embeddings: Embeddings, folder: Path | str, *, method: str = "", overwrite: bool = False
) -> Path:
    """Write embeddings to `folder`, whole or not at all, and return it.

    Args:
        embeddings: What to write.
        folder: A new or empty folder; its parents are made.
        method: Name of the method that made them, for the record.
        overwrite: Replace embeddings that are there already. Anything else is never replaced.

    Raises:
        FileExistsError: The folder holds embeddings and `overwrite` is false, or it holds something else.
        OSError: The folder could not be written; what was there before is untouched.
    """
    place = Path(folder)
    refuse_to_replace(place, overwrite)
    place.parent.mkdir(parents=True, exist_ok=True)
    return replace_folder(place, lambda new: _write(embeddings, method, new))


def load_embeddings(folder: Path | str) -> Embeddings:
    """The embeddings in `folder`, rows in the order in which they were written.

    Raises:
        FileNotFoundError: The folder or one of its three files is missing.
        DataError: A file is damaged or of another format version, or their rows do not fit together.
    """
    place = Path(folder)
    for name in (SUMMARY, VECTORS, TRACKLETS):
        if not (place / name).is_file():
            raise FileNotFoundError(f"{place / name}: no such file; {place} is not a folder of embeddings")
    summary = _read_summary(place / SUMMARY)
    vectors = _read_vectors(place / VECTORS)
    tracklets = _read_tracklets(place / TRACKLETS)
    expected = summary["count"], summary["dimension"]
    if vectors.shape != expected or len(tracklets) != expected[0]:
        raise DataError(
            f"{place}: {SUMMARY} says {expected[0]} rows of {expected[1]}, {VECTORS} holds "
            f"{' x '.join(map(str, vectors.shape))}, {TRACKLETS} "
            f"{len(tracklets)} rows; the files do not belong together"
        )
    return Embeddings(
        vectors, TrackletSet(summary["data"], tracklets), summary["model"], summary["trained_on"]
    )


def is_embeddings_folder(folder: Path) -> bool:
    """Whether the folder claims to hold embeddings."""
    return (folder / SUMMARY).is_file()


def refuse_to_replace(place: Path, overwrite: bool) -> None:
    """Nothing, or an error where `save_embeddings` would not write; worth a call before long work.

    Raises:
        FileExistsError: As `save_embeddings`.
    """
    if not place.exists():
        return
    if not place.is_dir():
        raise FileExistsError(f"{place} is a file; embeddings need a folder")
    if not any(place.iterdir()):
        return
    if not is_embeddings_folder(place):
        raise FileExistsError(f"{place} holds other files than embeddings; choose a new or empty folder")
    strangers = sorted({p.name for p in place.iterdir()} - {SUMMARY, VECTORS, TRACKLETS})
    if strangers:
        raise FileExistsError(
            f"{place} also holds {strangers[0]}, which would be lost; choose another folder"
        )
    if not overwrite:
        raise FileExistsError(
            f"{place} holds embeddings already; pass overwrite=True (--overwrite) to replace them"
        )


def _write(embeddings: Embeddings, method: str, folder: Path) -> None:
    vectors = np.ascontiguousarray(embeddings.vectors, dtype=np.float32)
    try:
        save_file({"vectors": vectors}, folder / VECTORS, {"format": FORMAT, "model": embeddings.model})
    except SafetensorError as error:
        raise as_os_error(error) from error
    pq.write_table(_to_table(embeddings.tracklets), folder / TRACKLETS)
    summary = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "method": method,
        "model": embeddings.model,
        "trained_on": embeddings.trained_on,
        "data": embeddings.tracklets.name,
        "count": len(vectors),
        "dimension": int(vectors.shape[1]),
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _read_summary(path: Path) -> dict[str, Any]:
    summary = read_json_of(path, FORMAT, "a summary of embeddings")
    if summary.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{path}: format version {summary.get('format_version')!r}; this version reads {FORMAT_VERSION}"
        )
    summary.setdefault("trained_on", "")
    expected = {"count": int, "dimension": int, "model": str, "data": str, "trained_on": str}
    for key, kind in expected.items():
        if not isinstance(summary.get(key), kind):
            raise DataError(f"{path}: {key} is {summary.get(key)!r}; expected {kind.__name__}")
    return summary


def _read_vectors(path: Path) -> NDArray[np.float32]:
    try:
        with safe_open(path, framework="numpy") as file:
            vectors = file.get_tensor("vectors")
    except SafetensorError as error:
        raise DataError(f"{path}: not a complete safetensors file with a tensor 'vectors': {error}") from None
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise DataError(f"{path}: vectors are {vectors.dtype} {list(vectors.shape)}; expected float32 [N, D]")
    found: NDArray[np.float32] = vectors
    return found


def _to_table(tracklets: Sequence[Tracklet]) -> pa.Table:
    frames = [[str(frame) for frame in t.frames] for t in tracklets]
    people, people_field = id_column("person_id", [t.person_id for t in tracklets])
    cameras, cameras_field = id_column("camera_id", [t.camera_id for t in tracklets])
    columns = [
        (pa.field("tracklet_id", pa.string()), [t.tracklet_id for t in tracklets]),
        (people_field, people),
        (cameras_field, cameras),
        (pa.field("modality", pa.string()), [t.modality.value for t in tracklets]),
        (pa.field("time", pa.float64()), [t.time for t in tracklets]),
        (pa.field("part", pa.string()), [t.part for t in tracklets]),
        (pa.field("source", pa.string()), [f[0] if f else None for f in frames]),
        (pa.field("frames", pa.list_(pa.string())), frames),
    ]
    schema = pa.schema([field for field, _ in columns])
    return pa.Table.from_arrays([pa.array(values, field.type) for field, values in columns], schema=schema)


def _read_tracklets(path: Path) -> tuple[Tracklet, ...]:
    try:
        table = pq.read_table(path)
        rows = {
            name: column_values(table, name)
            for name in ("tracklet_id", "frames", "modality", "person_id", "camera_id", "time", "part")
        }
        modalities = [Modality(value) for value in rows.pop("modality")]
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a complete table of tracklets: {error}") from None
    frames = [tuple(found or ()) for found in rows.pop("frames")]
    order = (
        rows["tracklet_id"],
        frames,
        modalities,
        rows["person_id"],
        rows["camera_id"],
        rows["time"],
        rows["part"],
    )
    return tuple(Tracklet(*row) for row in zip(*order, strict=True))
