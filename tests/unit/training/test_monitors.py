"""What stages measure goes to the log: with the losses of a line, or from a hook; once, whatever happens."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tapetum.training.run_log import read_log

MEASURED = {"clips_per_s", "frames_per_s", "data_share", "compute_share", "seconds", "elapsed_s"}


class Died(BaseException):
    """Stands for kill -9 inside a process."""


def lines(folder):
    return [{k: v for k, v in r.items() if k not in MEASURED} for r in read_log(folder / "metrics.jsonl")]


@pytest.fixture
def watched(toy, monkeypatch):
    """The toy's first stage with monitors, and with hooks that record, drawing on chance."""

    class Watched(toy.Body):
        asked = 0

        def before_stage(self, context):
            super().before_stage(context)
            context.record({"start/noise": float(torch.rand(()))})

        def before_epoch(self, epoch, context):
            super().before_epoch(epoch, context)
            context.record({})
            context.record({"epoch/begun": epoch})

        def after_epoch(self, epoch, context):
            self.calls.append(("after_epoch", epoch))
            self.method.eval()
            self.state["anchor"] = self.state["anchor"] + torch.randn(4) * 0.1
            context.record(
                {"epoch/anchor": float(self.state["anchor"].sum()), "epoch/draw": torch.rand(1).item()}
            )

        def after_stage(self, context):
            super().after_stage(context)
            context.record({"end/noise": float(torch.rand(())), "end/nothing": float("nan")})

        def monitors(self):
            type(self).asked += 1
            norm = self.method.body.weight.norm()
            assert not norm.requires_grad
            return {"body/norm": norm, "body/steps": self.method.steps_seen}

    monkeypatch.setattr(toy.Toy, "stages", lambda self: [Watched(self), toy.Bias(self)])
    return Watched


def test_figures_stand_in_the_log_with_stage_epoch_and_step(toy, watched, tmp_path):
    method, _, _ = toy.train_toy(tmp_path)
    found = lines(tmp_path)
    hooks = [(r["stage"], r["epoch"], r["step"], *r["monitors"]) for r in found if r["kind"] == "monitor"]
    assert hooks == [
        ("body", 0, 0, "start/noise"),
        *[
            line
            for epoch in range(3)
            for line in (
                ("body", epoch, 7 * epoch, "epoch/begun"),
                ("body", epoch, 7 * epoch + 7, "epoch/anchor", "epoch/draw"),
            )
        ],
        ("body", 2, 21, "end/noise", "end/nothing"),
    ]
    assert next(r for r in found if "end/nothing" in r.get("monitors", {}))["monitors"]["end/nothing"] is None
    train = [r for r in found if r["kind"] == "train"]
    assert [r["monitors"]["body/steps"] for r in train if r["stage"] == "body"] == [
        3,
        6,
        7,
        9,
        12,
        14,
        15,
        18,
        21,
    ]
    assert watched.asked == 9
    assert all("body/norm" not in r["losses"] for r in train)
    assert not any("monitors" in r for r in train if r["stage"] == "bias")
    last = [r for r in train if r["stage"] == "body"][-1]["monitors"]["body/norm"]
    assert last == pytest.approx(method.body.weight.norm().item())


@pytest.mark.parametrize("every", [1, 3, 7])
def test_a_stopped_run_says_everything_once(toy, watched, tmp_path, every, monkeypatch):
    training = {
        "checkpoint_every_steps": every,
        "validation_identities": 1,
        "validate_every": 2,
        "ema": 0.9,
    }
    toy.train_toy(tmp_path / "whole", training)
    for died_in in (1, 2, 7, 8, 14, 15, 21):
        out = tmp_path / str(died_in)
        with monkeypatch.context() as patch:
            real = toy.Body.step

            def step(self, batch, real=real, died_in=died_in):
                losses = real(self, batch)
                if int(self.method.steps_seen) == died_in:
                    raise Died
                return losses

            patch.setattr(toy.Body, "step", step)
            with pytest.raises(Died):
                toy.train_toy(out, training)
        toy.train_toy(out, training, resume=True)
        assert lines(out) == lines(tmp_path / "whole")


@pytest.mark.parametrize("hook", ["after_epoch", "after_stage"])
def test_a_run_that_died_in_a_hook_says_everything_once(toy, watched, tmp_path, monkeypatch, hook):
    training = {"checkpoint_every_steps": 7}
    toy.train_toy(tmp_path / "whole", training)
    with monkeypatch.context() as patch:
        real = getattr(watched, hook)

        def die(self, *args):
            real(self, *args)
            raise Died

        patch.setattr(watched, hook, die)
        with pytest.raises(Died):
            toy.train_toy(tmp_path / "run", training)
    toy.train_toy(tmp_path / "run", training, resume=True)
    assert lines(tmp_path / "run") == lines(tmp_path / "whole")


def test_measuring_the_time_leaves_no_line(toy, watched, tmp_path, monkeypatch):
    monkeypatch.setattr("tapetum.training.stage_run.affordable_steps", lambda declared, *_: declared)
    toy.train_toy(tmp_path / "limited", {"max_minutes": 1.0})
    toy.train_toy(tmp_path / "free")
    assert lines(tmp_path / "limited") == lines(tmp_path / "free")


def test_tensorboard_has_the_figures(toy, watched, tmp_path):
    toy.train_toy(tmp_path, {"tensorboard": True})
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.step for e in board.Scalars("monitors/epoch/anchor")] == [7, 14, 21]
    assert len(board.Scalars("monitors/body/norm")) == 9
    assert "monitors/end/nothing" not in board.Tags()["scalars"]


def test_without_a_run_nothing_is_recorded():
    from tapetum.methods._base import StageContext

    assert StageContext().record({"group/name": 1.0}) is None
