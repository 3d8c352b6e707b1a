"""The approximate index of a large table, and how much of it a search must look at.

Vectors are kept in lists by nearness, one bit for each entry (eight where their length is no multiple of
8). What looks nearest by these is compared again by the true vectors. Under a filter the near lists may hold
little that passes, so the number of lists that are looked at is raised until enough is found under every
filter that recall is measured for.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from tapetum.search._lance_snapshot import Snapshot
from tapetum.search._lance_vectors import TableVectors, read_vectors
from tapetum.search._nearest import Vectors
from tapetum.search.planning import RECALL_TOP, Index, Search, measured_recall, sample_rows
from tapetum.search.query import Filter

WANTED_RECALL = 0.95
_ROWS_IN_LIST = 4096
_LEAST_EFFORT = 8
_COLUMN = "vector"
_log = logging.getLogger(__name__)


def build_index(snapshot: Snapshot, vectors: TableVectors, exact_rows: int) -> Index | None:
    """The index that a table is to have, made where it is missing; None where every search can be exact.

    Args:
        snapshot: The table as it is; nobody else writes to it meanwhile.
        vectors: Gives the true answers.
        exact_rows: Up to so many rows there is no index.
    """
    if len(snapshot) <= exact_rows:
        _drop_index(snapshot)
        return None
    if snapshot.index is not None and snapshot.index.is_current(snapshot.sequence, snapshot.revision):
        return snapshot.index
    lists = max(1, len(snapshot) // _ROWS_IN_LIST)
    kind = _create_index(snapshot, lists)
    plain = replace(snapshot, index=None)
    found = Index(
        kind=kind,
        effort=min(_LEAST_EFFORT, lists),
        rows=len(snapshot),
        last_sequence=int(snapshot.sequence.max()),
        last_revision=int(snapshot.revision.max()),
        recall={},
    )
    return _tuned(found, _Questions(plain, vectors), lists)


def _create_index(snapshot: Snapshot, lists: int) -> str:
    from lancedb.index import IvfRq, IvfSq

    kind = IvfRq if snapshot.of.dimension % 8 == 0 else IvfSq
    _log.info("indexing %d embeddings in %d lists", len(snapshot), lists)
    snapshot.table.create_index(_COLUMN, config=kind(distance_type="dot", num_partitions=lists), replace=True)
    return kind.__name__


def _drop_index(snapshot: Snapshot) -> None:
    for index in snapshot.table.list_indices():
        if _COLUMN in index.columns:
            snapshot.table.drop_index(index.name)


def _tuned(index: Index, questions: _Questions, lists: int) -> Index:
    """The index with the least effort that finds enough, or with all there is."""
    rows = sample_rows(index.rows)
    while True:
        recall = measured_recall(rows, questions.exact, questions.approximately(index.effort))
        index = replace(index, recall=recall)
        if min(recall.values()) >= WANTED_RECALL or index.effort >= lists:
            return index
        index = replace(index, effort=min(2 * index.effort, lists))


class _Questions:
    """Rows of a table asked for themselves, and their true answers, found once."""

    def __init__(self, snapshot: Snapshot, vectors: TableVectors) -> None:
        self._snapshot = snapshot
        self._vectors = vectors
        self._true: dict[tuple[int, Filter | None], list[int]] = {}

    def exact(self, row: int, where: Filter | None) -> list[int]:
        """The true answer; see `planning.Search`."""
        if (row, where) not in self._true:
            kept = self._snapshot.rows_passing(where)
            kept[row] = False
            found, _ = self._vectors.exact(self._snapshot, self._vector(row), RECALL_TOP, kept)
            self._true[row, where] = found.tolist()
        return self._true[row, where]

    def approximately(self, effort: int) -> Search[int]:
        """The index's answers."""

        def search(row: int, where: Filter | None) -> list[int]:
            vector = self._vector(row)
            found, _ = self._vectors.approximate(self._snapshot, vector, RECALL_TOP + 1, where, effort)
            return [hit for hit in found.tolist() if hit != row][:RECALL_TOP]

        return search

    def _vector(self, row: int) -> Vectors:
        found: Vectors = read_vectors(self._snapshot, np.array([row], dtype=np.int64))[0]
        return found
