import json

import numpy as np
import pytest

from tapetum.errors import NoMatchError
from tapetum.evaluation import Protocol, Trial, chance_scores, evaluate, score_embeddings
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def make(people=(0, 1, 2, 0, 1, 2, 3), parts=("query",) * 3 + ("gallery",) * 4) -> Embeddings:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(people), 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(
        Tracklet(
            str(n),
            (),
            Modality.INFRARED if part == "query" else Modality.VISIBLE,
            person_id=person,
            camera_id=2 if part == "query" else 1,
            part=part,
        )
        for n, (person, part) in enumerate(zip(people, parts, strict=True))
    )
    return Embeddings(vectors, TrackletSet("small", rows), "print")


class ByPeople(Protocol):
    name = "by-people"

    def trials(self, tracklets, seed=0):
        return [Trial(f"draw {seed}", np.arange(3), np.arange(3, 7), same_camera=True, count="identities")]


def test_every_direction_is_scored():
    embeddings = make()
    found = evaluate(embeddings, "hitsz-vcm")
    query, gallery = embeddings.rows(range(3)), embeddings.rows(range(3, 7))
    assert list(found.scores) == ["I2V", "V2I"]
    assert found.scores["I2V"].to_json() == score_embeddings(query, gallery).to_json()
    assert found.scores["V2I"].to_json() == score_embeddings(gallery, query).to_json()
    assert (found.scores["V2I"].queries, found.scores["V2I"].skipped) == (3, 1)
    chance = chance_scores(query.tracklets, gallery.tracklets)
    assert found.results[0].chance.to_json() == chance.to_json()


def test_rules_of_the_trial_and_the_seed_are_used():
    embeddings = make()
    found = evaluate(embeddings, ByPeople(), seed=5, max_rank=3)
    expected = score_embeddings(
        embeddings.rows(range(3)),
        embeddings.rows(range(3, 7)),
        same_camera=True,
        count="identities",
        max_rank=3,
    )
    assert (found.protocol, found.seed, found.results[0].name) == ("by-people", 5, "draw 5")
    assert found.results[0].scores.to_json() == expected.to_json()
    assert found.results[0].chance is None


def test_json_is_as_documented():
    found = json.loads(json.dumps(evaluate(make(), "hitsz-vcm").to_json()))
    trials = found.pop("trials")
    assert found == {
        "format_version": 1,
        "protocol": "hitsz-vcm",
        "data": "small",
        "model": "print",
        "seed": 0,
    }
    sizes_and_rules = {"trial", "query_size", "gallery_size", "same_camera", "count"}
    numbers = {"mean_ap", "mean_inp", "cmc", "queries", "skipped"}
    assert [set(trial) for trial in trials] == [sizes_and_rules | numbers | {"chance"}] * 2
    assert set(trials[0]["chance"]) == numbers
    first = trials[0]
    assert (first["trial"], first["query_size"], first["gallery_size"]) == ("I2V", 3, 4)
    assert (first["same_camera"], first["count"], len(first["cmc"])) == (False, "images", 20)


def test_a_trial_without_any_match_is_named():
    with pytest.raises(NoMatchError, match="I2V: none of 3 queries"):
        evaluate(make(people=(10, 11, 12, 0, 1, 2, 3)), "hitsz-vcm")


def test_an_unknown_protocol_is_named():
    with pytest.raises(ValueError, match=r"unknown protocol 'hitsz'.*hitsz-vcm"):
        evaluate(make(), "hitsz")
