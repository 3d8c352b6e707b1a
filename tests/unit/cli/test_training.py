import json

import pytest
import torch
import yaml
from safetensors import safe_open

from tapetum.methods._checkpoint import read_tensors

VISION = "width: 64, layers: 3, heads: 1, patch_size: 16, image_size: [32, 16], output_dim: 32"
LSMRL = [f"vision={{{VISION}}}", "text={vocab_size: 54, context_length: 40, width: 64, layers: 1, heads: 1}"]
LSMRL += ["stfl_split=[1, 1, 1]", "stg_groups=2", "stg_frame_groups=2"]


def fingerprint_of(run):
    with safe_open(run / "model.safetensors", "pt") as file:
        return file.metadata()["fingerprint"]


def test_train_leaves_a_run_and_says_where(ask, run, data):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["method"], config["data"], config["training"]["max_steps"]) == ("small-cnn", data, 2)
    assert (config["config"]["height"], config["config"]["batches"]["identities"]) == (32, 2)
    again = ask("train", "small-cnn", "--data", data, "--out", run)
    assert (again.code, f"{run} is not empty; resume the run in it" in again.err) == (1, True)


def test_lsmrl_trains_from_random_weights(ask, data, small, tmp_path):
    overrides = [part for setting in LSMRL for part in ("--set", setting)]
    trained = ask(
        *("train", "lsmrl", "--preset", "tiny", "--weights", "none", "--data", data),
        *("--out", tmp_path / "run", "--max-steps", 2, *small, *overrides),
    )
    assert trained.code == 0, trained.err
    assert trained.out.startswith(f"{tmp_path / 'run'}: 2 steps in ")
    assert trained.out.rstrip().endswith(f"model {fingerprint_of(tmp_path / 'run')}")
    scored = ask("evaluate", tmp_path / "run", "--data", data)
    assert (scored.code, "I2V" in scored.out) == (0, True)


def test_lsmrl_s_second_stage_begins_with_the_prompts_of_another_run(ask, data, small, tmp_path):
    whole, later, other = (tmp_path / name for name in ("whole", "later", "other"))
    overrides = [part for setting in [*LSMRL, "prompt_stage=two-stage"] for part in ("--set", setting)]
    train = ["train", "lsmrl", "--data", data, "--max-steps", 2]
    first = ask(*train, "--out", whole, "--preset", "tiny", "--weights", "none", *small, *overrides)
    assert (first.code, [p.name for p in (whole / "stages").iterdir()]) == (0, ["1-prompts.safetensors"])
    begin = ["--from-stage", 2, "--weights", whole, "--set", "training.tensorboard=false"]
    second = ask(*train, "--out", later, *begin)
    assert (second.code, second.out.startswith(f"{later}: 2 steps in ")) == (0, True), second.err
    assert fingerprint_of(later) == fingerprint_of(whole)
    again = ask(*train, "--out", later, "--resume", *begin)
    assert (again.code, again.out) == (0, f"{later} was finished already: 2 steps\n")
    third = ask(*train, "--out", other, *begin, "--from-stage", "network", "--set", "loss.msel=0")
    assert third.code == 0, third.err
    assert fingerprint_of(other) != fingerprint_of(whole)


def test_a_later_stage_without_what_comes_before(ask, data, small, run, tmp_path):
    out = ["--data", data, "--out", tmp_path / "run", *small]
    for options, message in (
        (["small-cnn", "--from-stage", 2], "--from-stage needs --weights RUN"),
        (
            ["small-cnn", "--from-stage", 2, "--weights", run],
            "small-cnn has no stage 2; its stages: 1 network",
        ),
        (["lsmrl", "--from-stage", 2, "--weights", run], f"{run} is a run of 'small-cnn', not of 'lsmrl'"),
        (["small-cnn", "--from-stage", 2, "--weights", tmp_path], "small-cnn has no stage 2"),
    ):
        refused = ask("train", *options, *out)
        assert (refused.code, message in refused.err) == (1, True), refused.err
    assert not (tmp_path / "run").exists()


def test_a_config_file_and_overrides_meet(ask, data, small, run, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "preset: tiny\nconfig:\n  loss: {wrt: 0.5, id: 2}\n  frames: 4\ntraining: {log_every: 7}\n"
    )
    options = ["--config", file, "--set", "loss.id=1e-1", "--max-steps", 1, *small]
    assert ask("train", "small-cnn", "--data", data, "--out", tmp_path / "run", *options).code == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["preset"], config["config"]["loss"]) == ("tiny", {"wrt": 0.5, "id": 0.1, "hard": 0.0})
    assert (config["config"]["frames"], config["training"]["log_every"]) == (2, 7)
    assert config["config"]["schedule"]["epochs"] == 24
    # the configuration that a run leaves can be given to another
    file = run / "config.yaml"
    assert ask("train", "small-cnn", "--data", data, "--out", tmp_path / "twin", "--config", file).code == 0
    assert fingerprint_of(tmp_path / "twin") == fingerprint_of(run)


def test_resume_of_a_finished_run_and_with_other_settings(ask, data, small, run):
    again = ["train", "small-cnn", "--data", data, "--out", run, "--resume", *small]
    finished = ask(*again, "--max-steps", 2)
    assert (finished.code, finished.out) == (0, f"{run} was finished already: 2 steps\n")
    refused = ask(*again, "--max-steps", 2, "--set", "loss.wrt=3")
    assert refused.code == 1
    assert "config.loss.wrt was 1.0, now 3.0" in refused.err


