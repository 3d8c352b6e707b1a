import json
from dataclasses import replace

import numpy as np
import pytest

from tapetum.errors import ModelMismatchError
from tapetum.evaluation import evaluate
from tapetum.evaluation.diagnosis.diagnosis import diagnose
from tapetum.evaluation.evaluate import Reranking
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def walkers(people=12, cameras=(1, 2, 3, 4), seed=0, noise=0.8, bad=(), each=2) -> Embeddings:
    """Everybody in each camera; the latter half of the cameras is infrared and asks."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((people, 16))
    rows, vectors = [], []
    for place, camera in enumerate(cameras * each):
        infrared = place % len(cameras) >= len(cameras) / 2
        for person in range(people):
            kind = Modality.INFRARED if infrared else Modality.VISIBLE
            name, part = f"{camera}-{place}-{person}", "query" if infrared else "gallery"
            rows.append(Tracklet(name, (), kind, person, camera, None, part))
            strength = noise * (3 if camera in bad else 1)
            vectors.append(middles[person] + strength * rng.standard_normal(16))
    array = np.array(vectors, dtype=np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return Embeddings(array, TrackletSet("hitsz-vcm/test", tuple(rows)), "model-1")


def diagnosed(embeddings, **arguments):
    return diagnose(embeddings, evaluate(embeddings, "hitsz-vcm"), **{"samples": 50, **arguments})


def test_rows_come_in_order_with_everything_first():
    found = diagnosed(walkers())
    assert found.directions == ("I2V", "V2I")
    assert [(r.query, r.gallery) for r in found.of("I2V")] == [
        (q, g) for q in (None, 3, 4) for g in (None, 1, 2)
    ]
    modalities = [(r.direction, r.query, r.gallery) for r in found.modalities]
    assert modalities[:4] == [("I2V", q, g) for q in (None, "infrared") for g in (None, "visible")]
    assert {(w.query, w.answer) for w in found.wrong_answers if w.direction == "V2I"} <= {
        (q, g) for q in (1, 2) for g in (3, 4)
    }
    assert found.has_several_cameras
    assert not diagnosed(walkers(cameras=(1, 2))).has_several_cameras


def test_intervals_hold_their_value_and_follow_the_seed():
    embeddings = walkers(noise=1.5)
    found = diagnosed(embeddings, seed=1)
    for row in found.cameras:
        for interval in (row.rank_1, row.mean_ap, row.separation):
            assert interval.low <= interval.value <= interval.high
    assert diagnosed(embeddings, seed=1).to_json() == found.to_json()
    assert diagnosed(embeddings, seed=2).cameras != found.cameras


def test_few_people_are_flagged_and_give_no_finding():
    embeddings = walkers(people=9, bad=(2,), each=4)
    found = diagnosed(embeddings)
    assert not any(row.is_enough for row in found.cameras)
    assert found.findings == ()
    embeddings = walkers(people=40, bad=(2,), each=2)
    found = diagnosed(embeddings)
    assert all(row.is_enough for row in found.cameras)
    assert {(f.direction, f.kind, f.query or f.gallery) for f in found.findings} >= {
        ("I2V", "gallery camera", 2),
        ("V2I", "query camera", 2),
    }


def test_modality_that_is_found_less_well_is_named():
    rng = np.random.default_rng(0)
    visible = walkers(people=40, cameras=(1, 2, 3, 4))
    noisy = [t.modality is Modality.INFRARED for t in visible.tracklets]
    vectors = visible.vectors + 0.45 * rng.standard_normal(visible.vectors.shape) * np.array(noisy)[:, None]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    mixed = replace(visible, vectors=vectors, tracklets=TrackletSet("own/test", visible.tracklets.tracklets))
    found = diagnose(mixed, evaluate(mixed, AllAgainstAll()), samples=20)
    pairs = {(f.query, f.gallery) for f in found.findings if f.kind == "modality pair"}
    assert ("visible", "infrared") in pairs
    assert ("infrared", "visible") not in pairs


class AllAgainstAll:
    """Every tracklet searches among all of them."""

    name = "all-against-all"

    def trials(self, tracklets, seed=0, root=None):
        from tapetum.evaluation import Trial

        every = np.arange(len(tracklets))
        return [Trial("all", every, every)]


def test_json_is_plain_and_without_nan():
    found = diagnosed(walkers(people=1, each=1, cameras=(1, 2)))
    assert all(np.isnan(row.separation.value) for row in found.cameras)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["cameras"][0]["separation"] == {"value": None, "low": None, "high": None}
    assert content["cameras"][0]["rank_1"]["value"] == 1.0
    content = json.loads(json.dumps(diagnosed(walkers(people=40, bad=(2,))).to_json(), allow_nan=False))
    assert {"kind", "text", "difference", "weight"} <= content["findings"][0].keys()


def test_camera_named_by_text_and_number_and_unknown():
    embeddings = walkers(people=10, cameras=("gate", 0, None, "yard"))
    found = diagnosed(embeddings)
    assert [r.gallery for r in found.of("I2V")[:3]] == [None, 0, "gate"]
    assert [r.query for r in found.of("I2V")[::3]] == [None, "yard"]


def test_evaluations_of_something_else_are_refused():
    embeddings = walkers()
    evaluation = evaluate(embeddings, "hitsz-vcm")
    with pytest.raises(ModelMismatchError, match=r"evaluation is of model model-1, .* of model \(unknown\)"):
        diagnose(replace(embeddings, model=""), evaluation)
    renamed = replace(embeddings, tracklets=TrackletSet("other/test", embeddings.tracklets.tracklets))
    with pytest.raises(ValueError, match="evaluation is of hitsz-vcm/test, the embeddings are of other/test"):
        diagnose(renamed, evaluation)
    with pytest.raises(ValueError, match="without re-ranking"):
        diagnose(embeddings, replace(evaluation, reranking=Reranking()))


def test_numbers_out_of_range_and_rows_without_direction():
    embeddings = walkers()
    evaluation = evaluate(embeddings, "hitsz-vcm")
    with pytest.raises(ValueError, match="level is 1"):
        diagnose(embeddings, evaluation, level=1)
    with pytest.raises(ValueError, match="samples is 0"):
        diagnose(embeddings, evaluation, samples=0)
    broken = replace(embeddings, vectors=embeddings.vectors * np.float32(2))
    with pytest.raises(ValueError, match=r"tracklet '1-0-0' \(row 0\) has length 2; expected 1 \(96 of 96"):
        diagnose(broken, evaluation)
