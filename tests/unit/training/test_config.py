import pytest

from tapetum.config import build_config, to_yaml
from tapetum.errors import ConfigError
from tapetum.training.config import RECORD, TrainingConfig, completed, differences, resolve_run

DATA = "hitsz-vcm:/data"


def test_layers_of_a_run(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("preset: tiny\nconfig: {height: 64, width: 32}\ntraining: {seed: 7, ema: 0.99}\n")
    run = resolve_run(
        "small-cnn", DATA, file=file, overrides={"width": 40, "loss": {"wrt": 0.5}, "training": {"seed": 8}}
    )
    assert (run.data, run.method, run.preset) == (DATA, "small-cnn", "tiny")
    assert (run.config["height"], run.config["width"], run.config["loss"]["wrt"]) == (64, 40, 0.5)
    assert (run.training.seed, run.training.ema) == (8, 0.99)


def test_dotted_overrides_reach_both_blocks():
    run = resolve_run(
        "small-cnn",
        DATA,
        preset="tiny",
        overrides={"loss.wrt": 0.25, "config.height": 80, "training.seed": 3},
    )
    assert (run.config["loss"]["wrt"], run.config["height"], run.training.seed) == (0.25, 80, 3)


def test_a_run_s_own_file_gives_the_same_run(tmp_path):
    run = resolve_run("small-cnn", DATA, preset="tiny", overrides={"height": 64})
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml({**run.model_dump(mode="json"), RECORD: {"data_fingerprint": "x"}}))
    assert resolve_run("small-cnn", DATA, file=file) == run


def test_settings_of_an_earlier_version_are_completed():
    now = resolve_run("small-cnn", DATA, preset="tiny").model_dump(mode="json")
    before = resolve_run("small-cnn", DATA, preset="tiny").model_dump(mode="json")
    del before["config"]["batches"]["modality"], before["training"]["linears"]
    assert differences(before, now).keys() == {"config.batches.modality", "training.linears"}
    assert completed(before) == now
    before["config"]["batches"]["identities"] = 3
    assert differences(completed(before), now) == {"config.batches.identities": (3, 16)}
    assert completed({"method": "toy", "seed": 1}) == {"method": "toy", "seed": 1}


def test_a_run_that_begins_later_takes_over_settings_of_the_one_before(tmp_path):
    lender = resolve_run(
        "small-cnn", DATA, preset="tiny", overrides={"height": 64, "training.seed": 9, "weights": "w.pt"}
    )
    (tmp_path / "config.yaml").write_text(to_yaml(lender))
    start = {"start": {"stage": 2, "weights": str(tmp_path)}}
    run = resolve_run("small-cnn", DATA, overrides={**start, "loss.wrt": 0.5})
    assert (run.preset, run.config["height"], run.config["weights"]) == ("tiny", 64, "w.pt")
    assert (run.config["loss"]["wrt"], run.training.seed) == (0.5, 1)
    assert (run.start.stage, run.start.weights) == (2, str(tmp_path))
    named = resolve_run("small-cnn", DATA, preset="tiny", overrides=start)
    assert (named.config["height"], named.config["weights"]) == (96, "w.pt")
    own = resolve_run("small-cnn", DATA, overrides={**start, "weights": "none"})
    assert own.config["weights"] == "none"
    with pytest.raises(ConfigError, match=f"{tmp_path} is a run of 'small-cnn', not of 'lsmrl'"):
        resolve_run("lsmrl", DATA, overrides=start)
    gone = {"start": {"stage": 2, "weights": str(tmp_path / "gone")}}
    assert resolve_run("small-cnn", DATA, overrides=gone).preset == "paper"


def test_a_file_of_another_method_is_refused(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("method: lsmrl\n")
    with pytest.raises(ConfigError, match=r"run\.yaml is for the method 'lsmrl', not 'small-cnn'"):
        resolve_run("small-cnn", DATA, file=file)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"training": {"sede": 1}}, "unknown key 'training.sede'; did you mean 'training.seed'"),
        ({"hieght": 3}, "unknown key 'hieght'; did you mean 'height'"),
        ({"training.seed": -1}, "training.seed = -1"),
        ({"training.precision": "16"}, "training.precision = '16'"),
        ({"training.device": "gpu"}, "training.device = 'gpu'"),
    ],
)
def test_wrong_settings_are_named(overrides, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        resolve_run("small-cnn", DATA, preset="tiny", overrides=overrides)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"validate_every": 1}, "needs validation_identities"),
        ({"keep": "best"}, "needs validate_every"),
        ({"validation_identities": 2.5}, "whole number"),
    ],
)
def test_settings_that_contradict_each_other(values, message):
    with pytest.raises(ConfigError, match=message):
        build_config(TrainingConfig, values)


def test_differences_see_missing_keys():
    assert differences({"a": 1, "b": {"c": 2}}, {"b": {"c": 2, "d": 0}}) == {"a": (1, None), "b.d": (None, 0)}
    assert differences({"a": [1, 2]}, {"a": [1, 2]}) == {}
