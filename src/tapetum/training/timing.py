"""Where the time of a step goes, measured without making the host wait for the device."""

from __future__ import annotations

import time

import torch

PHASES = ("data", "prepare", "forward", "backward", "optimiser")
"""Waiting for a batch, moving and normalising it, losses, gradients, update; in this order within a step."""

COMPUTE = ("forward", "backward", "optimiser")
"""The phases a run should spend its time in."""


class StepTimer:
    """Seconds per phase, summed over steps: host clock, exact where the host itself computes."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._last = self._began = time.perf_counter()

    def mark(self, phase: str) -> None:
        """Say that `phase` ends here; it began where the one before ended."""
        now = time.perf_counter()
        self._seconds[phase] += now - self._last
        self._last = now

    def skip(self) -> None:
        """Leave the time since the last mark out of all phases (it is neither reading nor computing)."""
        self._last = time.perf_counter()

    def read(self) -> dict[str, float]:
        """Seconds per phase, `other`, and `wall` for all since the last call; counting starts anew."""
        wall = time.perf_counter() - self._began
        seconds = self._phases()
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._last = self._began = time.perf_counter()
        return {**seconds, "other": max(0.0, wall - sum(seconds.values())), "wall": wall}

    def _phases(self) -> dict[str, float]:
        return dict(self._seconds)


class CudaStepTimer(StepTimer):
    """The same on a CUDA device: events in its queue time the phases that run there."""

    def __init__(self) -> None:
        super().__init__()
        self._event = self._record()
        self._spans: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    def mark(self, phase: str) -> None:
        """Say that `phase` ends here; waiting for data is the host's time, all else the device's."""
        event = self._record()
        if phase == "data":
            super().mark(phase)
        else:
            self._spans.append((phase, self._event, event))
            super().skip()
        self._event = event

    def _phases(self) -> dict[str, float]:
        seconds = super()._phases()
        self._event.synchronize()
        for phase, start, end in self._spans:
            seconds[phase] += start.elapsed_time(end) / 1000
        self._spans = []
        return seconds

    @staticmethod
    def _record() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def create_timer(device: torch.device) -> StepTimer:
    """The timer that fits `device`."""
    return CudaStepTimer() if device.type == "cuda" else StepTimer()
