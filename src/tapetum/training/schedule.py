"""The learning rate over a stage, as a pure function of the step."""

from __future__ import annotations

import math

from tapetum.methods._base import ScheduleConfig


def stage_steps(schedule: ScheduleConfig, max_steps: int | None = None) -> int:
    """Steps of a stage: epochs x steps per epoch, or `max_steps` where that is fewer."""
    declared = schedule.epochs * schedule.epoch_steps
    return declared if max_steps is None else min(declared, max_steps)


def rate_factor(schedule: ScheduleConfig, step: int, total: int) -> float:
    """Factor of the base learning rate at `step` (from 0) of a stage of `total` steps.

    With p the position in epochs: `start + (1 - start) p / warmup` below the warm-up, then
    `final + (1 - final) (1 + cos(pi p / epochs)) / 2`; the cosine counts the warm-up's epochs too. A linear
    fall does not: `final + (1 - final) (epochs - p) / (epochs - warmup)`. With milestones, the warm-up's
    factor (1 after it) times `decay` for each milestone that p has reached. A stage that was shortened passes
    through the whole schedule in the steps it has. Unless `per_step`, p is cut to whole epochs, so the factor
    changes once an epoch.

    >>> s = ScheduleConfig(epochs=24, steps_per_epoch=200, warmup_epochs=3, warmup_start=0.01, final=0.01)
    >>> [round(rate_factor(s, step, 4800), 3) for step in (0, 199, 200, 400, 600, 2400, 4799)]
    [0.01, 0.01, 0.34, 0.67, 0.962, 0.505, 0.014]
    """
    position = step * schedule.epochs / total if schedule.per_step else step * schedule.epochs // total
    warmup = 1.0
    if position < schedule.warmup_epochs:
        warmup = schedule.warmup_start + (1 - schedule.warmup_start) * position / schedule.warmup_epochs
    if schedule.milestones is not None:
        return warmup * schedule.decay ** sum(position >= epoch for epoch in schedule.milestones)
    if position < schedule.warmup_epochs:
        return warmup
    if schedule.fall == "linear":
        share = (schedule.epochs - position) / (schedule.epochs - schedule.warmup_epochs)
    else:
        share = (1 + math.cos(math.pi * position / schedule.epochs)) / 2
    return schedule.final + (1 - schedule.final) * share
