import pytest
import torch

from tapetum.training.meter import LossMeter, check_finite, mean_losses


def test_losses_come_back_step_by_step():
    meter = LossMeter()
    meter.add({"id": torch.tensor(1.0), "pull": torch.tensor(3.0)}, torch.tensor(2.5))
    meter.add({"id": torch.tensor(0.1)}, torch.tensor(0.1))
    assert meter.fetch() == (
        [
            {"id": 1.0, "pull": 3.0, "total": 2.5},
            {"id": pytest.approx(0.1), "total": pytest.approx(0.1)},
        ],
        [],
    )
    assert meter.fetch() == ([], [])


def test_other_scalars_come_along_in_one_transfer(monkeypatch):
    transfers, real = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: (transfers.append(len(self)), real(self))[1])
    meter = LossMeter()
    meter.add({"id": torch.tensor(1.0)}, torch.tensor(1.5))
    weight = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    assert meter.fetch([weight * 2, torch.tensor(7)]) == ([{"id": 1.0, "total": 1.5}], [4.0, 7.0])
    assert transfers == [4]
    assert meter.fetch([torch.tensor(3.0)]) == ([], [3.0])


def test_no_graph_is_kept():
    weight = torch.ones((), requires_grad=True)
    meter = LossMeter()
    meter.add({"id": weight * 2}, weight * 2)
    assert not meter._values[0].requires_grad


def test_values_are_reduced_over_processes():
    meter = LossMeter(lambda values: values / 2)
    meter.add({}, torch.tensor(3.0))
    assert meter.fetch([torch.tensor(4.0)]) == ([{"total": 1.5}], [2.0])


def test_a_loss_that_comes_and_goes_is_averaged_over_its_own_steps():
    assert mean_losses([{"a": 1.0}, {"a": 2.0, "b": 5.0}]) == {"a": 1.5, "b": 5.0}
    assert mean_losses([]) == {}


def test_the_first_bad_step_is_named_with_all_its_losses():
    rows = [{"id": 1.0, "total": 1.0}, {"id": float("nan"), "total": float("inf")}, {"id": float("nan")}]
    with pytest.raises(FloatingPointError, match=r"stage 'x', step 11: .*id = nan, total = inf"):
        check_finite(rows, "x", 12)
    check_finite(rows[:1], "x", 10)
