"""The embedding space on paper: a t-SNE map of a few identities, the same one at each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.report.extra import load_extra
from tapetum.report.strips import spread
from tapetum.types import Embeddings, Id, Modality, TrackletSet

_LEAST_POINTS = 6


@dataclass(frozen=True, slots=True)
class Projection:
    """Points on a plane, one a tracklet.

    Attributes:
        points: float64 `[N, 2]`.
        persons: int64 `[N]`, index into `person_ids`.
        infrared: bool `[N]`.
        person_ids: The identities shown.
    """

    points: NDArray[np.float64]
    persons: NDArray[np.int64]
    infrared: NDArray[np.bool_]
    person_ids: tuple[Id, ...]


def project(embeddings: Embeddings, *, identities: int = 30, points: int = 600) -> Projection | None:
    """A t-SNE map (van der Maaten and Hinton 2008) of at most `identities` identities and `points` tracklets.

    It starts from the first two principal components and a fixed seed, so equal input gives an equal map.
    None where there is nothing to see: fewer than 6 tracklets, or all embeddings alike.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    person_ids = _choose_identities(embeddings.tracklets, identities)
    rows = _choose_rows(embeddings.tracklets, person_ids, points)
    vectors = embeddings.vectors[rows]
    if len(rows) < _LEAST_POINTS or np.ptp(vectors, axis=0).max() < 1e-6:
        return None
    chosen = [embeddings.tracklets[int(row)] for row in rows]
    tsne = load_extra("sklearn.manifold").TSNE(
        n_components=2, init="pca", random_state=0, perplexity=min(30.0, (len(rows) - 1) / 3), metric="cosine"
    )
    return Projection(
        points=tsne.fit_transform(vectors).astype(np.float64),
        persons=np.array([person_ids.index(t.person_id) for t in chosen if t.person_id is not None]),
        infrared=np.array([t.modality is Modality.INFRARED for t in chosen]),
        person_ids=tuple(person_ids),
    )


def _choose_identities(tracklets: TrackletSet, wanted: int) -> list[Id]:
    """Identities seen in both modalities, evenly spread over the sorted ids; failing those, any."""
    seen = {(t.person_id, t.modality) for t in tracklets}
    both = [p for p in tracklets.person_ids if all((p, modality) in seen for modality in Modality)]
    known = both or tracklets.person_ids
    return [known[i] for i in spread(len(known), wanted)]


def _choose_rows(tracklets: TrackletSet, person_ids: Sequence[Id], points: int) -> NDArray[np.int64]:
    """Rows of these identities, of each the same share at most, half of it in each modality."""
    rows: dict[tuple[Id, Modality], list[int]] = {(p, m): [] for p in person_ids for m in Modality}
    for row, tracklet in enumerate(tracklets):
        if tracklet.person_id is not None and (tracklet.person_id, tracklet.modality) in rows:
            rows[tracklet.person_id, tracklet.modality].append(row)
    share = max(1, points // max(1, len(rows)))
    kept = [found[i] for found in rows.values() for i in spread(len(found), share)]
    return np.array(kept, dtype=np.int64)
