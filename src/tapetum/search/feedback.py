"""A query made better by what its asker said of an answer: relevance feedback after Rocchio.

The query becomes the middle of what is known of the person, and moves away from who was mistaken for them:

    p  = unit mean over the modalities of (unit mean of the query and right hits seen in that modality)
    q' = unit(p - WRONG x mean of the wrong hits)

Rocchio, "Relevance feedback in information retrieval", 1971, adds the mean of right documents with a fixed
weight. Here each modality counts once instead, however many hits of it were marked: night and day embeddings
of one person lie apart, and a single right hit from the other side takes the query half the way across.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapetum.search.query import SearchResult
from tapetum.types import Embeddings, Modality

WRONG = 0.25
"""How far a query moves away from wrong hits. Of what was tried on synthetic walkers the best; 0.1 to 0.4 are
about as good, and 0.6 is worse than nothing (docs/search.md, `benchmarks/feedback.py --weights`)."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the asker said of hits: tracklets of the gallery, each once.

    Attributes:
        right: They show the person.
        wrong: They show somebody else.
    """

    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Keep each identifier once.

        Raises:
            ValueError: A tracklet is both right and wrong.
        """
        for name in ("right", "wrong"):
            given: str | Iterable[str] = getattr(self, name)
            each = (given,) if isinstance(given, str) else dict.fromkeys(given)
            object.__setattr__(self, name, tuple(each))
        both = [name for name in self.right if name in self.wrong]
        if both:
            raise ValueError(f"tracklet {both[0]!r} is marked both right and wrong")

    def refuse_wrong(self, asked: Sequence[str]) -> None:
        """Nothing, or an error where what is asked is marked as wrong.

        Raises:
            ValueError: It is.
        """
        both = [name for name in asked if name in self.wrong]
        if both:
            raise ValueError(f"tracklet {both[0]!r} is the query, and it is marked wrong")


def improved(asked: Embeddings, right: Embeddings, wrong: Embeddings) -> Embeddings:
    """A query moved to right hits and away from wrong ones; as it was where there are none.

    Args:
        asked: The query, one row of length 1.
        right: Hits that show the person.
        wrong: Hits that show somebody else.

    Raises:
        ValueError: What is known of the person has no common direction.
    """
    if not len(right) and not len(wrong):
        return asked
    found = _middle(asked, right)
    if len(wrong):
        found = found - WRONG * _mean(wrong.vectors)
    return replace(asked, vectors=_unit(found)[None].astype(np.float32))


def with_marks(found: SearchResult, marks: Feedback) -> SearchResult:
    """The same answer, its right hits marked."""
    right = frozenset(marks.right)
    if not right:
        return found
    hits = (replace(hit, marked="right") if hit.tracklet.tracklet_id in right else hit for hit in found)
    return replace(found, hits=tuple(hits))


def _middle(asked: Embeddings, right: Embeddings) -> NDArray[np.float64]:
    """The middle of the query and right hits, float64 `[D]` of length 1; each modality counts once."""
    seen = [t.modality for rows in (asked, right) for t in rows.tracklets]
    vectors = np.concatenate([asked.vectors, right.vectors])
    sides = [[row for row, modality in enumerate(seen) if modality is side] for side in Modality]
    return _unit(np.mean([_unit(_mean(vectors[rows])) for rows in sides if rows], axis=0))


def _mean(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = vectors.mean(axis=0, dtype=np.float64)
    return mean


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector with length 1.

    Raises:
        ValueError: It has no direction.
    """
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise ValueError("the query and its right and wrong hits cancel out: nothing is left to search by")
    return vector / length
