import json

import pytest

from tapetum.evaluation.robustness import Figures, Robustness, figures_of, mean_figures


def trial(direction, mean_ap, rank_1, mean_inp=0.0):
    cmc = [rank_1, *[min(1.0, rank_1 + 0.1 * r) for r in range(1, 20)]]
    return {"direction": direction, "mean_ap": mean_ap, "mean_inp": mean_inp, "cmc": cmc}


def document(*trials, model="m", seed=0, protocol="manifest"):
    return {"protocol": protocol, "data": "d", "model": model, "seed": seed, "trials": list(trials)}


def evaluation(i2v, v2i, **names):
    """An evaluation with these mAPs in two directions; rank-1 is half of them."""
    return document(trial("I2V", i2v, i2v / 2), trial("V2I", v2i, v2i / 2), **names)


MEASURED = {
    ("clean", 0): evaluation(0.8, 0.4),
    ("fog", 1): evaluation(0.8, 0.4),
    ("fog", 5): evaluation(0.4, 0.0),
    ("rain", 1): evaluation(0.6, 0.3),
}


def test_means_over_severities_then_over_corruptions():
    found = Robustness.of([MEASURED], "both")
    assert found.corruptions == ["fog", "rain"]
    assert found.severities == [1, 5]
    assert found.directions == ["I2V", "V2I"]
    assert found.of_corruption("fog", "I2V").mean_ap == pytest.approx(0.6)
    assert found.of_corruption("rain", "I2V").mean_ap == pytest.approx(0.6)
    overall = found.overall("V2I")
    assert overall.mean_ap == pytest.approx((0.2 + 0.3) / 2)  # not (0.4 + 0 + 0.3) / 3
    assert overall.rank_1 == pytest.approx(0.125)
    drop = overall.drop(found.clean["V2I"])
    assert drop.mean_ap == pytest.approx(1 - 0.25 / 0.4)
    with pytest.raises(ValueError, match="no figures"):
        found.of_corruption("snow", "I2V")


def test_all_trials_of_all_models_count_the_same():
    one = document(trial("I2V", 0.2, 0.1), trial("I2V", 0.4, 0.3))
    two = document(trial("I2V", 0.9, 0.8, mean_inp=0.3))
    found = figures_of([one, two])
    assert found["I2V"].mean_ap == pytest.approx(0.5)
    assert found["I2V"].mean_inp == pytest.approx(0.1)
    assert found["I2V"].rank_1 == pytest.approx(0.4)
    assert found["I2V"].rank_5 == pytest.approx((0.5 + 0.7 + 1) / 3)


def test_several_models_are_averaged():
    other = {cell: evaluation(0.2, 0.2, model="n") for cell in MEASURED}
    found = Robustness.of([MEASURED, other], "query")
    assert found.model == "m, n"
    assert found.data == "d"
    assert found.side == "query"
    assert found.clean["I2V"].mean_ap == pytest.approx(0.5)
    assert found.cells["fog", 5]["V2I"].mean_ap == pytest.approx(0.1)


def test_a_short_match_curve_repeats_its_last_value():
    short = {**trial("I2V", 0.5, 0.25), "cmc": [0.25, 0.5]}
    figures = figures_of([document(short)])["I2V"]
    assert (figures.rank_1, figures.rank_5, figures.rank_20) == (0.25, 0.5, 0.5)


def test_json_holds_all_figures_and_losses():
    content = json.loads(json.dumps(Robustness.of([MEASURED], "both").to_json()))
    assert content["format_version"] == 1
    assert content["severities"] == [1, 5]
    assert (content["protocol"], content["data"], content["model"], content["side"]) == (
        ("manifest", "d", "m", "both")
    )
    i2v = content["directions"]["I2V"]
    assert i2v["clean"]["mean_ap"] == 0.8
    assert i2v["mean"]["drop"]["mean_ap"] == pytest.approx(0.25)
    fog = i2v["corruptions"]["fog"]
    assert fog["severities"]["5"]["mean_ap"] == 0.4
    assert list(fog["severities"]) == ["1", "5"]
    assert fog["drop"]["mean_ap"] == pytest.approx(0.25)
    assert fog["drop"]["mean_inp"] is None  # there was nothing to lose


def test_what_cannot_be_averaged_is_refused():
    fewer = {cell: own for cell, own in MEASURED.items() if cell != ("rain", 1)}
    with pytest.raises(ValueError, match="2 models with different cells"):
        Robustness.of([MEASURED, fewer], "both")
    with pytest.raises(ValueError, match="0 models"):
        Robustness.of([], "both")
    with pytest.raises(ValueError, match="no corrupted cell"):
        Robustness.of([{("clean", 0): MEASURED["clean", 0]}], "both")
    seeded = {cell: evaluation(0.2, 0.2, seed=1) for cell in MEASURED}
    with pytest.raises(ValueError, match="one protocol and seed"):
        Robustness.of([MEASURED, seeded], "both")
    with pytest.raises(ValueError, match="no figures"):
        mean_figures([])


def test_gains_are_negative_losses():
    clean = Figures(0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert Figures(0.6, 0.5, 0.5, 0.5, 0.5, 0.0).drop(clean).mean_ap == pytest.approx(-0.2)
    assert Figures(0.6, 0.5, 0.5, 0.5, 0.5, 0.0).drop(clean).rank_20 == 1
