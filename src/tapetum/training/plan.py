"""How many steps a stage makes when the run's time is limited; settled once per stage and kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise

from torch import Tensor

from tapetum.methods._base import Method, Stage, StageContext
from tapetum.methods._checkpoint import all_tensors
from tapetum.training.schedule import stage_steps
from tapetum.types import Batch

_WARM_UP = 2
_MEASURED = 8

RESERVE = 0.95
"""Share of the time that is planned; the rest goes to the log, checkpoints and the odd slow step."""


def affordable_steps(
    declared: int, seconds: float, per_step: float, per_epoch: float, steps_per_epoch: int
) -> int:
    """Steps that fit into `seconds`, at least 1 and at most `declared`.

    Args:
        declared: Steps without a limit.
        seconds: Time for the stage.
        per_step: Seconds of a step, reading included.
        per_epoch: Seconds of what precedes each epoch.
        steps_per_epoch: Steps that share `per_epoch`.

    >>> affordable_steps(4800, 95.0, 0.5, 9.0, 20)
    95
    """
    each = max(per_step + per_epoch / steps_per_epoch, 1e-9)
    return max(1, min(declared, int(RESERVE * seconds / each)))


def share_of_time(seconds: float, stages: Sequence[Stage], max_steps: int | None) -> float:
    """Part of `seconds` for the first of `stages`, which share it by their numbers of steps."""
    steps = [stage_steps(stage.schedule, max_steps) for stage in stages]
    return seconds * steps[0] / sum(steps)


def measure_step(step: Callable[[Batch, int], Tensor], batches: Generator[Batch, None, None]) -> float:
    """Seconds that a step takes, reading included, after a few to warm up; closes `batches`.

    Args:
        step: Makes a step from a batch and its number; the result is waited for.
        batches: At least one batch.
    """
    marks = [time.perf_counter()]
    with closing(batches):
        for number, batch in zip(range(_WARM_UP + _MEASURED), batches, strict=False):
            step(batch, number).item()
            marks.append(time.perf_counter())
    times = [end - start for start, end in pairwise(marks)]
    return statistics.median(times[_WARM_UP:] or times)


@contextmanager
def undisturbed(method: Method, context: StageContext) -> Iterator[None]:
    """On leaving, the method's tensors and the stage's state are as they were on entering."""
    tensors = {name: (tensor, tensor.clone()) for name, tensor in all_tensors(method).items()}
    state = {name: (tensor, tensor.clone()) for name, tensor in context.state.items()}
    try:
        yield
    finally:
        for tensor, copy in [*tensors.values(), *state.values()]:
            tensor.copy_(copy)
        context.state.clear()
        context.state.update({name: tensor for name, (tensor, _) in state.items()})
