import numpy as np
import pytest

from tapetum.errors import CalibrationError, DataError, ModelMismatchError
from tapetum.evaluation import Trial
from tapetum.evaluation.calibration.calibration import calibrate, of_people, split_people
from tapetum.evaluation.calibration.files import load_calibration, save_calibration
from tapetum.evaluation.calibration.open_set import open_set_scores
from tapetum.evaluation.calibration.pair_counts import Pairing
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def walkers(
    count=40, each=6, seed=0, spread=0.8, name="walkers/test", first=0, model="model-1"
) -> Embeddings:
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((count, 12))
    kinds = (Modality.VISIBLE, Modality.INFRARED)
    rows = tuple(
        Tracklet(f"t{n}", (), kinds[n // count % 2], first + n % count, n // count)
        for n in range(count * each)
    )
    vectors = (
        middles[np.arange(count * each) % count] + spread * rng.standard_normal((count * each, 12))
    ).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Embeddings(vectors, TrackletSet(name, rows), model)


@pytest.fixture(scope="module")
def calibration():
    return calibrate(walkers())


def test_people_are_learnt_from_or_judged_on(calibration):
    curve = calibration.curve()
    assert (curve.learnt.people, curve.judged.people) == (20, 20)
    assert curve.learnt.same.sum() == 20 * 9
    assert curve.learnt.different.sum() == 20 * 19 * 9
    assert curve.prior == pytest.approx(1 / 20)
    assert not curve.has_few_people
    assert calibrate(walkers(count=30)).curve().has_few_people


def test_parts_of_people_are_seeded_and_apart():
    tracklets = walkers().tracklets
    first, second = split_people(tracklets, seed=3)
    assert first | second == set(range(40))
    assert not first & second
    assert len(first) == 20
    assert split_people(tracklets, seed=3) == (first, second)
    assert split_people(tracklets, seed=4) != (first, second)
    assert len(split_people(tracklets, share=0.1)[0]) == 4
    assert set(of_people(walkers(), first).tracklets.person_ids) == first


def test_other_halves_by_seed_give_other_curves(calibration):
    again, other = calibrate(walkers()), calibrate(walkers(), seed=1)
    assert again.curve().log_ratio == calibration.curve().log_ratio
    assert other.curve().log_ratio != calibration.curve().log_ratio


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_nearer_is_never_less_probable(kind):
    curve = calibrate(walkers(), kind=kind).curve("visible-visible")
    probability = curve.probability(np.linspace(0, 2, 300))
    assert (np.diff(probability) <= 0).all()
    assert 0 < probability[-1] < 0.01 < 0.9 < probability[0] < 1


def test_decision(calibration):
    near, far = calibration.decide(0.01), calibration.decide(1.2)
    assert (near.answer, near.is_same) == ("same", True)
    assert (far.answer, far.is_same) == ("unknown", False)
    assert far.probability < 0.05 < 0.5 < near.probability
    probability = float(calibration.curve().probability(0.4))
    assert calibration.decide(0.4, min_probability=probability).is_same
    assert not calibration.decide(0.4, min_probability=probability + 1e-9).is_same
    assert calibration.decide(0.4, prior=0.9).probability > probability


def test_prior_is_that_of_the_pairs_unless_another_is_wished():
    curve = calibrate(walkers(), prior=0.3).curve()
    assert curve.prior == 0.3
    assert curve.probability(0.4) == curve.probability(0.4, prior=0.3)


def test_resolution_of_rates(calibration):
    curve = calibration.curve()
    assert curve.judged.different.sum() == 3420
    assert curve.is_resolved(0.01)
    assert not curve.is_resolved(0.005)


def test_embeddings_of_other_people_can_be_learnt_from():
    other = walkers(seed=1, first=100, name="walkers/train")
    found = calibrate(walkers(), learn_from=other)
    assert (found.curve().learnt.people, found.curve().judged.people) == (40, 40)
    assert found.data == "walkers/test"
    with pytest.raises(CalibrationError, match=r"40 people of walkers \(person 0, for one\) are both"):
        calibrate(walkers(), learn_from=walkers(seed=1, name="walkers/train"))
    calibrate(walkers(), learn_from=walkers(seed=1, name="others/train"))  # their person 0 is another
    with pytest.raises(ModelMismatchError, match="learnt from embeddings of model model-2"):
        calibrate(walkers(), learn_from=walkers(model="model-2", first=100))


def test_pairing_without_pairs_is_missing_with_its_reason():
    embeddings = walkers()
    visible = [row for row, t in enumerate(embeddings.tracklets) if t.modality is Modality.VISIBLE]
    found = calibrate(embeddings.rows(visible))
    assert set(found.curves) == {Pairing.VISIBLE}
    assert set(found.missing) == {Pairing.CROSS, Pairing.INFRARED}
    with pytest.raises(
        CalibrationError, match="no calibration of visible-infrared pairs: there is no pair of one"
    ):
        found.decide(0.3)


def bad(**changes) -> Embeddings:
    embeddings = walkers()
    vectors = embeddings.vectors.copy()
    vectors[5] = changes.get("row", vectors[5])
    if changes.get("alike"):
        vectors[:] = vectors[0]
    if changes.get("noise"):
        vectors = np.random.default_rng(0).standard_normal(vectors.shape).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Embeddings(vectors, embeddings.tracklets, "model-1")


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1.0])
def test_rows_that_have_no_direction_are_named(value):
    embeddings = bad(row=value)
    trial = Trial("t", np.arange(40), np.arange(40, 240))
    for work in (lambda: calibrate(embeddings), lambda: open_set_scores(embeddings, trial)):
        with pytest.raises(ValueError, match=r"tracklet 't5' \(row 5\) has length .*; expected 1 \(1 of 240"):
            work()


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_distances_that_tell_nothing_are_refused(kind):
    with pytest.raises(CalibrationError, match=r"cannot be calibrated: .*all distances are equal \(0"):
        calibrate(bad(alike=True), kind=kind)


