"""A diagnosis against plain loops over queries and gallery, and against failures that were planted."""

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tapetum.evaluation import Evaluation, Trial, TrialResult, score_embeddings
from tapetum.evaluation.diagnosis._comparisons import Group, compare
from tapetum.evaluation.diagnosis.diagnosis import diagnose
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def walkers(people=30, cameras=4, each=2, seed=0, noise=0.8, bad=(), drawn=(), unknown=0) -> Embeddings:
    """Everybody in every camera `each` times, infrared from the middle camera on.

    Tracklets of cameras in `bad` are noisier; those of cameras in `drawn` share a direction.
    """
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((people, 24))
    pull = 2.5 * rng.standard_normal(24)
    rows, vectors = [], []
    for number in range(people * cameras * each):
        person, camera = number % people, number // people % cameras + 1
        kind = Modality.INFRARED if camera > cameras / 2 else Modality.VISIBLE
        name = None if unknown and number % unknown == 0 else person
        rows.append(Tracklet(f"t{number}", (), kind, name, camera))
        strength = noise * (2.5 if camera in bad else 1)
        vectors.append(middles[person] + strength * rng.standard_normal(24) + pull * (camera in drawn))
    array = np.array(vectors, dtype=np.float32)
    array[5] = array[10]  # a tie
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return Embeddings(array, TrackletSet("walkers/test", tuple(rows)), "model-1")


def evaluated(embeddings, *trials) -> Evaluation:
    results = []
    for trial in trials:
        query, gallery = embeddings.rows(trial.query), embeddings.rows(trial.gallery)
        rules = {"same_camera": trial.same_camera, "hidden_cameras": trial.hidden_cameras}
        results.append(TrialResult(trial, score_embeddings(query, gallery, **rules), None))
    return Evaluation("own", "walkers/test", "model-1", 0, tuple(results))


def everybody(embeddings, **rules) -> Trial:
    """Each tracklet searches among all the others that the rules leave."""
    every = np.arange(len(embeddings))
    return Trial("all", every, every, **rules)


def plain_row(embeddings, trial, query_camera, gallery_camera):
    """Everything that a row says, pair by pair."""
    hits, precisions, separations, chances, near, far, people = [], [], [], [], [], [], set()
    for q in trial.query:
        own = embeddings.tracklets[int(q)]
        if query_camera is not None and own.camera_id != query_camera:
            continue
        ranked = []
        for g in trial.gallery:
            item = embeddings.tracklets[int(g)]
            same = own.person_id is not None and item.person_id == own.person_id
            if gallery_camera is not None and item.camera_id != gallery_camera:
                continue
            if same and item.camera_id == own.camera_id and not trial.same_camera:
                continue
            if (own.camera_id, item.camera_id) in trial.hidden_cameras:
                continue
            distance = float(1 - np.float64(embeddings.vectors[q]) @ np.float64(embeddings.vectors[g]))
            ranked.append((round(distance, 6), same))
            (near if same else far).append(distance)
        ranked.sort(key=lambda pair: pair[0])
        true = [place for place, (_, same) in enumerate(ranked, start=1) if same]
        if not true:
            continue
        people.add(own.person_id)
        hits.append(ranked[0][1])
        precisions.append(sum(n / place for n, place in enumerate(true, start=1)) / len(true))
        chances.append(len(true) / len(ranked))
        others = len(ranked) - len(true)
        if others:
            wrong = sum(place - n for n, place in enumerate(true, start=1))
            separations.append(1 - wrong / (len(true) * others))
    return hits, precisions, separations, chances, near, far, people


RULES = [{}, {"same_camera": True}, {"hidden_cameras": ((1, 2), (3, 4), (3, 3))}]


