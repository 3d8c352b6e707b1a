"""The rules of a trial, on the worked example: a gallery of eight images under each rule of the field."""

import numpy as np
import pytest

from tapetum.evaluation import Trial, evaluate, score_distances
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

GALLERY = ((5, 1), (7, 2), (5, 4), (9, 2), (7, 4), (9, 1), (7, 1), (4, 5))
QUERIES = ((7, 3), (9, 6), (8, 6))
SECOND = ((9, 2), (4, 5), (5, 1), (7, 1), (9, 1), (7, 2), (5, 4), (7, 4))
"""The gallery in the order in which the second query sees it."""

EVERYBODY = TrackletSet(
    "example",
    tuple(Tracklet(str(row), (), Modality.VISIBLE, p, c) for row, (p, c) in enumerate((*QUERIES, *GALLERY))),
)
PLACE = {g: place for place, g in enumerate(SECOND)}
DISTANCES = np.array([range(8), [PLACE[g] for g in GALLERY], range(8)], dtype=np.float64)


def trial(queries=(0, 1, 2), **rules) -> Trial:
    return Trial("example", np.array(queries), np.arange(3, 11), **rules)


def score(chosen, people=None, max_rank=8):
    rows = np.asarray(chosen.query)
    ids = [EVERYBODY[int(row)].person_id for row in rows] if people is None else people
    return score_distances(
        DISTANCES[rows],
        ids,
        [p for p, _ in GALLERY],
        leave_out=chosen.left_out(EVERYBODY),
        count=chosen.count,
        max_rank=max_rank,
    )


SYSU = {"same_camera": True, "count": "identities", "hidden_cameras": ((3, 2),)}


def test_sysu_rule():
    found = score(trial(**SYSU), max_rank=4)
    assert found.cmc.tolist() == [0.5, 1, 1, 1]
    assert found.average_precision[:2] == pytest.approx([11 / 30, 0.7], abs=1e-15)
    assert found.mean_ap == pytest.approx(0.5333333333333333, abs=1e-15)
    assert found.mean_inp == pytest.approx(0.4, abs=1e-15)
    assert (found.first_rank.tolist(), found.queries, found.skipped) == ([2, 1, 0], 2, 1)
    assert score(trial(**{**SYSU, "count": "images"})).first_rank.tolist() == [3, 1, 0]
    assert score(trial(**SYSU)).cmc.tolist() == [0.5] + [1.0] * 7  # peers stop here: rows of unequal length


@pytest.mark.parametrize(
    ("rules", "camera", "first_rank", "average_precision", "inp"),
    [
        ({"same_camera": True}, 3, 2, 31 / 70, 3 / 7),
        ({"same_camera": False, "count": "identities"}, 4, 2, 5 / 12, 1 / 3),
        ({"same_camera": False, "count": "images"}, 4, 2, 5 / 12, 1 / 3),
        ({"same_camera": True, "count": "identities"}, 4, 2, 31 / 70, 3 / 7),
    ],
)
def test_other_rules_on_the_first_query(rules, camera, first_rank, average_precision, inp):
    """RegDB, LLCM, Market-1501 style; the first query moved to camera 4 for the latter two."""
    moved = Tracklet("0", (), Modality.VISIBLE, 7, camera)
    people = TrackletSet("moved", (moved, *EVERYBODY[1:]))
    left_out = trial((0,), **rules).left_out(people)
    expected = [not rules["same_camera"] and g == (7, camera) for g in GALLERY]
    assert left_out.tolist() == [expected]
    found = score_distances(
        DISTANCES[:1], [7], [p for p, _ in GALLERY], leave_out=left_out, count=rules.get("count", "images")
    )
    assert found.first_rank.tolist() == [first_rank]
    assert found.mean_ap == pytest.approx(average_precision, abs=1e-15)
    assert found.mean_inp == pytest.approx(inp, abs=1e-15)


def test_the_mask_is_what_is_left_out_of_scores():
    rng = np.random.default_rng(0)
    rows = tuple(
        Tracklet(str(n), (), Modality.VISIBLE, int(rng.integers(4)) or None, (None, 1, "1", 3)[n % 4])
        for n in range(60)
    )
    tracklets = TrackletSet("many", rows)
    embeddings = Embeddings(rng.integers(-3, 4, (60, 5)).astype(np.float32), tracklets)
    for hidden in ((), ((3, 1), (3, "1"), ("1", 3))):
        for same_camera in (True, False):
            chosen = Trial("t", np.arange(20), np.arange(20, 60), same_camera, hidden_cameras=hidden)

            class One:
                name = "one"

                def trials(self, tracklets, seed=0, root=None, chosen=chosen):
                    return [chosen]

            found = evaluate(embeddings, One()).results[0].scores
            distance = -embeddings.vectors[:20] @ embeddings.vectors[20:].T
            ids = [t.person_id for t in rows]
            expected = score_distances(distance, ids[:20], ids[20:], leave_out=chosen.left_out(tracklets))
            assert found.to_json() == expected.to_json()
            loop = [
                [
                    (not same_camera and q.person_id == g.person_id and q.camera_id == g.camera_id
                     and None not in (q.person_id, q.camera_id)) or (q.camera_id, g.camera_id) in hidden
                    for g in rows[20:]
                ]
                for q in rows[:20]
            ]  # fmt: skip
            assert chosen.left_out(tracklets).tolist() == loop


def test_what_must_change_nothing():
    """Queries in another order, a tie-free gallery in another order, any increasing function of distances."""
    rng = np.random.default_rng(1)
    query, gallery = rng.integers(0, 9, 40), rng.integers(0, 8, 120)
    distance = rng.permutation(40 * 120).reshape(40, 120) / 7.0
    leave_out = rng.random(distance.shape) < 0.1
    for count in ("images", "identities"):
        expected = score_distances(distance, query, gallery, leave_out=leave_out, count=count)
        rows, columns = rng.permutation(40), rng.permutation(120)
        for d, q, g, out in (
            (distance[rows], query[rows], gallery, leave_out[rows]),
            (distance[:, columns], query, gallery[columns], leave_out[:, columns]),
            (np.exp(distance / 700), query, gallery, leave_out),
            (distance**3 - 5, query, gallery, leave_out),
        ):
            found = score_distances(d, q, g, leave_out=out, count=count)
            assert found.cmc.tolist() == expected.cmc.tolist()
            assert (found.queries, found.skipped) == (expected.queries, expected.skipped)
            assert found.mean_ap == pytest.approx(expected.mean_ap, abs=1e-14)
            assert found.mean_inp == pytest.approx(expected.mean_inp, abs=1e-14)


def test_counting_people_does_not_see_images_that_are_doubled():
    rng = np.random.default_rng(2)
    distance, gallery = rng.random((30, 60)), rng.integers(0, 6, 60)
    doubled = np.flatnonzero(gallery == 5)
    twice = np.concatenate([distance, distance[:, doubled]], axis=1)
    ids = np.concatenate([gallery, gallery[doubled]])
    query = rng.integers(0, 5, 30)  # person 5 is nobody's match
    by_people = [
        score_distances(d, query, g, count="identities") for d, g in ((distance, gallery), (twice, ids))
    ]
    by_images = [score_distances(d, query, g) for d, g in ((distance, gallery), (twice, ids))]
    assert by_people[0].cmc.tolist() == by_people[1].cmc.tolist()
    assert (by_images[1].cmc <= by_images[0].cmc).all()
    assert by_images[1].mean_ap < by_images[0].mean_ap
    assert by_images[1].mean_inp < by_images[0].mean_inp
