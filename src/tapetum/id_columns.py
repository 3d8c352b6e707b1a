"""Identifiers as columns of Parquet tables, from which they come back exactly as they were.

All integers make an int64 column, all texts a string column. A mixture (or an integer of more than 64 bits)
is stored as JSON texts, and the column's metadata says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tapetum.types import Id

_AS_JSON = {b"identifiers": b"json"}


def id_column(name: str, ids: Sequence[Id | None]) -> tuple[list[Id | None], pa.Field]:
    """Identifiers as they go into a column, and the column's name and type.

    Example:
        >>> id_column("camera_id", [3, None])[0], id_column("camera_id", [3, "3", None])[0]
        ([3, None], ['3', '"3"', None])
    """
    ids = [i.item() if isinstance(i, np.generic) else i for i in ids]
    known = [i for i in ids if i is not None]
    if known and all(isinstance(i, int) and -(2**63) <= i < 2**63 for i in known):
        return ids, pa.field(name, pa.int64())
    if all(isinstance(i, str) for i in known):
        return ids, pa.field(name, pa.string())
    texts: list[Id | None] = [None if i is None else json.dumps(i) for i in ids]
    return texts, pa.field(name, pa.string(), metadata=_AS_JSON)


def column_values(table: pa.Table, name: str) -> list[Any]:
    """The values of any column; identifiers as they were stored.

    Raises:
        KeyError: There is no such column.
    """
    values: list[Any] = table.column(name).to_pylist()
    if (table.schema.field(name).metadata or {}).get(b"identifiers") == b"json":
        return [None if value is None else json.loads(value) for value in values]
    return values