@pytest.mark.parametrize(
    ("options", "code", "messages"),
    [
        (["--set", "batchs.identities=2"], 1, ["'batchs'", "'batches'"]),
        (["--set", "loss.mesl=1"], 1, ["'loss.mesl'", "'loss.wrt'"]),
        (["--set", "training.max_step=1"], 1, ["'training.max_step'", "'training.max_steps'"]),
        (["--set", "frames"], 1, ["override 'frames' is not of the form key=value"]),
        (["--set", "frames=[1"], 1, ["override 'frames=[1': the value is not YAML"]),
        (["--set", "frames=many"], 1, ["frames = 'many'"]),
        (["--preset", "tinny"], 1, ["unknown preset 'tinny' of small-cnn; known: paper, tiny"]),
        (["--max-steps", "0"], 1, ["training.max_steps = 0"]),
        (["--max-steps", "some"], 2, ["--max-steps", "valid integer"]),
        (["--config", "FILE"], 1, ["'frams'", "'frames'"]),
        (["--config", "nowhere.yaml"], 1, ["nowhere.yaml: No such file"]),
        (["--set", "training.device=cuda:9"], 1, ["training.device = 'cuda:9': this machine has"]),
        (["--minutes", "-1"], 1, ["training.max_minutes = -1.0"]),
    ],
)
def test_wrong_settings_are_named_before_anything_is_written(ask, data, tmp_path, options, code, messages):
    file = tmp_path / "wrong.yaml"
    file.write_text("config: {frams: 3}\n")
    options = [file if option == "FILE" else option for option in options]
    refused = ask("train", "small-cnn", "--data", data, "--out", tmp_path / "run", *options)
    assert refused.code == code
    assert all(message in refused.err for message in messages), refused.err
    assert not (tmp_path / "run").exists()


def test_wrong_names_and_files(ask, data, run, tmp_path):
    out = ["--out", tmp_path / "run"]
    refused = ask("train", "smal-cnn", "--data", data, *out)
    assert (refused.code, "did you mean 'small-cnn'" in refused.err) == (1, True)
    refused = ask("train", "small-cnn", "--data", str(tmp_path), *out)
    assert (refused.code, "FORMAT:ROOT" in refused.err) == (1, True)
    refused = ask("train", "lsmrl", "--preset", "tiny", "--data", data, *out, "--weights", tmp_path / "no.pt")
    assert (refused.code, str(tmp_path / "no.pt") in refused.err) == (1, True)
    model = run / "model.safetensors"
    refused = ask("train", "lsmrl", "--preset", "tiny", "--data", data, *out, "--weights", model)
    assert (refused.code, str(model) in refused.err) == (1, True)
    file = tmp_path / "file"
    file.write_text("mine")
    refused = ask("train", "small-cnn", "--data", data, "--out", file)
    assert (refused.code, file.read_text()) == (1, "mine")
    assert not (tmp_path / "run").exists()


def test_a_method_without_training_makes_a_run_too(ask, data, tmp_path):
    made = ask("train", "raw-pixels", "--data", data, "--out", tmp_path / "run")
    assert (made.code, ": 0 steps in " in made.out) == (0, True)
    assert ask("evaluate", tmp_path / "run", "--data", data).code == 0


def test_a_spoilt_frame_stops_training_by_name(ask, broken, small, tmp_path):
    (broken / "Train").rename(broken / "train-frames")
    (broken / "Train" / "0001").mkdir(parents=True)
    command = ["train", "small-cnn", "--data", f"hitsz-vcm:{broken}", "--out", tmp_path / "run", *small]
    refused = ask(*command, "--max-steps", 1)
    assert refused.code == 1
    assert f"error: {broken / 'Train'}/" in refused.err
    assert ".jpg: cannot read a picture: no such file" in refused.err
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_pretrain_makes_weights_and_goes_on(ask, tmp_path, small_pretraining):
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps({**small_pretraining, "unseen": 4, "warmup_steps": 1}))
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    made = ask("pretrain", "--out", whole, "--config", file, "--workers", 1)
    assert made.code == 0, made.err
    assert made.out == f"{whole / 'tiny-clip.safetensors'}, described in {whole / 'tiny-clip.md'}\n"
    assert "pass 1: loss" in made.err
    refused = ask("pretrain", "--out", whole, "--config", file)
    assert (refused.code, f"{whole}: not empty" in refused.err) == (1, True)
    refused = ask("pretrain", "--out", parted, "--config", file, "--resume")
    assert (refused.code, "state.safetensors: nothing to resume" in refused.err) == (1, True)
    # nothing is left to do: the same weights again
    before = read_tensors(whole / "tiny-clip.safetensors")[0]
    assert ask("pretrain", "--out", whole, "--config", file, "--resume", "--workers", 1).code == 0
    after = read_tensors(whole / "tiny-clip.safetensors")[0]
    assert all(torch.equal(before[name], after[name]) for name in before)
    refused = ask("pretrain", "--out", whole, "--config", file, "--resume", "--set", "lr=0.5")
    assert (refused.code, str(whole / "state.safetensors") in refused.err) == (1, True)
    refused = ask("pretrain", "--out", parted, "--set", "epoch=3")
    assert (refused.code, "did you mean 'epochs'" in refused.err) == (1, True)
    assert not parted.exists()
