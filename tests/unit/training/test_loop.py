import json

import pytest
import torch

from tapetum.config import read_yaml
from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods._checkpoint import all_tensors, read_header, read_tensors, stored_tensors
from tapetum.training import devices
from tapetum.training.run_log import read_log

EVERY_STEP = {"checkpoint_every_steps": 1}
VALIDATED = {"validation_identities": 1, "validate_every": 1}


class Died(BaseException):
    """Stands for kill -9 inside a process: nothing of the package handles it."""


class Notes:
    def __init__(self) -> None:
        self.stages, self.texts, self.done = [], [], []

    def stage(self, name, steps, done):
        self.stages.append((name, steps, done))

    def advance(self, done, record):
        self.done.append(done)

    def note(self, text):
        self.texts.append(text)


def curve(folder):
    """All that must be the same in a resumed run: every field of the log but measured times."""
    measured = {"clips_per_s", "frames_per_s", "data_share", "compute_share", "seconds", "elapsed_s"}
    return [{k: v for k, v in r.items() if k not in measured} for r in read_log(folder / "metrics.jsonl")]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def dies(toy, monkeypatch):
    """Makes the toy die in its n-th step."""

    def arrange(step_number):
        real, made = toy.Body.step, [0]

        def step(self, batch):
            made[0] += 1
            if made[0] == step_number:
                raise Died
            return real(self, batch)

        monkeypatch.setattr(toy.Body, "step", step)

    return arrange


def test_a_run_leaves_what_it_should(toy, tmp_path):
    method, _, result = toy.train_toy(tmp_path / "run", {"checkpoint_every_steps": 4})
    assert sorted(p.name for p in result.folder.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "metrics.jsonl",
        "model.safetensors",
        "stages",
    ]
    assert [p.name for p in (result.folder / "stages").iterdir()] == ["1-body.safetensors"]
    assert result.steps == 3 * 7 + 5
    assert not result.was_finished
    tensors, header = read_tensors(result.model)
    assert same(tensors, stored_tensors(method))
    assert json.loads(header["label_ids"]) == ["ann", "bob", "eve"]
    assert json.loads(header["extra"])["steps"] == 26
    checkpoint = read_header(next((result.folder / "checkpoints").iterdir()))
    assert {json.loads(h["extra"])["trained_on"] for h in (header, checkpoint)} == {"toys?trial=2"}
    assert not method.training


def test_lines_of_the_log(toy, tmp_path):
    _, _, result = toy.train_toy(tmp_path)
    records = read_log(result.folder / "metrics.jsonl")
    assert [r["step"] for r in records] == [3, 6, 7, 9, 12, 14, 15, 18, 21, 24, 26]
    assert [r["stage"] for r in records] == ["body"] * 9 + ["bias"] * 2
    first = records[0]
    assert first["losses"].keys() == {"id", "pull", "total"}
    assert first["losses"]["total"] == pytest.approx(first["losses"]["id"] + 0.5 * first["losses"]["pull"])
    assert first["lr"] == {"slow+norm": pytest.approx(1e-4), "head": pytest.approx(5e-4)}
    assert first["grad_norm"] > 0
    assert set(first["seconds"]) == {"data", "prepare", "forward", "backward", "optimiser", "other", "wall"}


def test_only_declared_parameters_move(toy, tmp_path):
    method = toy.build()
    before = {name: t.clone() for name, t in all_tensors(method).items()}
    trained, _, _ = toy.train_toy(tmp_path)
    moved = {n for n, t in all_tensors(trained).items() if not torch.equal(t, before[n])}
    assert moved == {
        *(f"{part}.{kind}" for part in ("body", "norm", "head") for kind in ("weight", "bias")),
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
        "bank",
        "steps_seen",
    }
    flags = {n: p.requires_grad for n, p in trained.named_parameters()}
    assert [n for n, flag in flags.items() if not flag] == ["frozen.weight"]


def test_hooks_are_called_in_order(toy, tmp_path, monkeypatch):
    method = toy.build()
    stages = method.stages()
    monkeypatch.setattr(toy.Toy, "stages", lambda self: stages)
    monkeypatch.setattr(stages[0], "method", None)
    real = toy.train_method

    def train(built, *args, **kwargs):
        stages[0].method = stages[1].method = built
        return real(built, *args, **kwargs)

    monkeypatch.setattr(toy, "train_method", train)
    toy.train_toy(tmp_path)
    epochs = [("before_epoch", epoch) for epoch in range(3)]
    assert stages[0].calls == [("before_stage", False), *epochs, ("after_stage", None)]


