"""The pairs of a trial, some queries at a time: how far apart, one person or two, and which do not count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.evaluation._camera_rules import CameraRules
from tapetum.evaluation._identities import IntArray, shared_codes
from tapetum.evaluation.distances.products import NegativeProducts, rows_at_a_time
from tapetum.evaluation.protocols._base import Trial
from tapetum.types import Embeddings


@dataclass(frozen=True, slots=True, eq=False)
class PairBlock:
    """Some queries of a trial against its whole gallery, in gallery order.

    Attributes:
        positions: int64 `[b]`, places in `trial.query`.
        distance: float32 `[b, G]`, minus the dot product.
        same: bool `[b, G]`, whether both show one person; an unknown person is nobody's match.
        left_out: bool `[b, G]`, whether the trial's rules remove the pair.
    """

    positions: IntArray
    distance: NDArray[np.float32]
    same: NDArray[np.bool_]
    left_out: NDArray[np.bool_]


def pair_blocks(
    embeddings: Embeddings, trial: Trial, positions: IntArray | None = None
) -> Iterator[PairBlock]:
    """The pairs of a trial in blocks; its whole matrix is never held.

    Args:
        embeddings: What the trial's rows are rows of.
        trial: Queries, gallery and rules.
        positions: Places in `trial.query`; None: all of them.
    """
    wanted = np.arange(len(trial.query)) if positions is None else positions
    rules = _rules(embeddings, trial)
    products = NegativeProducts(torch.from_numpy(embeddings.vectors[trial.gallery]))
    rows = rows_at_a_time(len(trial.gallery))
    for first in range(0, len(wanted), rows):
        chosen = wanted[first : first + rows]
        vectors = torch.from_numpy(embeddings.vectors[trial.query[chosen]])
        same = rules.people[1] == rules.people[0][chosen, None]
        yield PairBlock(chosen, products(vectors).numpy(), same, rules(chosen))


def _rules(embeddings: Embeddings, trial: Trial) -> CameraRules:
    query = [embeddings.tracklets[int(row)] for row in trial.query]
    gallery = [embeddings.tracklets[int(row)] for row in trial.gallery]
    people = shared_codes([t.person_id for t in query], [t.person_id for t in gallery])
    return CameraRules.of(people, query, gallery, trial.same_camera, trial.hidden_cameras)
