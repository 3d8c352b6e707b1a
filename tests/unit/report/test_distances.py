import math

import numpy as np
import pytest

from tapetum.report.distances import DistanceHistogram, cross_modal_distances
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def embeddings(vectors, modalities, persons):
    rows = np.asarray(vectors, dtype=np.float32)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    tracklets = tuple(
        Tracklet(f"t{i}", (), Modality(m), p, 1)
        for i, (m, p) in enumerate(zip(modalities, persons, strict=True))
    )
    return Embeddings(rows, TrackletSet("toy", tracklets))


def random_embeddings(rng, n=60, people=7):
    persons = [int(p) if p else None for p in rng.integers(0, people, n)]
    modalities = rng.choice(["visible", "infrared"], n)
    return embeddings(rng.normal(size=(n, 5)), modalities, persons)


def test_counts_and_separation_agree_with_a_loop_over_all_pairs(monkeypatch):
    monkeypatch.setattr("tapetum.report.distances._BLOCK", 7)
    given = random_embeddings(np.random.default_rng(0))
    same, different = [], []
    for i, a in enumerate(given.tracklets):
        for j, b in enumerate(given.tracklets):
            if (
                a.modality == "visible"
                and b.modality == "infrared"
                and None not in (a.person_id, b.person_id)
            ):
                distance = 1 - float(given.vectors[i].astype(float) @ given.vectors[j].astype(float))
                (same if a.person_id == b.person_id else different).append(distance)
    found = cross_modal_distances(given)
    assert (found.same.sum(), found.different.sum()) == (len(same), len(different))
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    assert found.same @ middles / len(same) == pytest.approx(np.mean(same), abs=0.005)
    wins = [(s < d) + 0.5 * (s == d) for s in same for d in different]
    assert found.separation == pytest.approx(np.mean(wins), abs=0.005)


def test_worked_example():
    given = embeddings([[1, 0], [0, 1], [1, 0], [-1, 0]], ["visible"] * 2 + ["infrared"] * 2, [1, 2, 1, 2])
    found = cross_modal_distances(given)
    assert np.flatnonzero(found.same).tolist() == [0, 200]  # distances 0 and 1
    assert np.flatnonzero(found.different).tolist() == [200, 399]  # distances 1 and 2, the last bin closed
    assert found.separation == (1 + 1 + 0.5 + 1) / 4


def test_merging_keeps_counts_and_cuts_the_empty_ends():
    counts = np.zeros(400, dtype=np.int64)
    counts[[10, 11, 35]] = 2, 3, 4
    merged = DistanceHistogram(np.linspace(0, 2, 401), counts, np.zeros_like(counts)).merged(5)
    assert merged.same.tolist() == [5, 0, 0, 0, 4]
    assert merged.edges[[0, -1]] == pytest.approx([0.05, 0.2])
    assert len(merged.edges) == 6


def test_without_pairs_there_is_no_separation_and_no_range():
    found = cross_modal_distances(embeddings([[1, 0], [0, 1]], ["visible"] * 2, [1, 2]))
    assert math.isnan(found.separation)
    with pytest.raises(ValueError, match="without pairs"):
        found.merged(10)