def test_the_same_seed_gives_the_same_run_and_another_not(toy, tmp_path):
    runs = [toy.train_toy(tmp_path / str(i), {"seed": seed}) for i, seed in enumerate((1, 1, 2))]
    assert same(all_tensors(runs[0][0]), all_tensors(runs[1][0]))
    assert not same(all_tensors(runs[0][0]), all_tensors(runs[2][0]))


def test_the_caller_s_generator_is_left_alone(toy, tmp_path):
    torch.manual_seed(123)
    method = toy.build()
    source = toy.ToySource(method.config)
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    toy.train_method(
        method, source, toy.TrainingConfig(device="cpu", tensorboard=False, max_steps=2), tmp_path
    )
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("extras", [{}, {"ema": 0.5, "precision": "bf16-mixed", **VALIDATED}])
def test_resume_after_death_in_any_step_is_exact(toy, tmp_path, dies, extras, monkeypatch):
    training = {"checkpoint_every_steps": 4, **extras}
    expected, _, whole = toy.train_toy(tmp_path / "whole", training)
    for died_in in (1, 2, 4, 5, 6, 8, 13, 21):
        out = tmp_path / str(died_in)
        with monkeypatch.context() as patch:
            real, made = toy.Body.step, [0]

            def step(self, batch, real=real, made=made, died_in=died_in):
                made[0] += 1
                if made[0] == died_in:
                    raise Died
                return real(self, batch)

            patch.setattr(toy.Body, "step", step)
            with pytest.raises(Died):
                toy.train_toy(out, training)
        method, _, result = toy.train_toy(out, training, resume=True)
        assert curve(out) == curve(whole.folder)
        assert same(all_tensors(method), all_tensors(expected))
        assert result.fingerprint == whole.fingerprint


def test_resume_twice_and_across_stages(toy, tmp_path, monkeypatch):
    expected, _, whole = toy.train_toy(tmp_path / "whole", EVERY_STEP)
    out = tmp_path / "run"
    for stage, died_in in ((toy.Body, 3), (toy.Body, 4), (toy.Bias, 2), (toy.Bias, 1)):
        with monkeypatch.context() as patch:
            real, made = stage.step, [0]

            def step(self, batch, real=real, made=made, died_in=died_in):
                made[0] += 1
                if made[0] == died_in:
                    raise Died
                return real(self, batch)

            patch.setattr(stage, "step", step)
            with pytest.raises(Died):
                toy.train_toy(out, EVERY_STEP, resume=True)
    method, _, _ = toy.train_toy(out, EVERY_STEP, resume=True)
    assert curve(out) == curve(whole.folder)
    assert same(all_tensors(method), all_tensors(expected))


def test_a_resumed_stage_is_told(toy, tmp_path, dies, monkeypatch):
    dies(5)
    with pytest.raises(Died):
        toy.train_toy(tmp_path, EVERY_STEP)
    monkeypatch.undo()
    notes, calls = Notes(), []
    real = toy.Body.before_stage
    monkeypatch.setattr(
        toy.Body, "before_stage", lambda self, c: (calls.append((c.resumed, set(c.state))), real(self, c))[1]
    )
    toy.train_toy(tmp_path, EVERY_STEP, resume=True, progress=notes)
    assert calls == [(True, {"memory", "noise", "anchor"})]
    assert notes.texts[0].startswith("resumed after step 4 from ")
    assert notes.stages == [("body", 21, 4), ("bias", 5, 0)]
    assert notes.done[-1] == 5


