import math

import pytest

from tapetum.methods._base import ScheduleConfig
from tapetum.training.schedule import rate_factor, stage_steps


def test_per_epoch_values_by_hand():
    schedule = ScheduleConfig(epochs=4, steps_per_epoch=2, warmup_epochs=2, warmup_start=0.1, final=0.2)
    factors = [rate_factor(schedule, step, 8) for step in range(8)]
    at_two = 0.2 + 0.8 * (1 + math.cos(math.pi / 2)) / 2
    at_three = 0.2 + 0.8 * (1 + math.cos(3 * math.pi / 4)) / 2
    assert factors == pytest.approx([0.1, 0.1, 0.55, 0.55, at_two, at_two, at_three, at_three])


def test_per_step_values_by_hand():
    schedule = ScheduleConfig(
        epochs=2, steps_per_epoch=4, warmup_epochs=0.5, warmup_start=0.5, final=0.0, per_step=True
    )
    factors = [rate_factor(schedule, step, 8) for step in range(8)]
    cosine = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(2, 8)]
    assert factors == pytest.approx([0.5, 0.75, *cosine])


def test_a_linear_fall_by_hand():
    """One cycle in straight lines: up to the peak at epoch 1, down to nothing at epoch 5."""
    schedule = ScheduleConfig(
        epochs=5, steps_per_epoch=2, warmup_epochs=1, warmup_start=0.5, final=0, fall="linear", per_step=True
    )
    factors = [rate_factor(schedule, step, 10) for step in range(10)]
    assert factors == pytest.approx([0.5, 0.75, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    flat = schedule.model_copy(update={"final": 0.2, "warmup_epochs": 0})
    assert [rate_factor(flat, step, 10) for step in (0, 5)] == pytest.approx([1.0, 0.6])


def test_no_warm_up_starts_at_the_base_rate():
    schedule = ScheduleConfig(epochs=3, steps_per_epoch=5, warmup_epochs=0)
    assert rate_factor(schedule, 0, 15) == 1.0


def test_the_published_recipe():
    """24 epochs x 200 steps, 3 epochs of warm-up from 1 % of 2.5e-5, down to nearly 1 %."""
    schedule = ScheduleConfig()
    rates = [2.5e-5 * rate_factor(schedule, 200 * epoch, 4800) for epoch in range(24)]
    assert rates[0] == pytest.approx(2.5e-7)
    assert rates[1] == pytest.approx(2.5e-7 + (2.5e-5 - 2.5e-7) / 3)
    peak = 2.5e-7 + (2.5e-5 - 2.5e-7) * (1 + math.cos(math.pi / 8)) / 2
    assert max(rates) == rates[3] == pytest.approx(peak)
    assert rates[23] == pytest.approx(3.558e-7, rel=1e-3)


def test_a_shortened_stage_passes_through_the_whole_schedule():
    schedule = ScheduleConfig(epochs=24, steps_per_epoch=200)
    whole = [rate_factor(schedule, step, 4800) for step in range(0, 4800, 100)]
    short = [rate_factor(schedule, step, 48) for step in range(48)]
    assert short == whole


def test_steps_of_a_stage():
    schedule = ScheduleConfig(epochs=3, steps_per_epoch=5)
    assert stage_steps(schedule) == 15
    assert stage_steps(schedule, 4) == 4
    assert stage_steps(schedule, 400) == 15


def test_steps_after_a_warm_up_are_those_of_x_reid():
    """base * w(e) * 0.1 ** (milestones reached), w from 0.1 to 1 in ten epochs; once an epoch."""
    schedule = ScheduleConfig(
        epochs=60, steps_per_epoch=3, warmup_epochs=10, warmup_start=0.1, milestones=(30, 50)
    )
    factors = [rate_factor(schedule, step, 180) for step in range(180)]
    for step, factor in enumerate(factors):
        epoch = step // 3
        warmup = 0.1 * (1 - epoch / 10) + epoch / 10 if epoch < 10 else 1
        assert factor == pytest.approx(warmup * 0.1 ** ((epoch >= 30) + (epoch >= 50)))
    halved = schedule.model_copy(update={"milestones": (5,), "decay": 0.5})
    assert rate_factor(halved, 15, 180) == pytest.approx(0.5 * 0.55)
