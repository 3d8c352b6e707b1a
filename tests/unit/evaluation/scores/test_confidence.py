import json

import numpy as np
import pytest

from tapetum.evaluation import score_distances
from tapetum.evaluation.scores.confidence import MEASURES, bootstrap, bootstrap_trials, over_trials


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 12, 60)
    return score_distances(rng.standard_normal((60, 200)), ids, rng.integers(0, 12, 200)), ids


def test_value_is_the_score_itself(found):
    scores, ids = found
    intervals = bootstrap(scores, ids)
    assert intervals["mean_ap"].value == pytest.approx(scores.mean_ap, abs=1e-14)
    assert intervals["mean_inp"].value == pytest.approx(scores.mean_inp, abs=1e-14)
    for rank in (1, 5, 10, 20):
        assert intervals[f"rank_{rank}"].value == pytest.approx(scores.rank(rank), abs=1e-14)
    assert all(i.low <= i.value <= i.high for i in intervals.values())


def test_equal_seeds_give_equal_intervals_and_others_do_not(found):
    assert bootstrap(*found, seed=3) == bootstrap(*found, seed=3)
    assert bootstrap(*found, seed=3) != bootstrap(*found, seed=4)


def test_wider_level_is_a_wider_interval(found):
    narrow, wide = (bootstrap(*found, level=level)["mean_ap"] for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_draws_of_the_gallery_share_their_people(found):
    scores, ids = found
    one, twice = bootstrap(scores, ids), bootstrap_trials([scores, scores], [ids, ids])
    assert [i.low for i in twice.values()] == pytest.approx([i.low for i in one.values()])
    assert [i.high for i in twice.values()] == pytest.approx([i.high for i in one.values()])


def test_json_holds_every_measure(found):
    content = json.loads(json.dumps(bootstrap(*found, samples=20).to_json()))
    assert (content["over"], content["count"], content["samples"]) == ("identities", 12, 20)
    assert all(len(content[name]) == 2 for name in MEASURES)


def test_refusals(found):
    scores, ids = found
    with pytest.raises(ValueError, match="60 queries were scored, 59 identities"):
        bootstrap(scores, ids[:-1])
    with pytest.raises(ValueError, match="query 0 was scored but its identity is None"):
        bootstrap(scores, [None, *ids[1:]])
    with pytest.raises(ValueError, match=r"level is 95; expected a share"):
        bootstrap(scores, ids, level=95)
    with pytest.raises(ValueError, match="samples is 0"):
        bootstrap(scores, ids, samples=0)
    with pytest.raises(ValueError, match="2 scores and 1 lists"):
        bootstrap_trials([scores, scores], [ids])
    with pytest.raises(ValueError, match="needs at least 2 of them; there is 1"):
        over_trials([scores])
    alone = score_distances([[0.0, 1.0]], [7], [7, 8])
    with pytest.raises(ValueError, match="over identities needs at least 2 of them; there is 1"):
        bootstrap(alone, [7])


def test_unknown_queries_are_skipped_as_in_the_scores():
    scores = score_distances([[0.0, 1.0]] * 3, [7, 8, None], [7, 8])
    assert bootstrap(scores, [7, 8, None]).count == 2
