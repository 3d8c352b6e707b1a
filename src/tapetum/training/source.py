"""What the loop asks of its data; the loop itself touches no file of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import torch

from tapetum.data import step_seed
from tapetum.methods._base import Method, Stage
from tapetum.types import Batch, Id, Preprocessing

ValidationScores = dict[str, dict[str, float]]
"""Figures by direction ("infrared-to-visible", "visible-to-infrared"), then by name ("mAP", "rank-1")."""


class BatchSource(Protocol):
    """Batches of one stage."""

    def batches(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of `epoch` from `start_step` on, clips uint8; a function of these two numbers alone."""


class TrainingSource(Protocol):
    """Training data as the loop sees it."""

    title: str
    label_ids: tuple[Id, ...]
    camera_ids: tuple[Id, ...]
    fingerprint: str

    def steps_per_epoch(self, stage: Stage) -> int:
        """Steps of an epoch of `stage` as they follow from the data."""

    def open_stage(self, stage: Stage, index: int) -> AbstractContextManager[BatchSource]:
        """The batches that `stage`, the run's `index`-th, asks for."""

    def iterate(
        self, device: torch.device, share: float = 1.0, turn: tuple[int, int] = (0, 1)
    ) -> Iterator[Batch]:
        """Every training tracklet once, or a share, as `StageContext.iterate_training_set` promises."""

    def validate(self, method: Method) -> ValidationScores:
        """Both directions between the held-out identities' infrared and visible tracklets."""


class SeedBatches:
    """Batches without rows, for a stage that learns from cached features: all they bring is a seed."""

    def __init__(self, steps: int, preprocessing: Preprocessing, seed: int) -> None:
        self._steps, self._size, self._seed = steps, preprocessing, seed

    def batches(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of `epoch` from `start_step` on, clips uint8 `[0, T, 3, H, W]`."""
        size = self._size
        clips = torch.empty(0, size.frames, 3, size.height, size.width, dtype=torch.uint8)
        none = torch.empty(0, dtype=torch.int64)
        for step in range(start_step, self._steps):
            yield Batch(clips, none, none.bool(), none, step_seed(self._seed, epoch, step))