def test_distances_that_tell_the_contrary_are_refused():
    tracklets = walkers(count=20, each=2).tracklets
    turned = [
        t.person_id % 2 == (t.modality is Modality.VISIBLE) for t in tracklets
    ]  # own: far, others: near
    vectors = np.array([[1, 0] if t else [0, 1] for t in turned], dtype=np.float32)
    embeddings = Embeddings(vectors, tracklets, "model-1")
    for kind in ("logistic", "isotonic"):
        with pytest.raises(CalibrationError, match="visible-infrared: pairs of one person are not nearer"):
            calibrate(embeddings, kind=kind, pairings=["visible-infrared"])


def test_people_must_be_enough():
    with pytest.raises(CalibrationError, match="walkers/test has 1 known people: too few for two parts"):
        calibrate(walkers(count=1))
    with pytest.raises(
        CalibrationError, match="visible-infrared: there is no pair of two people to learn from"
    ):
        calibrate(walkers(count=2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prior": 1.0}, "prior is 1.0; expected a probability strictly between 0 and 1"),
        ({"kind": "cubic"}, "unknown kind of calibration 'cubic'; known: logistic, isotonic"),
        ({"pairings": ["night"]}, "night"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        calibrate(walkers(), **arguments)


def test_questions_out_of_range(calibration):
    curve = calibration.curve()
    with pytest.raises(ValueError, match="a distance is not a number"):
        curve.probability([0.1, np.nan])
    with pytest.raises(ValueError, match="prior is 0"):
        curve.probability(0.1, prior=0)
    with pytest.raises(ValueError, match="the wished probability is 50"):
        calibration.decide(0.1, min_probability=50)
    with pytest.raises(ValueError, match="false-match rate is 2"):
        curve.judged.threshold_for(2)
    with pytest.raises(ValueError, match="threshold is not a number"):
        curve.judged.false_match_rate(np.nan)
    with pytest.raises(ValueError, match="bins is 0"):
        curve.reliability(bins=0)


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_file_gives_back_the_same_calibration(tmp_path, kind):
    saved = calibrate(walkers(), kind=kind, pairings=["visible-infrared", "infrared-infrared"])
    path = save_calibration(tmp_path / "c.json", saved)
    found = load_calibration(path, model="model-1")
    assert (found.model, found.data, found.missing) == (saved.model, saved.data, saved.missing)
    assert list(found.curves) == list(saved.curves)
    for pairing, curve in found.curves.items():
        own = saved.curves[pairing]
        assert curve.log_ratio == own.log_ratio
        assert curve.prior == own.prior
        for one, other in ((curve.learnt, own.learnt), (curve.judged, own.judged)):
            assert one.people == other.people
            np.testing.assert_array_equal(one.same, other.same)
            np.testing.assert_array_equal(one.different, other.different)


def test_calibration_of_another_model_is_refused(tmp_path, calibration):
    path = save_calibration(tmp_path / "c.json", calibration)
    with pytest.raises(
        ModelMismatchError, match=r"c\.json: this calibration is of model model-1, .* model-2"
    ):
        load_calibration(path, model="model-2")
    assert load_calibration(path).model == "model-1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:100], "not JSON"),
        (lambda text: "[1]", "not a calibration"),
        (lambda text: text.replace('"format_version": 1', '"format_version": 9'), "format_version is 9"),
        (
            lambda text: text.replace('"levels_per_unit": 4096', '"levels_per_unit": 64'),
            "levels_per_unit is 64",
        ),
        (lambda text: text.replace('"slope"', '"slop"'), "KeyError"),
        (lambda text: text.replace('"logistic"', '"cubic"'), "unknown kind of calibration 'cubic'"),
        (lambda text: text.replace('"first_level": ', '"first_level": 9'), "levels"),
        (lambda text: text.replace('"prior": 0.', '"prior": 7.'), "prior is 7"),
        (lambda text: text.replace('"visible-visible": {', '"night": {'), "night"),
        (lambda text: text.replace('"model": "model-1"', '"model": 7'), "7 is no text"),
    ],
)
def test_damaged_files_are_named(tmp_path, calibration, change, message):
    path = save_calibration(tmp_path / "c.json", calibration)
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=rf"c\.json: .*{message}"):
        load_calibration(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"c\.json: no such file"):
        load_calibration(tmp_path / "c.json")


