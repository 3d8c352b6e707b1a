"""Bootstrap intervals against a plain loop over samples and queries, and their coverage of a known truth."""

import math

import numpy as np
import pytest
from scipy import stats

from tapetum.evaluation.scores.confidence import (
    MEASURES,
    bootstrap,
    bootstrap_trials,
    clustered,
    draws,
    over_trials,
)
from tapetum.evaluation.scores.metrics import Scores, summarise


def scores_of(first_rank, average_precision=None, inp=None) -> Scores:
    first_rank = np.asarray(first_rank)
    valid = first_rank > 0
    reciprocal = np.where(valid, 1 / np.maximum(first_rank, 1), np.nan)
    ap = reciprocal if average_precision is None else np.where(valid, average_precision, np.nan)
    return summarise(ap, reciprocal if inp is None else np.where(valid, inp, np.nan), first_rank, 20)


def random_trial(rng, queries, ids):
    first_rank = rng.integers(0, 30, queries)
    return scores_of(first_rank, rng.random(queries), rng.random(queries)), rng.choice(ids, queries).tolist()


def plain_measures(scores, rows):
    """The six means over a list of query rows, in which a row may occur several times."""
    ranks = [sum(scores.first_rank[r] <= k for r in rows) / len(rows) for k in (1, 5, 10, 20)]
    ap = math.fsum(scores.average_precision[r] for r in rows) / len(rows)
    return [*ranks, ap, math.fsum(scores.inp[r] for r in rows) / len(rows)]


def plain_means(trials, people, weights):
    """Mean over trials of the means over all queries of the people drawn, one by one."""
    found = []
    for scores, ids in trials:
        rows = []
        for person, times in zip(people, weights, strict=True):
            own = [r for r, i in enumerate(ids) if i == person and scores.first_rank[r] > 0]
            rows += own * int(times)
        if rows:
            found.append(plain_measures(scores, rows))
    return [math.fsum(column) / len(found) for column in zip(*found, strict=True)]


@pytest.mark.parametrize("ids", [[3, 1, 4, 15, 9], ["b", "a", "c"], [1, "1", -7, 10**12]])
@pytest.mark.parametrize("count", [1, 3])
def test_intervals_equal_a_plain_loop(ids, count):
    rng = np.random.default_rng(len(ids) + count)
    table = np.array(ids, dtype=object)
    trials = [random_trial(rng, 40, table) for _ in range(count)]
    people = []
    for scores, names in trials:
        people += [n for n, r in zip(names, scores.first_rank, strict=True) if r > 0 and n not in people]
    people = list(dict.fromkeys(people))
    weights = np.concatenate(list(draws(len(people), 50, seed=5)))
    expected = np.array([plain_means(trials, people, row) for row in weights])
    found = bootstrap_trials(
        [s for s, _ in trials], [names for _, names in trials], samples=50, level=0.8, seed=5
    )
    low, high = np.quantile(expected, [0.1, 0.9], axis=0)
    value = plain_means(trials, people, np.ones(len(people)))
    for column, name in enumerate(MEASURES):
        interval = (found[name].value, found[name].low, found[name].high)
        assert interval == pytest.approx((value[column], low[column], high[column]), abs=1e-12)
    assert found.count == len(people)


def test_draws_are_people_with_replacement():
    weights = np.concatenate(list(draws(7, 4000, seed=1)))
    assert weights.shape == (4000, 7)
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(weights.var(axis=0), 6 / 7, atol=0.07)


def test_interval_covers_the_truth_where_queries_of_a_person_are_alike():
    """60 people, 8 queries each; how easy a person is varies, so drawing queries alone is overconfident."""
    rng = np.random.default_rng(0)
    people, queries, truth = 60, 8, 0.5
    ids = np.repeat(np.arange(people), queries)
    covered = naive = 0
    for seed in range(200):
        ease = rng.beta(0.6, 0.6, people)
        hit = rng.random(people * queries) < ease[ids]
        scores = scores_of(np.where(hit, 1, 2))
        found = bootstrap(scores, ids, samples=300, seed=seed)["rank_1"]
        covered += found.low <= truth <= found.high
        half = 1.96 * hit.std() / math.sqrt(len(hit))
        naive += abs(hit.mean() - truth) <= half
    assert 0.90 <= covered / 200 <= 0.99
    assert naive / 200 < 0.80


def test_trial_interval_by_hand():
    """Means 0.5, 0.7, 0.6: mean 0.6, standard error 0.1 / sqrt(3), t of 2 degrees of freedom is 4.3027."""
    trials = [scores_of([1] * hits + [21] * (10 - hits)) for hits in (5, 7, 6)]
    found = over_trials(trials)
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert half == pytest.approx(4.3027 * 0.057735, rel=1e-4)
    assert (found["rank_1"].low, found["rank_1"].high) == pytest.approx((0.6 - half, 0.6 + half))
    assert (found.over, found.count) == ("trials", 3)


def test_person_without_query_in_a_trial_leaves_it_out_of_the_mean():
    """Person 7 has queries in the first trial only, person 8 in both."""
    first = np.array([[1.0], [0.0]])
    second = np.array([[np.nan], [1.0]])
    sums = clustered([(first, [7, 8]), (second, [7, 8])])
    assert sums.means(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])).ravel().tolist() == [1.0, 0.5, 0.75]
