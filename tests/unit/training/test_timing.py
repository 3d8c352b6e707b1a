import torch

from tapetum.training import timing
from tapetum.training.timing import StepTimer, create_timer


def test_phases_add_up_on_a_clock_by_hand(monkeypatch):
    ticks = iter([0.0, 1.0, 3.0, 7.0, 7.5, 10.0, 20.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    timer = StepTimer()  # 0
    timer.mark("data")  # 1
    timer.mark("forward")  # 3
    timer.skip()  # 7
    timer.mark("backward")  # 7.5
    found = timer.read()  # 10, and anew from 20
    assert found == {
        "data": 1.0,
        "prepare": 0.0,
        "forward": 2.0,
        "backward": 0.5,
        "optimiser": 0.0,
        "other": 6.5,
        "wall": 10.0,
    }


def test_reading_starts_anew():
    timer = create_timer(torch.device("cpu"))
    timer.mark("data")
    timer.read()
    assert timer.read()["data"] == 0.0