def test_resuming_a_finished_run_says_so(toy, tmp_path):
    _, _, first = toy.train_toy(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    notes = Notes()
    _, _, second = toy.train_toy(tmp_path, resume=True, progress=notes)
    assert second.was_finished
    assert (second.steps, second.fingerprint) == (first.steps, first.fingerprint)
    assert "is finished: 26 steps" in notes.texts[0]
    assert before == {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}


def test_refusals(toy, tmp_path, dies, monkeypatch):
    dies(5)
    with pytest.raises(Died):
        toy.train_toy(tmp_path, EVERY_STEP)
    monkeypatch.undo()
    with pytest.raises(FileExistsError, match=str(tmp_path)):
        toy.train_toy(tmp_path, EVERY_STEP)
    with pytest.raises(ConfigError, match=r"training\.seed was 1, now 2"):
        toy.train_toy(tmp_path, {**EVERY_STEP, "seed": 2}, resume=True)
    with pytest.raises(ConfigError, match=r"config\.epochs was 3, now 4"):
        toy.train_toy(tmp_path, EVERY_STEP, resume=True, epochs=4)
    with pytest.raises(CheckpointError, match="other data"):
        toy.train_toy(tmp_path, EVERY_STEP, resume=True, fingerprint="other")
    monkeypatch.setattr(toy, "Toy", type("Wider", (toy.Toy,), {"__init__": wider}))
    with pytest.raises(CheckpointError, match=r"body\.weight is \[4, 3\] float32, expected \[4, 5\] float32"):
        toy.train_toy(tmp_path, EVERY_STEP, resume=True)


def wider(self, config, num_identities=3, num_cameras=2):
    type(self).__mro__[1].__init__(self, config, num_identities, num_cameras)
    self.body = torch.nn.Linear(5, 4)


def test_the_average_is_validated_and_kept(toy, tmp_path):
    plain, _, _ = toy.train_toy(tmp_path / "plain")
    averaged, source, _ = toy.train_toy(tmp_path / "ema", {"ema": 0.9, **VALIDATED})
    assert not torch.equal(plain.body.weight, averaged.body.weight)
    assert torch.equal(source.validated[2]["body.weight"], averaged.body.weight)


def test_validation_changes_nothing(toy, tmp_path):
    plain, _, one = toy.train_toy(tmp_path / "plain")
    watched, _, two = toy.train_toy(tmp_path / "watched", VALIDATED)
    assert same(all_tensors(plain), all_tensors(watched))
    lines = [r for r in curve(two.folder) if r["kind"] == "train"]
    assert lines == curve(one.folder)
    assert [r["step"] for r in curve(two.folder) if r["kind"] == "validation"] == [7, 14, 21, 26]


def test_the_best_is_kept_where_asked(toy, tmp_path, monkeypatch):
    figures = iter([0.1, 0.9, 0.3, 0.2])
    seen = []

    def validate(self, method):
        seen.append({n: t.clone() for n, t in stored_tensors(method).items()})
        figure = next(figures)
        return {"a-to-b": {"mAP": figure, "rank-1": 0.0}, "b-to-a": {"mAP": figure, "rank-1": 0.0}}

    monkeypatch.setattr(toy.ToySource, "validate", validate)
    monkeypatch.setattr("tapetum.methods._checkpoint.method_class", lambda name: toy.Toy)
    _, _, result = toy.train_toy(tmp_path, {"keep": "best", **VALIDATED})
    assert same(read_tensors(result.model)[0], seen[1])


def test_a_loss_that_is_not_finite_stops_the_run(toy, tmp_path):
    with pytest.raises(FloatingPointError, match=r"stage 'body', step 5: .*id = nan, pull = .*total = nan"):
        toy.train_toy(tmp_path, {"checkpoint_every_steps": 3}, poison_at=5)
    assert [r["step"] for r in read_log(tmp_path / "metrics.jsonl")] == [3]
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000000003.safetensors"]


def test_no_checkpoint_is_written_of_a_poisoned_run(toy, tmp_path):
    with pytest.raises(FloatingPointError, match="step 2"):
        toy.train_toy(tmp_path, {**EVERY_STEP, "log_every": 100}, poison_at=2)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000000001.safetensors"]


def test_a_gradient_that_is_not_finite_is_named(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("tapetum.training.learner.gradient_norm", lambda _: torch.tensor(float("inf")))
    with pytest.raises(
        FloatingPointError, match="step 3: the losses are finite, but the gradient norm is inf"
    ):
        toy.train_toy(tmp_path)


def test_no_checkpoint_is_written_of_weights_that_are_not_finite(toy, tmp_path, monkeypatch):
    real = toy.Body.step

    def step(self, batch):
        losses = real(self, batch)
        if int(self.method.steps_seen) == 2:
            losses["pull"].register_hook(lambda gradient: gradient * float("nan"))
        return losses

    monkeypatch.setattr(toy.Body, "step", step)
    with pytest.raises(FloatingPointError, match="stage 'body', step 2: a weight is not a finite number"):
        toy.train_toy(tmp_path, EVERY_STEP)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000000001.safetensors"]


def test_gradients_are_clipped(toy, tmp_path):
    _, _, result = toy.train_toy(tmp_path / "run", grad_clip=1e-3)
    free, _, _ = toy.train_toy(tmp_path / "free")
    clipped, _, _ = toy.train_toy(tmp_path / "again", grad_clip=1e-3)
    assert read_log(result.folder / "metrics.jsonl")[0]["grad_norm"] > 1e-3  # as it was before clipping
    assert not torch.equal(free.body.weight, clipped.body.weight)


def test_max_steps_shortens_each_stage(toy, tmp_path):
    _, _, result = toy.train_toy(tmp_path, {"max_steps": 4})
    assert result.steps == 8
    rates = [r["lr"] for r in read_log(tmp_path / "metrics.jsonl")]
    assert rates[-1]["bias"] == pytest.approx(0.1)


def test_a_full_disk_names_the_file_and_keeps_the_last_checkpoint(toy, tmp_path, monkeypatch):
    import safetensors.torch as safetensors

    real, written = safetensors.save_file, []

    def save(tensors, path, metadata):
        written.append(path)
        if len(written) == 3:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real(tensors, path, metadata)

    monkeypatch.setattr(safetensors, "save_file", save)
    with pytest.raises(OSError, match="No space left on device") as caught:
        toy.train_toy(tmp_path, {"checkpoint_every_steps": 2})
    assert caught.value.filename == str(tmp_path / "checkpoints" / "step-000000006.safetensors")
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [
        "step-000000002.safetensors",
        "step-000000004.safetensors",
    ]
    monkeypatch.undo()
    toy.train_toy(tmp_path / "whole", {"checkpoint_every_steps": 2})
    toy.train_toy(tmp_path, {"checkpoint_every_steps": 2}, resume=True)


def test_a_limit_of_time_is_planned_once_and_resumed(toy, tmp_path, dies, monkeypatch):
    monkeypatch.setattr("tapetum.training.stage_run.affordable_steps", lambda declared, *_: min(declared, 9))
    limited = {"max_minutes": 1.0, "checkpoint_every_steps": 2}
    notes = Notes()
    expected, _, whole = toy.train_toy(tmp_path / "whole", limited, progress=notes)
    assert whole.steps == 9 + 5
    assert notes.texts[0] == "body: 9 of 21 steps fit the time"
    assert json.loads((whole.folder / "plan.json").read_text()) == {"0": 9, "1": 5}
    free, _, _ = toy.train_toy(tmp_path / "free", {"max_steps": 9})
    assert same(stored_tensors(free), stored_tensors(expected))  # measuring left no trace
    dies(7 + 6)  # an epoch of 7 steps is tried and undone
    with pytest.raises(Died):
        toy.train_toy(tmp_path / "run", limited)
    monkeypatch.undo()
    monkeypatch.setattr("tapetum.training.stage_run.affordable_steps", lambda declared, *_: min(declared, 5))
    again, _, _ = toy.train_toy(tmp_path / "run", limited, resume=True)
    assert curve(tmp_path / "run") == curve(whole.folder)
    assert same(stored_tensors(again), stored_tensors(expected))


def test_a_training_checkpoint_tells_its_method(toy, tmp_path):
    toy.train_toy(tmp_path, EVERY_STEP)
    path = max((tmp_path / "checkpoints").iterdir())
    header = read_header(path)
    assert (header["method"], header["num_identities"]) == ("toy", "3")


def test_the_method_learns_which_cameras_its_indices_stand_for(toy, tmp_path, monkeypatch):
    method, _, _ = toy.train_toy(tmp_path / "run")
    assert method.camera_ids == (1, 2)
    assert method.num_cameras == 2
    monkeypatch.setattr(toy.ToySource, "camera_ids", (1, 2, 5))
    toy.train_toy(tmp_path / "other")
    monkeypatch.setattr(toy.Toy, "reads_cameras", True)
    with pytest.raises(ValueError, match=r"built for 2 cameras, but .* seen by 3: 1, 2, 5"):
        toy.train_toy(tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(("linears", "precision", "expected"), [
    ("torch", "32-true", []),
    ("onednn", "32-true", ["forward", "input", "weight"]),
    ("onednn", "bf16-mixed", []),
    ("auto", "32-true", ["weight"]),
])  # fmt: skip
def test_the_library_of_linear_layers_is_settled_as_a_run_starts(
    toy, tmp_path, monkeypatch, linears, precision, expected
):
    monkeypatch.setattr(devices, "has_onednn", lambda: True)
    monkeypatch.setattr(devices, "quicker_by_onednn", lambda: frozenset(("weight",)))
    _, _, result = toy.train_toy(tmp_path / "run", {"linears": linears, "precision": precision})
    assert read_yaml(result.folder / "config.yaml")["record"]["onednn_products"] == expected


def test_a_library_that_is_not_there_is_refused(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "has_onednn", lambda: False)
    with pytest.raises(ValueError, match=r"training\.linears = 'onednn'"):
        toy.train_toy(tmp_path / "run", {"linears": "onednn"})