@pytest.mark.parametrize("rules", RULES)
def test_rows_equal_plain_loops(rules):
    embeddings = walkers(people=9, unknown=11)
    trial = everybody(embeddings, **rules)
    evaluation = evaluated(embeddings, trial)
    found = diagnose(embeddings, evaluation, samples=20)
    assert len(found.cameras) == 25
    for row in found.cameras:
        expected = plain_row(embeddings, trial, row.query, row.gallery)
        hits, precisions, separations, chances, near, far, people = expected
        assert (row.queries, row.people) == (len(hits), len(people))
        if not hits:
            assert math.isnan(row.mean_ap.value)
            continue
        assert row.rank_1.value == pytest.approx(statistics.mean(hits))
        assert row.mean_ap.value == pytest.approx(statistics.mean(precisions))
        assert row.separation.value == pytest.approx(statistics.mean(separations))
        assert row.chance_rank_1 == pytest.approx(statistics.mean(chances))
        assert row.same_distance == pytest.approx(statistics.median_low(near), abs=1 / 256)
        assert row.different_distance == pytest.approx(statistics.median_low(far), abs=1 / 256)
        spread = math.sqrt((statistics.pvariance(near) + statistics.pvariance(far)) / 2)
        expected = (statistics.mean(far) - statistics.mean(near)) / spread
        assert row.d_prime == pytest.approx(expected, rel=2e-3)
    whole, scores = found.cameras[0], evaluation.results[0].scores
    assert whole.mean_ap.value == pytest.approx(scores.mean_ap)
    assert whole.rank_1.value == pytest.approx(scores.rank(1))


@pytest.mark.parametrize("rules", RULES)
def test_wrong_answers_equal_plain_loops(rules):
    embeddings = walkers(people=9, unknown=11, noise=1.6)
    trial = everybody(embeddings, **rules)
    found = diagnose(embeddings, evaluated(embeddings, trial), samples=5)
    for row in found.wrong_answers:
        errors, came, could = 0, 0, []
        for q in trial.query:
            own = embeddings.tracklets[int(q)]
            if own.camera_id != row.query or own.person_id is None:
                continue
            ranked = []
            for g in trial.gallery:
                item = embeddings.tracklets[int(g)]
                same = item.person_id == own.person_id
                hidden = (own.camera_id, item.camera_id) in trial.hidden_cameras
                if not hidden and (trial.same_camera or not same or item.camera_id != own.camera_id):
                    distance = -float(np.float64(embeddings.vectors[q]) @ np.float64(embeddings.vectors[g]))
                    ranked.append((round(distance, 6), same, item.camera_id))
            ranked.sort(key=lambda one: one[0])
            if any(same for _, same, _ in ranked) and not ranked[0][1]:
                errors += 1
                came += ranked[0][2] == row.answer
                others = [camera for _, same, camera in ranked if not same]
                could.append(others.count(row.answer) / len(others))
        assert row.errors == came
        assert row.share == pytest.approx(came / errors)
        assert row.expected == pytest.approx(sum(could) / errors)


def test_draws_are_averaged():
    embeddings = walkers(people=12)
    rng = np.random.default_rng(0)
    queries = np.arange(48)
    trials = [
        Trial(f"I2V {n}", queries, np.sort(rng.choice(np.arange(48, 96), 30, replace=False)), direction="I2V")
        for n in (1, 2)
    ]
    found = diagnose(embeddings, evaluated(embeddings, *trials), samples=20)
    assert found.directions == ("I2V",)
    for row in found.cameras:
        parts = [plain_row(embeddings, trial, row.query, row.gallery) for trial in trials]
        assert row.queries == sum(len(p[0]) for p in parts) / 2
        means = [statistics.mean(p[1]) for p in parts if p[1]]
        expected = statistics.mean(means) if means else math.nan
        assert row.mean_ap.value == pytest.approx(expected, nan_ok=True)


def test_difference_of_means_by_plain_loops():
    """Linearised variance, person by person; a person may be in both groups."""
    rng = np.random.default_rng(0)
    first = rng.random(30), rng.integers(0, 8, 30).tolist()
    second = rng.random(50), rng.integers(4, 14, 50).tolist()
    found = compare(Group([first[0]], [first[1]]), Group([second[0]], [second[1]]), level=0.9)
    total = 0.0
    people = set(first[1]) | set(second[1])
    for person in people:
        part = 0.0
        for sign, (values, ids) in ((1, first), (-1, second)):
            own = [v for v, i in zip(values, ids, strict=True) if i == person]
            part += sign * (sum(own) - values.mean() * len(own)) / len(values)
        total += part**2
    error = math.sqrt(total * len(people) / (len(people) - 1))
    half = stats.t.ppf(0.95, len(set(first[1])) - 1) * error
    assert found.difference == pytest.approx(first[0].mean() - second[0].mean())
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half))
    assert (found.queries, found.share) == (30, 30 / 80)


