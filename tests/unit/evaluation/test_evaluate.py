import json
from dataclasses import replace

import numpy as np
import pytest

from tapetum.errors import ModelMismatchError, NoMatchError
from tapetum.evaluation import Protocol, Trial, chance_scores, combine, evaluate, score_embeddings
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

    def trials(self, tracklets, seed=0, root=None):
        return [Trial(f"draw {seed}", np.arange(3), np.arange(3, 7), same_camera=True, count="identities")]


class Turns(Protocol):
    """Two trials of one direction, one of another; infrared queries do not see camera 1."""

    name = "turns"

    def trials(self, tracklets, seed=0, root=None):
        query, gallery = np.arange(3), np.arange(3, 7)
        kept = {"same_camera": True}
        return [
            Trial("I2V 1", query, gallery[:3], **kept, direction="I2V"),
            Trial("V2I", gallery, query, **kept, hidden_cameras=((1, 9),)),
            Trial("I2V 2", query, gallery[1:], **kept, direction="I2V"),
        ]


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
    trials, directions = found.pop("trials"), found.pop("directions")
    assert found == {
        "format_version": 1,
        "protocol": "hitsz-vcm",
        "data": "small",
        "model": "print",
        "seed": 0,
        "reranking": None,
    }
    names = {"trial", "direction", "data", "model"}
    sizes_and_rules = {"query_size", "gallery_size", "same_camera", "hidden_cameras", "count"}
    numbers = {"mean_ap", "mean_inp", "cmc", "queries", "skipped"}
    assert [set(trial) for trial in trials] == [names | sizes_and_rules | numbers | {"chance"}] * 2
    assert set(trials[0]["chance"]) == numbers
    first = trials[0]
    assert (first["trial"], first["query_size"], first["gallery_size"]) == ("I2V", 3, 4)
    assert (first["same_camera"], first["count"], len(first["cmc"])) == (False, "images", 20)
    assert (first["data"], first["model"], first["hidden_cameras"]) == ("small", "print", [])
    assert list(directions) == ["I2V", "V2I"]
    assert set(directions["I2V"]) == numbers | {"trials", "deviations", "chance"}
    assert set(directions["I2V"]["chance"]) == numbers | {"trials", "deviations"}
    assert {name: directions["I2V"][name] for name in numbers} == {name: first[name] for name in numbers}


def test_trials_of_a_direction_are_averaged():
    found = evaluate(make(), Turns(), max_rank=4)
    assert list(found.directions) == ["I2V", "V2I"]
    assert list(found.scores) == ["I2V 1", "V2I", "I2V 2"]
    one, two = found.scores["I2V 1"], found.scores["I2V 2"]
    mean = found.directions["I2V"]
    assert mean.trials == 2
    assert mean.mean_ap == pytest.approx((one.mean_ap + two.mean_ap) / 2, abs=1e-15)
    assert mean.deviations.mean_ap == pytest.approx(abs(one.mean_ap - two.mean_ap) / 2**0.5, abs=1e-15)
    chance = [r.chance.mean_ap for r in found.results if r.direction == "I2V"]
    assert found.chance["I2V"].mean_ap == pytest.approx(sum(chance) / 2, abs=1e-15)
    written = json.loads(json.dumps(found.to_json()))
    assert written["directions"]["I2V"]["deviations"]["mean_ap"] == mean.deviations.mean_ap
    assert written["directions"]["V2I"]["deviations"] is None
    assert written["trials"][1]["hidden_cameras"] == [[1, 9]]
    assert evaluate(make(), ByPeople()).chance == {"draw 0": None}


def test_evaluations_of_several_models_are_averaged():
    first, second = evaluate(make(), Turns()), evaluate(replace(make(), model="other"), Turns())
    both = combine([first, second])
    assert list(both.scores) == [f"{name}, run {run}" for run in (1, 2) for name in ("I2V 1", "V2I", "I2V 2")]
    assert {name: found.trials for name, found in both.directions.items()} == {"I2V": 4, "V2I": 2}
    assert (both.data, both.model) == ("small", "print, other")
    assert [r.model for r in both.results] == ["print"] * 3 + ["other"] * 3
    assert combine([first]).to_json() == first.to_json()


def test_what_is_not_averaged():
    with pytest.raises(ValueError, match="given: turns, seed 0, None; hitsz-vcm, seed 0, None"):
        combine([evaluate(make(), Turns()), evaluate(make(), "hitsz-vcm")])
    with pytest.raises(ValueError, match="given: none"):
        combine([])


def regdb(trial, trained_on) -> Embeddings:
    embeddings = make()
    named = TrackletSet(f"regdb?trial={trial}/test", embeddings.tracklets.tracklets)
    return replace(embeddings, tracklets=named, trained_on=trained_on)


def test_one_model_for_each_trial_of_regdb():
    both = combine([evaluate(regdb(t, f"regdb?trial={t}"), "regdb") for t in (2, 10)])
    assert list(both.scores) == ["V2I 2", "I2V 2", "V2I 10", "I2V 10"]
    assert {name: found.trials for name, found in both.directions.items()} == {"V2I": 2, "I2V": 2}
    assert both.data == "regdb?trial=2/test, regdb?trial=10/test"


@pytest.mark.parametrize("protocol", ["regdb", "regdb/by-person", "manifest"])
def test_a_model_is_not_scored_on_people_that_it_was_trained_on(protocol):
    message = (
        r"trained on regdb\?trial=3, and people of that training half .* of regdb\?trial=1: .* test part of"
    )
    with pytest.raises(ModelMismatchError, match=message):
        evaluate(regdb(1, "regdb?trial=3"), protocol)


@pytest.mark.parametrize(
    "trained_on", ["", "regdb?trial=1", "sysu-mm01?train=train", "llcm", "manifest?trial=3"]
)
def test_models_of_other_data_are_scored(trained_on):
    assert evaluate(regdb(1, trained_on), "regdb").directions["V2I"].queries == 3


@pytest.mark.parametrize(("trained_on", "warnings"), [("manifest?seed=1", 0), ("manifest?seed=2", 1)])
def test_another_split_of_a_manifest_is_warned_of(caplog, trained_on, warnings):
    embeddings = make()
    named = TrackletSet("manifest?seed=1/test", embeddings.tracklets.tracklets)
    evaluate(replace(embeddings, tracklets=named, trained_on=trained_on), "manifest")
    assert len([r for r in caplog.records if "may have seen these people" in r.getMessage()]) == warnings


def test_a_trial_without_any_match_is_named():
    with pytest.raises(NoMatchError, match="I2V: none of 3 queries"):
        evaluate(make(people=(10, 11, 12, 0, 1, 2, 3)), "hitsz-vcm")


def test_an_unknown_protocol_is_named():
    with pytest.raises(ValueError, match=r"unknown protocol 'hitsz'.*hitsz-vcm"):
        evaluate(make(), "hitsz")
