import numpy as np
import pytest

from tapetum.evaluation import Trial, ranked_lists, score_embeddings
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def make(vectors, ids, cameras) -> Embeddings:
    rows = tuple(
        Tracklet(str(n), (), Modality.VISIBLE, person_id=i, camera_id=c)
        for n, (i, c) in enumerate(zip(ids, cameras, strict=True))
    )
    return Embeddings(np.asarray(vectors, dtype=np.float32), TrackletSet("test", rows))


@pytest.fixture
def by_hand():
    """Row 0 searches; the gallery's rows 5 4 3 2 1 stand in this order, at growing distance."""
    angles = np.array([0.0, 0.5, 0.4, 0.3, 0.2, 0.1])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return make(vectors, [7, 5, 7, 7, 3, 7], [2, 1, 3, 1, 2, 2])


def trial(query, gallery, **rules) -> Trial:
    return Trial("test", np.array(query), np.array(gallery), **rules)


def test_list_by_hand(by_hand):
    (found,) = ranked_lists(by_hand, trial([0], [1, 2, 3, 4, 5]), [0], top=3)
    assert found.query == 0
    assert found.gallery.tolist() == [4, 3, 2]
    np.testing.assert_allclose(found.distances, -np.cos([0.2, 0.3, 0.4]), atol=1e-6)
    assert found.is_match.tolist() == [False, True, True]
    assert found.left_out.tolist() == [5]


def test_camera_rule_can_be_off(by_hand):
    (found,) = ranked_lists(by_hand, trial([0], [1, 2, 3, 4, 5], same_camera=True), [0], top=None)
    assert found.gallery.tolist() == [5, 4, 3, 2, 1]
    assert len(found.left_out) == 0


def test_ties_are_in_gallery_order():
    embeddings = make([[1, 0]] * 5, [1, 2, 3, 4, 5], [None] * 5)
    (found,) = ranked_lists(embeddings, trial([0], [3, 1, 4, 2]), [0])
    assert found.gallery.tolist() == [3, 1, 4, 2]


def test_hidden_cameras_are_left_out_whoever_they_show(by_hand):
    rules = {"same_camera": True, "hidden_cameras": ((2, 1), (1, 3))}
    (found,) = ranked_lists(by_hand, trial([0], [1, 2, 3, 4, 5], **rules), [0])
    assert found.gallery.tolist() == [5, 4, 2]
    assert found.left_out.tolist() == [1, 3]


@pytest.mark.parametrize("hidden", [(), ((0, 1), (2, 0))])
@pytest.mark.parametrize("rule", [True, False])
def test_lists_are_what_was_scored(rule, hidden):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((300, 64))
    vectors[100:150] = vectors[150:200]
    ids = [None if i == 9 else i for i in rng.integers(0, 10, 300).tolist()]
    embeddings = make(vectors, ids, rng.integers(0, 3, 300).tolist())
    chosen = trial(np.arange(80), np.arange(80, 300), same_camera=rule, hidden_cameras=hidden)
    sides = embeddings.rows(chosen.query), embeddings.rows(chosen.gallery)
    scores = score_embeddings(*sides, same_camera=rule, hidden_cameras=hidden)
    for queries in (range(80), [3], [70, 2]):
        for found in ranked_lists(embeddings, chosen, queries, top=None):
            positions = np.flatnonzero(found.is_match) + 1
            assert scores.first_rank[found.query] == (positions[0] if len(positions) else 0)
            if len(positions):
                expected = (np.arange(1, len(positions) + 1) / positions).mean()
                assert scores.average_precision[found.query] == pytest.approx(expected, abs=1e-12)
            assert len(found.gallery) + len(found.left_out) == 220


def test_bad_questions_are_refused(by_hand):
    with pytest.raises(ValueError, match="top is 0"):
        ranked_lists(by_hand, trial([0], [1]), [0], top=0)
    with pytest.raises(ValueError, match="row 2 is not a query of the trial test"):
        ranked_lists(by_hand, trial([0], [1]), [0, 2])
    assert ranked_lists(by_hand, trial([0], [1]), []) == []
