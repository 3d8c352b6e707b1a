import numpy as np
import pytest

from tapetum.errors import NoMatchError
from tapetum.evaluation import chance_scores, score_distances
from tapetum.evaluation.scores.chance import _expected
from tapetum.types import Modality, Tracklet


def people(ids, cameras) -> list[Tracklet]:
    return [
        Tracklet(str(n), (), Modality.VISIBLE, person_id=i, camera_id=c)
        for n, (i, c) in enumerate(zip(ids, cameras, strict=True))
    ]


@pytest.mark.parametrize(("kept", "true"), [(1, 1), (4, 1), (4, 4), (5, 2), (7, 3), (8, 5)])
def test_expected_scores_are_the_mean_over_all_orders(kept, true):
    """Every choice of the true items' places is equally likely; all are scored."""
    from itertools import combinations

    places = np.array(list(combinations(range(1, kept + 1), true)))
    average_precision = (np.arange(1, true + 1) / places).mean()
    inp = (true / places[:, -1]).mean()
    cmc = [(places[:, 0] <= rank).mean() for rank in range(1, 11)]
    found = _expected(kept, true, 10)
    assert found[0] == pytest.approx(average_precision, abs=1e-12)
    assert found[1] == pytest.approx(inp, abs=1e-12)
    np.testing.assert_allclose(found[2], cmc, atol=1e-12)


@pytest.mark.parametrize("hidden", [(), ((1, 2), (1, 3), (2, 2))])
@pytest.mark.parametrize("same_camera", [True, False])
def test_chance_is_the_mean_of_many_random_rankings(same_camera, hidden):
    rng = np.random.default_rng(0)
    query = people([1, 2, 3, 4, None], [1, 1, 2, None, 1])
    gallery = people([1, 1, 1, 2, 2, 3, 9, 9, None, 1, 4, 4], [1, 2, 3, 1, 2, 2, 1, 1, 1, 1, None, 1])
    leave_out = [
        [
            (q.camera_id, g.camera_id) in hidden
            or (
                not same_camera
                and None not in (q.person_id, q.camera_id)
                and (q.person_id, q.camera_id) == (g.person_id, g.camera_id)
            )
            for g in gallery
        ]
        for q in query
    ]
    times = 4000
    drawn = score_distances(
        rng.random((times * len(query), len(gallery))),
        [t.person_id for t in query] * times,
        [t.person_id for t in gallery],
        leave_out=np.tile(leave_out, (times, 1)),
        max_rank=5,
    )
    rules = {"same_camera": same_camera, "hidden_cameras": hidden}
    found = chance_scores(query, gallery, **rules, max_rank=5)
    assert (found.queries * times, found.skipped * times) == (drawn.queries, drawn.skipped)
    assert found.mean_ap == pytest.approx(drawn.mean_ap, abs=0.01)
    assert found.mean_inp == pytest.approx(drawn.mean_inp, abs=0.01)
    np.testing.assert_allclose(found.cmc, drawn.cmc, atol=0.015)
    per_query = drawn.average_precision.reshape(times, -1).mean(axis=0)
    np.testing.assert_allclose(found.average_precision, per_query, atol=0.02)
    assert found.first_rank.tolist() == [
        round((len(gallery) - sum(left) + 1) / (true + 1)) if true else 0
        for left, true in zip(leave_out, _true_items(query, gallery, leave_out), strict=True)
    ]


def _true_items(query, gallery, leave_out):
    return [
        sum(
            q.person_id is not None and q.person_id == g.person_id and not out
            for g, out in zip(gallery, left, strict=True)
        )
        for q, left in zip(query, leave_out, strict=True)
    ]


def test_large_galleries_stay_finite():
    average_precision, inp, cmc = _expected(100_000, 50, 20)
    assert 50 / 100_000 < average_precision < 1e-3
    assert 50 / 100_000 < inp < 1e-3
    assert cmc[0] == pytest.approx(50 / 100_000)
    assert (np.diff(cmc) > 0).all()


def test_nothing_to_find_is_refused():
    with pytest.raises(NoMatchError, match="none of 1 queries"):
        chance_scores(people([1], [1]), people([1, 2], [1, 1]))
