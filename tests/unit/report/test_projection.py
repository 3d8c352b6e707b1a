import numpy as np
import pytest

from tapetum.report.projection import project
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def embeddings(people, each=4, seed=0):
    rng = np.random.default_rng(seed)
    tracklets, vectors = [], []
    for person in range(people):
        centre = rng.normal(size=8)
        for i in range(each):
            modality = Modality.VISIBLE if i % 2 else Modality.INFRARED
            tracklets.append(Tracklet(f"{person}-{i}", (), modality, person, i))
            vectors.append(centre + 0.05 * rng.normal(size=8))
    rows = np.asarray(vectors, dtype=np.float32)
    return Embeddings(
        rows / np.linalg.norm(rows, axis=1, keepdims=True), TrackletSet("toy", tuple(tracklets))
    )


def test_the_map_repeats_and_keeps_people_together():
    given = embeddings(8)
    first, second = project(given), project(given)
    assert np.array_equal(first.points, second.points)
    gaps = np.linalg.norm(first.points[:, None] - first.points[None], axis=-1) + np.diag([np.inf] * 32)
    assert np.mean(first.persons[gaps.argmin(1)] == first.persons) > 0.9


def test_identities_and_points_are_limited_and_both_modalities_kept():
    found = project(embeddings(12, each=10), identities=5, points=20)
    assert len(found.person_ids) == 5
    assert np.bincount(found.persons).tolist() == [4] * 5
    assert [int(found.infrared[found.persons == p].sum()) for p in range(5)] == [2] * 5


def test_a_person_of_one_modality_is_left_out_while_there_are_others():
    given = embeddings(4)
    lonely = tuple(Tracklet(f"x{i}", (), Modality.VISIBLE, 99, 1) for i in range(3))
    both = Embeddings(
        np.concatenate([given.vectors, given.vectors[:3]]),
        TrackletSet("toy", given.tracklets.tracklets + lonely),
    )
    assert 99 not in project(both).person_ids


@pytest.mark.parametrize("given", [embeddings(1), embeddings(2, each=2)])
def test_too_few_points_give_no_map(given):
    assert project(given) is None


def test_equal_embeddings_give_no_map():
    given = embeddings(5)
    flat = Embeddings(np.full_like(given.vectors, 8**-0.5), given.tracklets)
    assert project(flat) is None