def open_set(embeddings, **arguments):
    trial = Trial("I2V", np.arange(40), np.arange(40, 240))
    return open_set_scores(embeddings, trial, **arguments)


def test_open_set_says_what_it_stands_on():
    found = open_set(walkers(), draws=4, seed=2)
    content = found.to_json()
    assert (content["trial"], content["draws"], content["with_mate"], content["without_mate"]) == (
        "I2V",
        4,
        20,
        20,
    )
    assert [row["false_alarm_rate"] for row in content["rates"]] == [0.001, 0.01, 0.1]
    assert [row["is_resolved"] for row in content["rates"]] == [False, False, True]
    rates = [found.rate(r) for r in (0.001, 0.01, 0.1)]
    assert rates == sorted(rates)
    assert rates[-1] <= found.closed.mean()
    with pytest.raises(ValueError, match=r"DIR at FAR 0\.5 was not computed"):
        found.rate(0.5)


def test_open_set_draws_are_seeded():
    one, shifted = open_set(walkers(), draws=3, seed=2), open_set(walkers(), draws=3, seed=3)
    np.testing.assert_array_equal(one.rates[1:], shifted.rates[:-1])


def test_open_set_refusals():
    embeddings = walkers()
    with pytest.raises(ValueError, match=r"false-alarm rates are \(2.0,\)"):
        open_set(embeddings, false_alarm_rates=[2])
    with pytest.raises(ValueError, match="draws is 0"):
        open_set(embeddings, draws=0)
    with pytest.raises(ValueError, match=r"share is 1\.0"):
        open_set(embeddings, share=1.0)
    with pytest.raises(CalibrationError, match="too few for two parts"):
        open_set(embeddings, share=0.001)
    apart = walkers(first=100)
    rows = (*walkers().tracklets[:40], *apart.tracklets[40:])
    strangers = Embeddings(apart.vectors, TrackletSet("x", rows))
    with pytest.raises(CalibrationError, match="I2V: no query is with a mate"):
        open_set(strangers)
