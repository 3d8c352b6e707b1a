import statistics

import numpy as np
import pytest

from tapetum.evaluation.scores.averages import average
from tapetum.evaluation.scores.metrics import score_distances


def scores(seed, max_rank=5):
    rng = np.random.default_rng(seed)
    return score_distances(
        rng.random((9, 12)), rng.integers(0, 6, 9), rng.integers(0, 5, 12), max_rank=max_rank
    )


def test_means_and_deviations_of_trials():
    three = [scores(seed) for seed in range(3)]
    found = average(three)
    assert found.trials == 3
    for name in ("mean_ap", "mean_inp", "queries", "skipped"):
        values = [float(getattr(s, name)) for s in three]
        assert getattr(found, name) == pytest.approx(statistics.mean(values), abs=1e-15)
        assert getattr(found.deviations, name) == pytest.approx(statistics.stdev(values), abs=1e-15)
    for rank in range(5):
        values = [float(s.cmc[rank]) for s in three]
        assert found.rank(rank + 1) == pytest.approx(statistics.mean(values), abs=1e-15)
        assert found.deviations.cmc[rank] == pytest.approx(statistics.stdev(values), abs=1e-15)
    assert found.cmc.dtype == np.float64


def test_a_single_trial_is_its_own_mean_without_deviation():
    one = scores(0)
    found = average([one])
    assert (found.mean_ap, found.queries, found.deviations) == (one.mean_ap, one.queries, None)
    assert found.to_json() == {"trials": 1, **one.to_json(), "deviations": None}


def test_what_cannot_be_averaged():
    with pytest.raises(ValueError, match=r"CMC lengths \[4, 5\]"):
        average([scores(0), scores(1, 4)])
    with pytest.raises(ValueError, match="0 trials"):
        average([])
    with pytest.raises(ValueError, match=r"rank 6 is outside 1\.\.5"):
        average([scores(0)]).rank(6)
