import pytest
import torch
from safetensors.torch import save_file

from tapetum.errors import CheckpointError
from tapetum.training.checkpoint import Position, TrainingState, list_states, load_state, save_state

POSITION = Position(
    stage=1,
    stage_step=4,
    step=12,
    seconds=1.25,
    log_bytes=77,
    pending=[{"id": 0.1, "total": 1 / 3}],
    best=0.5,
)


def state(step: int = 12) -> TrainingState:
    POSITION.step = step
    return TrainingState(
        POSITION,
        model={"w": torch.tensor([1.0, float("nan")]), "count": torch.tensor(3)},
        averaged={"w": torch.tensor([0.5, 0.25])},
        optimizer={"w/exp_avg": torch.tensor([1e-30, 2.0])},
        state={"a/memory": torch.ones(2, 2, dtype=torch.bfloat16)},
    )


def test_everything_comes_back_exactly(tmp_path):
    path = save_state(tmp_path, state(), {"method": "toy"})
    found = load_state(path)
    assert found.position == POSITION
    for part in ("model", "averaged", "optimizer", "state"):
        given, got = getattr(state(), part), getattr(found, part)
        assert given.keys() == got.keys()
        for name in given:
            assert got[name].dtype == given[name].dtype
            torch.testing.assert_close(got[name], given[name], rtol=0, atol=0, equal_nan=True)


def test_the_last_two_are_kept_in_order_of_steps(tmp_path):
    for step in (9, 10, 100):
        save_state(tmp_path, state(step), {})
    (tmp_path / "step-notes.txt").write_text("mine")
    assert [p.name for p in list_states(tmp_path)] == [
        "step-000000010.safetensors",
        "step-000000100.safetensors",
    ]
    assert (tmp_path / "step-notes.txt").exists()


def test_a_failed_write_leaves_the_ones_before(tmp_path, monkeypatch):
    first = save_state(tmp_path, state(1), {})
    second = save_state(tmp_path, state(2), {})
    before = first.read_bytes(), second.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        save_state(tmp_path, state(3), {})
    assert caught.value.filename == str(tmp_path / "step-000000003.safetensors")
    assert (first.read_bytes(), second.read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_foreign_file_is_refused(tmp_path):
    save_file({"w": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors: no checkpoint of a training run"):
        load_state(tmp_path / "a.safetensors")


def test_a_cut_file_is_refused(tmp_path):
    path = save_state(tmp_path, state(), {})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        load_state(path)
