"""The head of an answer in a better order: nearest by shared neighbours instead of by similarity alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tapetum.search.query import SearchResult, in_ranks
from tapetum.search.storing import refuse_other_model
from tapetum.types import Embeddings

if TYPE_CHECKING:
    from tapetum.search.gallery import Gallery


def with_head_reranked(found: SearchResult, asked: Embeddings, gallery: Gallery, head: int) -> SearchResult:
    """The same hits, the first `head` of them by k-reciprocal re-ranking; the others follow as they were.

    Equal to `tapetum.evaluation.rerank` of the query among the vectors of these hits, ties in their order.
    Similarities stay what they are.

    Args:
        found: Nearest first.
        asked: The query, one row.
        gallery: Where the hits' vectors lie.
        head: At least 1; hits that may change places.

    Raises:
        KeyError: A hit was deleted since it was found.
        ModelMismatchError: The gallery was moved to another model since.
    """
    from tapetum.evaluation.ranking.reranking import rerank

    first = found.hits[:head]
    if not first:
        return replace(found, reranked=True)
    known = gallery.get([hit.tracklet.tracklet_id for hit in first])
    refuse_other_model(asked.model, known.model)
    distances = rerank(asked.vectors, known.vectors)[0]
    order = np.argsort(distances, kind="stable")
    hits = [first[int(place)] for place in order]
    return replace(found, hits=in_ranks([*hits, *found.hits[head:]]), reranked=True)


def refuse_bad_head(head: int | None) -> None:
    """Nothing, or an error where no hit would be re-ranked.

    Raises:
        ValueError: `head` is below 1.
    """
    if head is not None and head < 1:
        raise ValueError(f"rerank_head is {head}; expected at least 1")
