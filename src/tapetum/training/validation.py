"""Scores on held-out training identities, so that nothing is ever chosen on a test set."""

from __future__ import annotations

from tapetum.embed import embed
from tapetum.evaluation import score_embeddings
from tapetum.methods._base import Method
from tapetum.training.source import ValidationScores
from tapetum.types import Modality, TrackletSet


def score_both_directions(method: Method, tracklets: TrackletSet) -> ValidationScores:
    """MAP and rank-1 (fractions) with one modality as queries and the other as gallery, for both.

    Processes that train together share the work; each has the scores of one process alone. A pair of the
    same person is kept even where both were seen by one camera: the modality differs.
    """
    found = embed(method, tracklets, name="validation", shared=True)
    rows = {m: [i for i, t in enumerate(tracklets) if t.modality is m] for m in Modality}
    sides = {m: found.rows(chosen) for m, chosen in rows.items()}
    scores = {m: score_embeddings(sides[m], sides[m.other], same_camera=True) for m in Modality}
    return {
        f"{m.value}-to-{m.other.value}": {"mAP": s.mean_ap, "rank-1": s.rank(1)} for m, s in scores.items()
    }


def mean_of_directions(scores: ValidationScores) -> float:
    """The figure that runs are compared by: mAP, averaged over both directions.

    >>> mean_of_directions({"a-to-b": {"mAP": 0.5, "rank-1": 1.0}, "b-to-a": {"mAP": 0.25, "rank-1": 0.0}})
    0.375
    """
    values = [direction["mAP"] for direction in scores.values()]
    return sum(values) / len(values)
