"""Whether a search is exact or approximate, and what an approximate index is known to find.

Exact is the rule: indexes lose hits, most of all under filters. They are used only where more tracklets pass
the filter than can be compared one by one in good time, and every answer says so, with the recall that was
measured on the gallery's own embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from tapetum.search._nearest import Indices
from tapetum.search.query import Filter
from tapetum.types import Modality

EXACT_ROWS = 1_000_000
"""Up to so many tracklets that pass the filter, each is compared."""

RECALL_QUERIES = 64
RECALL_TOP = 20

FILTERS: Mapping[str, Filter | None] = {
    "all": None,
    **{modality.value: Filter(modality=modality) for modality in Modality},
}
"""Under which filters recall is measured: an index finds less of what passes one."""

Row = TypeVar("Row", int, str)
"""What a store knows a row by."""

Search = Callable[[Row, Filter | None], Sequence[Row]]
"""Rows nearest to a row of the gallery, itself left out, under a filter."""


@dataclass(frozen=True, slots=True)
class Index:
    """An approximate index, and what it finds.

    Attributes:
        kind: Name of the index in its store.
        effort: How much of it a search looks at, in its store's own measure.
        rows: Number of rows that it was made of.
        last_sequence: Highest sequence among them.
        last_revision: Highest revision among them.
        recall: Share of the true `RECALL_TOP` nearest found, by filter (see `FILTERS`).
    """

    kind: str
    effort: int
    rows: int
    last_sequence: int
    last_revision: int
    recall: Mapping[str, float]

    def recall_of(self, where: Filter | None) -> float:
        """What a search under a filter finds: as measured without one, or the least that was measured."""
        return self.recall["all"] if where is None else min(self.recall.values())

    def to_json(self) -> dict[str, Any]:
        """The index as plain values."""
        return {**asdict(self), "recall": dict(self.recall)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Index:
        """The index that `to_json` wrote.

        Raises:
            KeyError: A value is missing.
            TypeError: A value is of another type.
            ValueError: A number cannot be read.
        """
        return cls(
            kind=str(content["kind"]),
            effort=int(content["effort"]),
            rows=int(content["rows"]),
            last_sequence=int(content["last_sequence"]),
            last_revision=int(content["last_revision"]),
            recall={name: float(content["recall"][name]) for name in FILTERS},
        )

    def is_current(self, sequence: Indices, revision: Indices) -> bool:
        """Whether rows that were indexed are all there as they were, and few have come since."""
        still = (sequence <= self.last_sequence) & (revision <= self.last_revision)
        return int(still.sum()) == self.rows and len(sequence) - self.rows <= self.rows * _NEW_SHARE


_NEW_SHARE = 0.1
"""Rows that are not in the index are compared one by one; more of them than this share: index anew."""


def is_exact(passing: int, index: Index | None, exact_rows: int) -> bool:
    """Whether a search that looks at `passing` rows compares them all."""
    return index is None or passing <= exact_rows


def measured_recall(rows: Sequence[Row], exact: Search[Row], approximate: Search[Row]) -> dict[str, float]:
    """Share of the true nearest rows that a search finds, by filter; 1 where nothing is to be found.

    Args:
        rows: Rows that are asked for.
        exact: The true answers.
        approximate: The answers to be judged.
    """
    found: dict[str, float] = {}
    for name, where in FILTERS.items():
        hits = wanted = 0
        for row in rows:
            true = set(exact(row, where))
            hits += len(true.intersection(approximate(row, where)))
            wanted += len(true)
        found[name] = hits / wanted if wanted else 1.0
    return found


def sample_rows(count: int) -> list[int]:
    """Rows of a gallery of `count` to measure recall with: `RECALL_QUERIES`, or all where there are fewer."""
    chosen = np.random.default_rng(0).choice(count, size=min(count, RECALL_QUERIES), replace=False)
    return sorted(int(row) for row in chosen)
