"""Lines of the log during a stage: mean losses, rates, and where the time went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from tapetum.training.devices import mean_over_processes
from tapetum.training.learner import Learner
from tapetum.training.meter import LossMeter, check_finite, mean_losses
from tapetum.training.session import Session
from tapetum.training.timing import COMPUTE, create_timer
from tapetum.types import Batch


class StageLog:
    """Collects what steps report and writes it line by line.

    Attributes:
        timer: Marks the phases of a step.
    """

    def __init__(self, session: Session, stage: str) -> None:
        self.timer = create_timer(session.fabric.device)
        self._session = session
        self._stage = stage
        self._meter = LossMeter(partial(mean_over_processes, session.fabric))
        self._clips = self._frames = 0

    def add(self, batch: Batch, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """Take in one step; nothing is fetched from the device yet."""
        self._meter.add(losses, total)
        clips = batch.clips.shape[0] * self._session.fabric.world_size
        self._clips += clips
        self._frames += clips * batch.clips.shape[1]

    def fetch(self, present: Sequence[Tensor] = ()) -> list[float]:
        """Bring the losses of the steps so far to the host, into the session's position.

        Args:
            present: Scalars to bring along, in the same transfer.

        Returns:
            The values of `present`.

        Raises:
            FloatingPointError: A loss is not finite; its step and all losses of that step are named.
        """
        position = self._session.position
        rows, values = self._meter.fetch(present)
        check_finite(rows, self._stage, position.step)
        position.pending += rows
        return values

    def write(self, epoch: int, learner: Learner, monitors: Mapping[str, Tensor]) -> None:
        """Write a line on all steps since the last, with the scalars `monitors` as they are now.

        Raises:
            FloatingPointError: A loss or the gradient norm is not finite.
        """
        norm = learner.gradient_norm
        found = self.fetch([torch.zeros(()) if norm is None else norm, *monitors.values()])
        gradient_norm, figures = self._checked_norm(found[0]), zip(monitors, found[1:], strict=True)
        position = self._session.position
        record = {
            "kind": "train",
            **self._place(epoch),
            "losses": mean_losses(position.pending),
            "lr": learner.rates,
            "grad_norm": gradient_norm,
            **({"monitors": _finite(dict(figures))} if monitors else {}),
            **self._measurements(),
        }
        self._session.write(record)
        position.pending = []
        self._session.progress.advance(position.stage_step, record)

    def record(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write what a hook measured as a line of its own; nothing where there are no values."""
        if values:
            self._session.write({"kind": "monitor", **self._place(epoch), "monitors": _finite(values)})

    def _place(self, epoch: int) -> dict[str, object]:
        return {"stage": self._stage, "epoch": epoch, "step": self._session.position.step}

    def restart_clock(self) -> None:
        """Begin to measure anew, after something that is no part of training steps."""
        self.timer.read()
        self._clips = self._frames = 0

    def _checked_norm(self, norm: float) -> float:
        if not math.isfinite(norm):
            step = self._session.position.step
            raise FloatingPointError(
                f"stage {self._stage!r}, step {step}: the losses are finite, but the gradient norm is {norm}"
            )
        return norm

    def _measurements(self) -> dict[str, object]:
        seconds = self.timer.read()
        wall = max(seconds["wall"], 1e-9)
        clips, frames, self._clips, self._frames = self._clips, self._frames, 0, 0
        return {
            "clips_per_s": round(clips / wall, 3),
            "frames_per_s": round(frames / wall, 3),
            "data_share": round(seconds["data"] / wall, 4),
            "compute_share": round(sum(seconds[name] for name in COMPUTE) / wall, 4),
            "seconds": {name: round(value, 6) for name, value in seconds.items()},
            "elapsed_s": round(self._session.elapsed_s, 3),
        }


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """The values as the log can hold them: one that is no finite number is kept as null, and stops no run."""
    found = {name: float(value) for name, value in values.items()}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
