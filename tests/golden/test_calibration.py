"""Pair counts, error rates, fits and open-set rates against plain loops over pairs, and worked by hand."""

import math

import numpy as np
import pytest
from scipy import optimize

from tapetum.evaluation import Trial
from tapetum.evaluation.calibration._log_ratios import fit_log_ratio
from tapetum.evaluation.calibration.calibration import calibrate, split_people
from tapetum.evaluation.calibration.open_set import open_set_scores
from tapetum.evaluation.calibration.pair_counts import LEVELS, PairCounts, Pairing, count_pairs
from tapetum.evaluation.calibration.pair_curves import PairCurve
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

HIDDEN = ((1, 2),)
MIDDLES = np.maximum((np.arange(LEVELS) - 0.5) / 4096, 0)


def people(count=24, each=6, seed=0, spread=0.6, unknown=7) -> Embeddings:
    """Some people, seen `each` times by three cameras in both modalities; every `unknown`th row nameless."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((count, 12))
    rows, vectors = [], []
    for number in range(count * each):
        person = number % count
        kind = Modality.INFRARED if rng.random() < 0.5 else Modality.VISIBLE
        name = None if unknown and number % unknown == 0 else person
        rows.append(Tracklet(f"t{number}", (), kind, name, int(rng.integers(1, 4))))
        vectors.append(middles[person] + spread * rng.standard_normal(12))
    array = np.array(vectors, dtype=np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return Embeddings(array, TrackletSet("walkers/test", tuple(rows)), "model-1")


def plain_pairs(embeddings, pairing, same_camera=False, hidden=()):
    """(distance, is one person) of each pair that counts, one by one."""
    found = []
    rows = list(enumerate(embeddings.tracklets))
    for i, a in rows:
        for j, b in rows[i + 1 :]:
            if None in (a.person_id, b.person_id) or Pairing.of(a.modality, b.modality) is not pairing:
                continue
            same = a.person_id == b.person_id
            if same and a.camera_id == b.camera_id and not same_camera:
                continue
            if (a.camera_id, b.camera_id) in hidden or (b.camera_id, a.camera_id) in hidden:
                continue
            dot = float(embeddings.vectors[i].astype(np.float64) @ embeddings.vectors[j].astype(np.float64))
            found.append((1 - dot, same))
    return found


@pytest.mark.parametrize("pairing", list(Pairing))
@pytest.mark.parametrize("rules", [{}, {"same_camera": True}, {"hidden_cameras": HIDDEN}])
def test_counts_equal_a_plain_loop_over_pairs(pairing, rules):
    embeddings = people()
    counts = count_pairs(embeddings, pairing, **rules)
    pairs = plain_pairs(embeddings, pairing, rules.get("same_camera", False), rules.get("hidden_cameras", ()))
    for is_same, found in ((True, counts.same), (False, counts.different)):
        distances = np.array([d for d, same in pairs if same is is_same])
        assert found.sum() == len(distances)
        for threshold in (0.0, 0.1, 0.5, 0.75, 1.0, 1.5, 2.0):  # levels: exact but for rounding of the pairs
            near = np.abs(distances - threshold).min() < 1e-6
            expected = int((distances <= threshold).sum())
            assert near or found[: round(threshold * 4096) + 1].sum() == expected
    own = {p for p in embeddings.tracklets.person_ids if has_pair(embeddings, p, pairing, rules)}
    assert counts.people == len(own)


def has_pair(embeddings, person, pairing, rules):
    own = [row for row, t in enumerate(embeddings.tracklets) if t.person_id == person]
    one = embeddings.rows(own)
    return bool(plain_pairs(one, pairing, rules.get("same_camera", False), rules.get("hidden_cameras", ())))


def by_hand() -> PairCounts:
    """One person at 0.25, 0.5, 0.5, 1.0; two people at 0.5, 1.0, 1.25, 1.25, 1.5."""
    same, different = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
    for level, times in ((1024, 1), (2048, 2), (4096, 1)):
        same[level] = times
    for level, times in ((2048, 1), (4096, 1), (5120, 2), (6144, 1)):
        different[level] = times
    return PairCounts(same, different, 2)


def test_rates_by_hand():
    counts = by_hand()
    assert [counts.false_match_rate(t) for t in (-1, 0.49, 0.5, 1.0, 1.3, 3)] == [0, 0, 0.2, 0.4, 0.8, 1]
    assert [counts.false_non_match_rate(t) for t in (-1, 0.25, 0.5, 0.99, 1.0)] == [1, 0.75, 0.25, 0.25, 0]
    assert counts.threshold_for(0.2) == 1.0 - 1 / 4096
    assert counts.threshold_for(0.0) == 0.5 - 1 / 4096
    assert counts.threshold_for(1.0) == 2.0
    assert counts.equal_error() == (pytest.approx(0.225), 0.5)  # 0.2 and 0.25, the nearest that they come
    assert counts.separation() == pytest.approx((5 + 4.5 + 4.5 + 3.5) / 20)  # of 5 each; ties count half
    assert counts.medians() == (0.5, 1.25)


def test_rates_equal_loops_over_random_pairs():
    rng = np.random.default_rng(1)
    own, other = rng.integers(0, 5000, 300), rng.integers(2000, LEVELS, 700)
    counts = PairCounts(np.bincount(own, minlength=LEVELS), np.bincount(other, minlength=LEVELS))
    for threshold in rng.random(50) * 2:
        assert counts.false_match_rate(threshold) == sum(o / 4096 <= threshold for o in other) / 700
        missed = sum(o / 4096 > threshold for o in own) / 300
        assert counts.false_non_match_rate(threshold) == pytest.approx(missed, abs=1e-15)
    for rate in (0.003, 0.01, 0.2, 0.5):
        threshold = counts.threshold_for(rate)
        assert sum(o / 4096 <= threshold for o in other) / 700 <= rate
        assert sum(o / 4096 <= threshold + 1 / 4096 for o in other) / 700 > rate
    separation = np.mean([(a < b) + 0.5 * (a == b) for a in own.tolist() for b in other.tolist()])
    assert counts.separation() == pytest.approx(separation, abs=1e-12)
    a, b = MIDDLES[own], MIDDLES[other]
    assert counts.d_prime() == pytest.approx((b.mean() - a.mean()) / math.sqrt((a.var() + b.var()) / 2))
    level = min(range(LEVELS), key=lambda k: (round(abs((other <= k).mean() - (own > k).mean()), 12), k))
    expected = ((other <= level).mean() + (own > level).mean()) / 2
    assert counts.equal_error() == (pytest.approx(expected), level / 4096)


def random_counts(seed=0, same=200, different=900) -> PairCounts:
    rng = np.random.default_rng(seed)
    own = np.clip(rng.normal(1400, 500, same), 0, 8192).astype(np.int64)
    other = np.clip(rng.normal(3300, 700, different), 0, 8192).astype(np.int64)
    return PairCounts(np.bincount(own, minlength=LEVELS), np.bincount(other, minlength=LEVELS), 30)


@pytest.mark.parametrize("prior", [0.5, 0.02])
def test_line_is_the_maximum_of_the_likelihood_over_pairs(prior):
    """Platt's loss, pair by pair, minimised by another method."""
    counts = random_counts()
    own, other = np.repeat(MIDDLES, counts.same), np.repeat(MIDDLES, counts.different)
    high, low = (len(own) + 1) / (len(own) + 2), 1 / (len(other) + 2)

    def loss(line):
        total = 0.0
        for distances, target, weight in ((own, high, prior), (other, low, 1 - prior)):
            logit = line[0] + line[1] * distances
            one = target * np.logaddexp(0, -logit) + (1 - target) * np.logaddexp(0, logit)
            total += weight * one.mean()
        return total

    best = optimize.minimize(loss, [0.0, -5.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    found = fit_log_ratio(counts, "logistic", prior)
    assert found.slope == pytest.approx(best.x[1], rel=1e-5)
    assert found.offset == pytest.approx(best.x[0] - math.log(prior / (1 - prior)), rel=1e-5)


def test_steps_are_the_least_squares_of_all_falling_ones():
    """Against scipy's regression, pair by pair, with the same weights and targets."""
    counts, prior = random_counts(3), 0.3
    own, other = np.repeat(MIDDLES, counts.same), np.repeat(MIDDLES, counts.different)
    high, low = (len(own) + 1) / (len(own) + 2), 1 / (len(other) + 2)
    used = np.flatnonzero(counts.same + counts.different)
    weight_own = counts.same[used] * prior / len(own)
    weight_other = counts.different[used] * (1 - prior) / len(other)
    weight = weight_own + weight_other
    target = (weight_own * high + weight_other * low) / weight
    expected = optimize.isotonic_regression(target, weights=weight, increasing=False).x
    found = fit_log_ratio(counts, "isotonic", prior)
    shift = math.log(prior / (1 - prior))
    probability = 1 / (1 + np.exp(-(found(used / 4096) + shift)))
    np.testing.assert_allclose(probability, expected, atol=1e-12)


def test_known_log_ratio_is_found_again():
    """Distances from two normal distributions of equal spread: their log ratio is a line, known exactly."""
    rng = np.random.default_rng(5)
    spread, near, far = 0.2, 0.6, 1.2
    counts = []
    for mean in (near, far):
        levels = np.ceil(np.clip(rng.normal(mean, spread, 40_000), 0, 2) * 4096).astype(np.int64)
        counts.append(np.bincount(levels, minlength=LEVELS))
    found = fit_log_ratio(PairCounts(*counts), "logistic", 0.5)
    assert found.slope == pytest.approx(-(far - near) / spread**2, rel=0.03)
    assert found(0.9) == pytest.approx(0.0, abs=0.1)
    steps = fit_log_ratio(PairCounts(*counts), "isotonic", 0.5)
    for distance in (0.75, 0.9, 1.05):
        assert steps(distance) == pytest.approx(-(far - near) / spread**2 * (distance - 0.9), abs=0.5)


def test_probability_and_prior_by_hand():
    """At the middle of two equal distributions the evidence is 0, so the probability is the prior."""
    same, different = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
    same[[1000, 3000]], different[[1000, 3000]] = [300, 100], [100, 300]
    counts = PairCounts(same, different, 30)
    curve = PairCurve(Pairing.CROSS, fit_log_ratio(counts, "logistic", 0.5), 0.5, counts, counts)
    middle = (MIDDLES[1000] + MIDDLES[3000]) / 2
    assert curve.probability(middle) == pytest.approx(0.5)
    assert curve.probability(middle, prior=0.1) == pytest.approx(0.1)
    target = (0.75 * 401 / 402 + 0.25 / 402), (0.25 * 401 / 402 + 0.75 / 402)
    assert curve.probability(MIDDLES[1000]) == pytest.approx(target[0])
    assert curve.probability(MIDDLES[3000]) == pytest.approx(target[1])
    odds = target[0] / (1 - target[0]) * (0.01 / 0.99)
    assert curve.probability(MIDDLES[1000], prior=0.01) == pytest.approx(odds / (1 + odds))


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
@pytest.mark.parametrize("prior", [0.5, 0.1])
def test_reliability_equals_a_plain_loop_over_judged_pairs(kind, prior):
    judged = random_counts(8)
    curve = PairCurve(Pairing.CROSS, fit_log_ratio(random_counts(7), kind, 0.5), 0.5, judged, judged)
    found = curve.reliability(prior=prior, bins=7)
    pairs = [(d, True) for d in np.repeat(MIDDLES, judged.same)]
    pairs += [(d, False) for d in np.repeat(MIDDLES, judged.different)]
    weights = {True: prior / 200, False: (1 - prior) / 900}
    total, error = 0.0, 0.0
    for low in range(7):
        inside = [(float(curve.probability(d, prior=prior)), same) for d, same in pairs]
        inside = [(p, same) for p, same in inside if min(int(p * 7), 6) == low]
        assert found.pairs[low] == len(inside)
        weight = sum(weights[same] for _, same in inside)
        assert found.weight[low] == pytest.approx(weight, abs=1e-12)
        if inside:
            predicted = sum(weights[same] * p for p, same in inside) / weight
            observed = sum(weights[same] for _, same in inside if same) / weight
            assert found.predicted[low] == pytest.approx(predicted, abs=1e-12)
            assert found.observed[low] == pytest.approx(observed, abs=1e-12)
            error += weight * abs(predicted - observed)
        total += weight
    assert total == pytest.approx(1)
    assert found.expected_error == pytest.approx(error, abs=1e-12)


def test_probabilities_hold_on_people_who_were_not_learnt_from():
    curve = calibrate(people(count=160, each=8, spread=1.0, unknown=0), kind="logistic").curve()
    assert curve.reliability().expected_error < 0.05


def plain_open_set(embeddings, trial, gone, rates):
    """DIR and threshold at each rate, query by query."""
    with_mate, without = [], []
    for q in trial.query:
        own = embeddings.tracklets[int(q)]
        if own.person_id is None:
            continue
        best, mates = None, 0
        for g in trial.gallery:
            item = embeddings.tracklets[int(g)]
            if item.person_id in gone or (own.camera_id, item.camera_id) in trial.hidden_cameras:
                continue
            same = item.person_id == own.person_id
            if same and item.camera_id == own.camera_id and not trial.same_camera:
                continue
            mates += same
            distance = 1 - float(embeddings.vectors[q] @ embeddings.vectors[g])
            if best is None or distance < best[0]:
                best = distance, same
        (with_mate if mates else without).append(best)
    strangers = sorted(d for d, _ in without)
    found = []
    for rate in rates:
        limits = [*strangers, math.inf]
        limit = max(t for t in limits if sum(d < t for d in strangers) / len(strangers) <= rate + 1e-12)
        found.append((sum(d < limit and same for d, same in with_mate) / len(with_mate), limit))
    return found, sum(same for _, same in with_mate) / len(with_mate), len(with_mate), len(without)


@pytest.mark.parametrize("rules", [{}, {"same_camera": True}, {"hidden_cameras": HIDDEN}])
def test_open_set_rates_equal_a_plain_loop(rules):
    embeddings = people(spread=0.9)
    trial = Trial("t", np.arange(0, 60), np.arange(60, 144), **rules)
    rates = (0.0, 0.05, 0.1, 0.29, 1.0)
    found = open_set_scores(embeddings, trial, share=0.4, false_alarm_rates=rates, draws=3, seed=5)
    gallery = embeddings.rows(trial.gallery).tracklets
    for draw in range(3):
        gone, _ = split_people(gallery, share=0.4, seed=5 + draw)
        expected, closed, mates, strangers = plain_open_set(embeddings, trial, gone, rates)
        assert found.rates[draw] == pytest.approx([r for r, _ in expected])
        assert found.thresholds[draw] == pytest.approx([t for _, t in expected], abs=1e-6)
        assert found.closed[draw] == pytest.approx(closed)
        assert (found.with_mate[draw], found.without_mate[draw]) == (mates, strangers)
    assert found.rates[:, -1] == pytest.approx(found.closed)


def test_open_set_by_hand():
    """Persons 1 and 2 in the gallery at 0 and 90 degrees; whoever is taken out, the other one is left.

    Queries of the one who is left at 10 and 30 degrees from the own item, of the other at 60 and 80 degrees.
    """
    angles = np.deg2rad([0, 90, 10, 30, 80, 60])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rows = tuple(
        Tracklet(str(n), (), Modality.VISIBLE, person, None) for n, person in enumerate([1, 2, 1, 1, 2, 2])
    )
    embeddings = Embeddings(vectors, TrackletSet("hand", rows))
    found = open_set_scores(
        embeddings, Trial("t", np.arange(2, 6), np.arange(2)), false_alarm_rates=(0.0, 0.5, 1.0), draws=4
    )
    assert found.with_mate.tolist() == found.without_mate.tolist() == [2] * 4
    np.testing.assert_array_equal(found.rates, 1.0)
    limits = 1 - np.cos(np.deg2rad([60, 80]))
    np.testing.assert_allclose(found.thresholds[:, :2], [limits] * 4, atol=1e-6)
    assert np.isinf(found.thresholds[:, 2]).all()
    assert [found.is_resolved(r) for r in (0.0, 0.5, 1.0)] == [False, True, True]


def test_probe_at_the_distance_of_a_stranger_is_not_answered():
    """One query is as far from the only item left as the other, a stranger: both or none are answered."""
    half = np.sqrt(np.float32(0.5))
    vectors = np.array([[1, 0], [-1, 0], [half, half], [half, -half]], dtype=np.float32)
    rows = tuple(Tracklet(str(n), (), Modality.VISIBLE, p, None) for n, p in enumerate([1, 2, 1, 2]))
    embeddings = Embeddings(vectors, TrackletSet("hand", rows))
    trial = Trial("t", np.arange(2, 4), np.arange(2))
    found = open_set_scores(embeddings, trial, false_alarm_rates=(0.0, 0.99, 1.0), draws=4)
    assert found.rates.tolist() == [[0.0, 0.0, 1.0]] * 4
