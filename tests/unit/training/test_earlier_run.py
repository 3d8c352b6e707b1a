"""A run that begins at a later stage with what another one learnt is the run that trained them all."""

import shutil

import pytest
import torch

from tapetum.config import read_yaml
from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods._checkpoint import all_tensors
from tapetum.training.run_log import read_log
from tapetum.training.session import Session

EVERY = {"checkpoint_every_steps": 2, "ema": 0.9}


class Died(BaseException):
    """Stands for kill -9 inside a process."""


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(folder, stage):
    found = [r for r in read_log(folder / "metrics.jsonl") if r["kind"] == "train" and r["stage"] == stage]
    return [(r["epoch"], r["losses"], r["lr"], r["grad_norm"]) for r in found]


@pytest.fixture
def dies(monkeypatch):
    """Makes a method of a class raise at its n-th call, before or after what it does."""

    def arrange(owner, name, number=1, *, after=False):
        real, calls = getattr(owner, name), [0]

        def call(self, *args, **options):
            calls[0] += 1
            if calls[0] == number and not after:
                raise Died
            result = real(self, *args, **options)
            if calls[0] == number:
                raise Died
            return result

        monkeypatch.setattr(owner, name, call)

    return arrange


@pytest.fixture
def whole(toy, tmp_path):
    """A finished run of both stages, and its method."""
    method, _, result = toy.train_toy(tmp_path / "whole", EVERY)
    return method, result


@pytest.mark.parametrize("stage", [2, "2", "bias"])
def test_the_second_stage_alone_ends_where_both_together_do(toy, tmp_path, whole, stage):
    expected, lender = whole
    method, _, result = toy.train_toy(tmp_path / "run", EVERY, start=(stage, lender.folder))
    assert same(all_tensors(method), all_tensors(expected))
    assert result.fingerprint == lender.fingerprint
    assert losses(result.folder, "bias") == losses(lender.folder, "bias")
    assert (result.steps, lender.steps) == (5, 26)


def test_config_and_log_say_where_it_began(toy, tmp_path, whole):
    _, lender = whole
    _, _, result = toy.train_toy(tmp_path / "run", EVERY, start=(2, lender.folder))
    kept = read_yaml(result.folder / "config.yaml")
    assert kept["start"] == {"stage": 2, "weights": str(lender.folder)}
    origin = kept["record"]["started_from"]
    assert origin["file"] == str(lender.folder / "stages" / "1-body.safetensors")
    first = read_log(result.folder / "metrics.jsonl")[0]
    assert first == {"kind": "start", "stage": "bias", "epoch": 0, "step": 0, "started_from": origin}
    assert len(origin["fingerprint"]) == 64
    assert "start" not in read_yaml(lender.folder / "config.yaml")


@pytest.mark.parametrize("died_in", [1, 3, 5])
def test_it_resumes_inside_the_stage_without_the_lender(toy, tmp_path, whole, died_in, dies, monkeypatch):
    expected, lender = whole
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        real, made = toy.Bias.step, [0]

        def step(self, batch):
            made[0] += 1
            if made[0] == died_in:
                raise Died
            return real(self, batch)

        patch.setattr(toy.Bias, "step", step)
        with pytest.raises(Died):
            toy.train_toy(out, EVERY, start=(2, lender.folder))
    kept = losses(lender.folder, "bias")
    shutil.rmtree(lender.folder)
    method, _, _ = toy.train_toy(out, EVERY, start=(2, lender.folder), resume=True)
    assert same(all_tensors(method), all_tensors(expected))
    assert losses(out, "bias") == kept
    assert [r["kind"] for r in read_log(out / "metrics.jsonl")].count("start") == 1


def test_it_resumes_from_before_its_first_checkpoint(toy, tmp_path, whole, monkeypatch):
    expected, lender = whole
    with monkeypatch.context() as patch:
        patch.setattr(Session, "save", lambda *_: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            toy.train_toy(tmp_path / "run", EVERY, start=(2, lender.folder))
    method, _, _ = toy.train_toy(tmp_path / "run", EVERY, start=(2, lender.folder), resume=True)
    assert same(all_tensors(method), all_tensors(expected))
    assert [r["kind"] for r in read_log(tmp_path / "run" / "metrics.jsonl")].count("start") == 1


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [("Body", "after_stage", True), ("Session", "finish_stage", False), ("Session", "finish_stage", True)],
)
def test_a_run_killed_between_stages_resumes_exactly(
    toy, tmp_path, whole, owner, name, after, dies, monkeypatch
):
    expected, lender = whole
    with monkeypatch.context():
        dies({"Body": toy.Body, "Session": Session}[owner], name, after=after)
        with pytest.raises(Died):
            toy.train_toy(tmp_path / "run", EVERY)
    monkeypatch.undo()
    method, _, result = toy.train_toy(tmp_path / "run", EVERY, resume=True)
    assert same(all_tensors(method), all_tensors(expected))
    for stage in ("body", "bias"):
        assert losses(result.folder, stage) == losses(lender.folder, stage)
    again, _, _ = toy.train_toy(tmp_path / "next", EVERY, start=(2, result.folder))
    assert same(all_tensors(again), all_tensors(expected))