def test_difference_covers_the_truth():
    """40 people in both groups, each with a level of their own; the groups differ by nothing."""
    rng = np.random.default_rng(1)
    ids = np.repeat(np.arange(40), 5)
    covered = 0
    for _ in range(300):
        level = rng.normal(0, 1, 40)[ids]
        groups = [
            Group([level + rng.normal(0, 0.5, 40)[ids] + rng.normal(0, 1, 200)], [ids.tolist()])
            for _ in range(2)
        ]
        found = compare(*groups, level=0.9)
        covered += found.low <= 0 <= found.high
    assert 0.85 <= covered / 300 <= 0.95


def test_bad_camera_is_found_on_both_sides_and_first():
    embeddings = walkers(people=40, bad=(3,))
    found = diagnose(embeddings, evaluated(embeddings, everybody(embeddings)), samples=50)
    kinds = {(f.kind, f.query, f.gallery) for f in found.findings}
    assert ("query camera", 3, None) in kinds
    assert ("gallery camera", None, 3) in kinds
    assert {f.query for f in found.findings if f.kind == "query camera"} == {3}
    assert not [f for f in found.findings if f.kind == "camera pair"]  # no pair is worse than camera 3 is
    weights = [f.weight for f in found.findings]
    assert weights == sorted(weights, reverse=True)
    (first,) = [f for f in found.findings if f.kind == "query camera"]
    assert "queries of camera 3 find less: mAP" in first.text
    assert first.comparison.high < 0 < first.comparison.reference - first.comparison.value


def test_pair_of_cameras_that_share_nothing_is_found():
    """Camera 1 sees one half of what tells people apart, camera 4 the other half."""
    embeddings = walkers(people=60)
    vectors = embeddings.vectors.copy()
    lost = np.random.default_rng(99).standard_normal(vectors.shape).astype(np.float32) / math.sqrt(24)
    for camera, half in ((1, slice(0, 12)), (4, slice(12, 24))):
        rows = [row for row, t in enumerate(embeddings.tracklets) if t.camera_id == camera]
        vectors[rows, half] = lost[rows, half]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = replace(embeddings, vectors=vectors)
    found = diagnose(embeddings, evaluated(embeddings, everybody(embeddings)), samples=20)
    pairs = [f for f in found.findings if f.kind == "camera pair"]
    assert {(f.query, f.gallery) for f in pairs} == {(1, 4), (4, 1)}
    for finding in pairs:
        assert abs(finding.comparison.value - 0.5) < 0.1
        assert "than other queries find there" in finding.text


def test_cameras_that_look_alike_are_found_by_wrong_answers():
    """Cameras 1 and 4 give everybody the same look: between cameras, their queries answer each other."""
    embeddings = walkers(people=40, drawn=(1, 4), noise=1.3)
    own = tuple((camera, camera) for camera in range(1, 5))
    found = diagnose(embeddings, evaluated(embeddings, everybody(embeddings, hidden_cameras=own)), samples=50)
    pairs = {(f.query, f.gallery) for f in found.findings if f.kind == "wrong answers"}
    assert (1, 4) in pairs
    assert (4, 1) in pairs
    assert not pairs & {(1, 2), (1, 3), (4, 2), (4, 3)}


def test_embedding_that_knows_the_camera_is_found_by_wrong_answers():
    embeddings = walkers(people=40, noise=1.3)
    looks = 1.2 * np.random.default_rng(3).standard_normal((5, 24)) / math.sqrt(24)
    vectors = embeddings.vectors + looks[[t.camera_id for t in embeddings.tracklets]].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = replace(embeddings, vectors=vectors)
    found = diagnose(embeddings, evaluated(embeddings, everybody(embeddings)), samples=50)
    (own,) = [f for f in found.findings if f.kind == "own camera"]
    assert own.comparison.value > own.comparison.reference + 0.2
    assert "the embedding knows the camera" in own.text


def test_nothing_is_found_where_nothing_is_wrong():
    silent = 0
    for seed in range(12):
        embeddings = walkers(people=30, noise=1.3, seed=seed)
        found = diagnose(embeddings, evaluated(embeddings, everybody(embeddings)), samples=5)
        silent += not found.findings
    assert silent >= 9
