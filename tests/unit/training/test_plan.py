import torch
from torch import nn

from tapetum.methods._base import ScheduleConfig, StageContext
from tapetum.training.plan import RESERVE, affordable_steps, measure_step, share_of_time, undisturbed


class Planned:
    def __init__(self, epochs: int, steps: int) -> None:
        self.schedule = ScheduleConfig(epochs=epochs, steps_per_epoch=steps)


def test_steps_that_fit_by_hand():
    assert RESERVE == 0.95
    assert affordable_steps(1000, 100.0, 1.0, 0.0, 10) == 95
    assert affordable_steps(1000, 100.0, 1.0, 9.0, 10) == 50
    assert affordable_steps(30, 100.0, 1.0, 0.0, 10) == 30
    assert affordable_steps(30, 0.0, 1.0, 0.0, 10) == 1
    assert affordable_steps(30, 1.0, 0.0, 0.0, 10) == 30


def test_stages_share_time_by_their_steps():
    stages = [Planned(2, 10), Planned(6, 10)]
    assert share_of_time(80.0, stages, None) == 20.0
    assert share_of_time(80.0, stages, 20) == 40.0
    assert share_of_time(80.0, stages[1:], None) == 80.0


def test_measuring_makes_a_few_steps_and_closes_the_batches():
    closed, numbers = [], []

    def batches():
        try:
            while True:
                yield "batch"
        finally:
            closed.append(True)

    def step(batch, number):
        numbers.append(number)
        return torch.zeros(())

    assert measure_step(step, batches()) > 0
    assert numbers == list(range(10))
    assert closed == [True]


def test_measuring_is_content_with_one_batch():
    assert measure_step(lambda batch, number: torch.zeros(()), (b for b in ["only"])) > 0


def test_everything_is_put_back():
    module = nn.BatchNorm1d(2)
    module.register_buffer("hidden", torch.zeros(1), persistent=False)
    kept = torch.ones(2)
    context = StageContext(state={"memory": kept})
    before = {n: t.clone() for n, t in [*module.named_parameters(), *module.named_buffers()]}
    with undisturbed(module, context):
        module(torch.randn(4, 2))
        module.weight.data.add_(1)
        module.hidden.add_(1)
        kept.add_(5)
        context.state["memory"] = torch.zeros(9)
        context.state["new"] = torch.zeros(1)
    assert all(torch.equal(t, before[n]) for n, t in [*module.named_parameters(), *module.named_buffers()])
    assert list(context.state) == ["memory"]
    assert context.state["memory"] is kept
    assert torch.equal(kept, torch.ones(2))