def test_a_checkpoint_at_the_stage_s_end_lends_too(toy, tmp_path, whole, dies, monkeypatch):
    expected, _ = whole
    dies(toy.Bias, "step")
    with pytest.raises(Died):
        toy.train_toy(tmp_path / "cut", EVERY)
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "cut" / "stages")
    method, _, _ = toy.train_toy(tmp_path / "run", EVERY, start=(2, tmp_path / "cut"))
    assert same(all_tensors(method), all_tensors(expected))


def test_the_result_of_a_run_with_no_later_stage_lends_too(toy, tmp_path, whole, monkeypatch):
    expected, _ = whole
    monkeypatch.setattr("tapetum.methods._checkpoint.method_class", lambda name: toy.Toy)
    _, _, first = toy.train_toy(tmp_path / "first", EVERY, only_body=True)
    assert not (first.folder / "stages").exists()
    shutil.rmtree(first.folder / "checkpoints")
    method, _, result = toy.train_toy(tmp_path / "run", EVERY, start=(2, first.folder))
    assert read_yaml(result.folder / "config.yaml")["record"]["started_from"]["file"] == str(first.model)
    trained, told = (
        {n: t for n, t in all_tensors(m).items() if n != "steps_seen"} for m in (method, expected)
    )
    assert same(trained, told)  # a result holds no buffer that is not persistent


def test_settings_of_the_later_stage_may_differ(toy, tmp_path, whole):
    expected, lender = whole
    method, _, _ = toy.train_toy(tmp_path / "run", EVERY, start=(2, lender.folder), bias_lr=0.02)
    assert not torch.equal(method.head.bias, expected.head.bias)
    assert torch.equal(method.head.weight, expected.head.weight)
    toy.train_toy(tmp_path / "other seed", {**EVERY, "seed": 4}, start=(2, lender.folder))


@pytest.mark.parametrize(
    ("stage", "options", "error", "message"),
    [
        (1, {}, ConfigError, r"stage 1 is the first of toy \(1 body, 2 bias\): nothing is learnt before"),
        ("body", {}, ConfigError, "stage body is the first of toy"),
        (3, {}, ConfigError, "toy has no stage 3; its stages: 1 body, 2 bias"),
        (0, {}, ConfigError, "toy has no stage 0"),
        ("hsa", {}, ConfigError, "toy has no stage hsa"),
        (2, {"dropout": 0.3}, ConfigError, r"stage 2, bias, with other settings: dropout was 0\.2, now 0\.3"),
        (
            2,
            {"fingerprint": "others"},
            CheckpointError,
            "trained on other data: fingerprint toy data, now oth",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(
    toy, tmp_path, whole, stage, options, error, message
):
    _, lender = whole
    with pytest.raises(error, match=message):
        toy.train_toy(tmp_path / "run", EVERY, start=(stage, lender.folder), **options)
    assert not (tmp_path / "run").exists()


def test_lenders_that_do_not_fit_are_named(toy, tmp_path, whole, monkeypatch):
    _, lender = whole
    begin = {"start": (2, lender.folder)}
    with pytest.raises(FileNotFoundError, match=r"nowhere: no folder of a run \(it has no config\.yaml\)"):
        toy.train_toy(tmp_path / "run", EVERY, start=(2, tmp_path / "nowhere"))
    with monkeypatch.context() as patch:
        patch.setattr(toy.ToySource, "label_ids", ("ann", "bob", "joe"))
        with pytest.raises(CheckpointError, match=r"3 people, now 3, not the same: eve, joe"):
            toy.train_toy(tmp_path / "run", EVERY, **begin)
        patch.setattr(toy.ToySource, "label_ids", ("ann", "bob", "eve"))
        patch.setattr(toy.Toy, "reads_cameras", True)
        patch.setattr(toy.ToySource, "camera_ids", (1, 7))
        with pytest.raises(CheckpointError, match=r"trained on cameras \[1, 2\], now \(1, 7\)"):
            toy.train_toy(tmp_path / "run", EVERY, **begin)
    with monkeypatch.context() as patch:
        patch.setattr(toy.Toy, "name", "other")
        with pytest.raises(CheckpointError, match="is a run of toy, not of other"):
            toy.train_toy(tmp_path / "run", EVERY, **begin)
    with monkeypatch.context() as patch:
        patch.setattr(toy.Body, "name", "torso")
        monkeypatch.setattr("tapetum.methods._checkpoint.method_class", lambda name: toy.Toy)
        with pytest.raises(CheckpointError, match=r"nothing of the end of stage 1, torso: no .*1-torso\."):
            toy.train_toy(tmp_path / "run", EVERY, **begin)
    assert not (tmp_path / "run").exists()
