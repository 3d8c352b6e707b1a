"""Batches of uint8 clips, made ahead of the model: training batches from a sampler, test clips in row order.

Every training batch is a function of (seed, epoch, step) and the place of a row in the batch of all processes
together: the number of workers, of processes, and where a run was resumed change no pixel. Clips stay uint8
until they are on the model's device (`Batch.normalised`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum.data.clip_reading import ClipReader
from tapetum.data.clips import TestSampling, TrainSampling, select_training_frames
from tapetum.data.datasets._base import DataSet
from tapetum.data.frames import FrameFiles, FrameSource
from tapetum.data.prefetching import Prefetcher
from tapetum.data.samplers import PkSampler
from tapetum.data.transforms import Augmentation, Clip, Exchange, augment
from tapetum.errors import DataError
from tapetum.types import Batch, Modality, Preprocessing, TrackletSet

_ROW_DRAWS, _STEP_DRAWS = 2, 3


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Training tracklets with what a batch says of them, row by row.

    Attributes:
        tracklets: N tracklets of known identity.
        labels: int64 `[N]`, training class.
        cameras: int64 `[N]`, index into the training cameras; -1 where unknown.
    """

    tracklets: TrackletSet
    labels: NDArray[np.int64]
    cameras: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: DataSet) -> TrainingRows:
        """The training tracklets of a data set, labelled by its `label_ids` and `camera_ids`.

        Raises:
            DataError: A tracklet's identity is unknown or not among `label_ids`.
        """
        label_of = {person: label for label, person in enumerate(dataset.label_ids)}
        camera_of = {camera: index for index, camera in enumerate(dataset.camera_ids)}
        for tracklet in dataset.train:
            if tracklet.person_id not in label_of:
                raise DataError(
                    f"{dataset.name}: training tracklet {tracklet.tracklet_id} is of person "
                    f"{tracklet.person_id!r}, which has no training label"
                )
        labels = np.array(
            [label_of[t.person_id] for t in dataset.train if t.person_id is not None], dtype=np.int64
        )
        cameras = [-1 if t.camera_id is None else camera_of[t.camera_id] for t in dataset.train]
        return cls(dataset.train, labels, np.array(cameras, dtype=np.int64))

    @property
    def modalities(self) -> list[Modality]:
        """Modality of each row."""
        return [t.modality for t in self.tracklets]


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """Test clips in row order.

    Attributes:
        rows: int64 `[B]`, the tracklet that each clip is of; a tracklet may have several clips, in a row.
        clips: uint8 `[B, T, 3, H, W]`.
    """

    rows: NDArray[np.int64]
    clips: Tensor

    def pin_memory(self) -> ClipBatch:
        """The same batch in page-locked memory."""
        return ClipBatch(self.rows, self.clips.pin_memory())


class TrainLoader:
    """Training batches of an epoch from any step on, made by worker processes or by one thread ahead of use.

    Attributes:
        startup_s: Seconds waited for the first batch of each pass, summed.
        waited_s: Seconds waited for all later batches, summed: near zero when the step never waits on data.
    """

    def __init__(
        self,
        rows: TrainingRows,
        sampler: PkSampler,
        preprocessing: Preprocessing,
        *,
        sampling: TrainSampling = "chunk-random",
        augmentation: Augmentation | None = None,
        exchanged_view: bool = False,
        source: FrameSource | None = None,
        seed: int = 0,
        workers: int = 0,
        pin: bool = False,
    ) -> None:
        """Prepare; nothing is read before the first batch is asked for.

        Args:
            rows: What is sampled from; the sampler's rows are rows of this.
            sampler: Says which rows make a batch.
            preprocessing: Height, width and frames of a clip.
            sampling: How T frames are chosen from a tracklet.
            augmentation: None: none.
            exchanged_view: Append a second view of each visible clip: the same frames, augmented by draws of
                their own, then a random channel copied into all three. The first views keep their colours.
            source: Frames of `rows.tracklets` at the right size; None: their files. Frames in memory are best
                used with `workers=0`: each worker process would hold its own copy.
            seed: Seed of the run.
            workers: Processes that make batches (each with one torch thread, started on first use and kept
                until `close`); 0: one thread of this process.
            pin: Put batches into page-locked memory, for an accelerator.
        """
        frames = source or FrameFiles(rows.tracklets, preprocessing.height, preprocessing.width)
        views = _Views(augmentation, _second_view(augmentation, preprocessing) if exchanged_view else None)
        maker = _TrainingBatches(rows, sampler, frames, preprocessing, sampling, views, seed)
        self.steps = sampler.steps
        self.startup_s = 0.0
        self.waited_s = 0.0
        self._feed = Prefetcher(maker, workers=workers, pin=pin)

    def batches(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from `start_step` to its end, clips uint8 `[B, T, 3, H, W]`.

        Raises:
            DataError: A frame cannot be read; the message names its file.
        """
        keys = [(epoch, step) for step in range(start_step, self.steps)]
        with closing(self._feed.stream(keys)) as stream:
            for count in range(len(keys) + 1):
                began = perf_counter()
                batch = next(stream, None)
                waited = perf_counter() - began
                if count:
                    self.waited_s += waited
                else:
                    self.startup_s += waited
                if batch is not None:
                    yield batch

    def close(self) -> None:
        """Stop the worker processes, if any; a later `batches` starts new ones."""
        self._feed.close()


def clip_batches(
    tracklets: TrackletSet,
    preprocessing: Preprocessing,
    *,
    sampling: TestSampling = "chunk-first",
    batch_size: int = 32,
    source: FrameSource | None = None,
    rows: NDArray[np.int64] | None = None,
    turn: tuple[int, int] = (0, 1),
    workers: int = 0,
    pin: bool = False,
) -> Iterator[ClipBatch]:
    """The test clips of `tracklets` in their order, `batch_size` at a time; the last batch may be smaller.

    With "dense" sampling a tracklet has several clips: average their features, then L2-normalise.

    Args:
        tracklets: What to read.
        preprocessing: Height, width and frames of a clip.
        sampling: How frames are chosen; see `select_test_frames`.
        batch_size: B, clips in a batch.
        source: Frames of `tracklets` at the right size; None: their files.
        rows: The tracklets to read, ascending; None: all.
        turn: (i, n): of each n batches the i-th alone is read, from 0; n processes read all of them.
        workers: Processes that make batches; 0: one thread of this process.
        pin: Put batches into page-locked memory, for an accelerator.

    Raises:
        ValueError: `batch_size` below 1 or an unknown `sampling`.
        DataError: A tracklet has no frames, or a frame cannot be read; the message names its file.
    """
    reader = ClipReader.of(
        tracklets, preprocessing, sampling=sampling, batch_size=batch_size, source=source, rows=rows
    )
    feed = Prefetcher(_TestBatches(reader), workers=workers, pin=pin)
    with closing(feed), closing(feed.stream(range(turn[0], len(reader), turn[1]))) as stream:
        yield from stream


@dataclass(frozen=True, slots=True)
class _Views:
    """How a clip is augmented, and how visible ones are a second time; None: not at all."""

    augmentation: Augmentation | None
    exchanged: Augmentation | None

    def write(
        self,
        clip: Clip,
        modality: Modality,
        generator: np.random.Generator,
        out: Clip,
    ) -> None:
        """The first view of `clip` into `out`; a visible clip that has a second one keeps its colours."""
        keeps_colours = self.exchanged is not None and modality is Modality.VISIBLE
        if self.augmentation is None:
            out[:] = clip
        else:
            exchange: Exchange | None = "never" if keeps_colours else None
            augment(clip, modality, generator, self.augmentation, out, exchange=exchange)

    def write_exchanged(self, clip: Clip, generator: np.random.Generator, out: Clip) -> None:
        """The second view of a visible `clip` into `out`."""
        if self.exchanged is not None:
            augment(clip, Modality.VISIBLE, generator, self.exchanged, out, exchange="always")


def _second_view(augmentation: Augmentation | None, preprocessing: Preprocessing) -> Augmentation:
    """The options of second views; where first ones are not augmented, for the exchange alone."""
    mean, std = preprocessing.mean, preprocessing.std
    return augmentation or Augmentation(pad=0, flip=0, erase=0, mean=mean, std=std)


class _TrainingBatches:
    """(epoch, step) -> Batch; pure, and small enough to be sent to worker processes."""

    def __init__(
        self,
        rows: TrainingRows,
        sampler: PkSampler,
        frames: FrameSource,
        preprocessing: Preprocessing,
        sampling: TrainSampling,
        views: _Views,
        seed: int,
    ) -> None:
        self.rows, self.sampler, self.frames, self.seed = rows, sampler, frames, seed
        self.preprocessing, self.sampling, self.views = preprocessing, sampling, views

    def __call__(self, key: tuple[int, int]) -> Batch:
        drawn = self.sampler.batch(*key)
        infrared = np.array([self._modality(int(row)) is Modality.INFRARED for row in drawn])
        again = np.flatnonzero(~infrared)[: None if self.views.exchanged else 0]
        index = np.concatenate([np.arange(len(drawn)), again])
        return Batch(
            torch.from_numpy(self._clips(key, drawn, again)),
            torch.from_numpy(self.rows.labels[drawn[index]]),
            torch.from_numpy(infrared[index]),
            torch.from_numpy(self.rows.cameras[drawn[index]]),
            step_seed(self.seed, *key),
            views=len(again),
            parts=self.sampler.parts + bool(len(again)),
        )

    def _clips(self, key: tuple[int, int], drawn: NDArray[np.int64], again: NDArray[np.int64]) -> Clip:
        """The clips of the rows `drawn`, then second views of those at the places `again`."""
        size = self.preprocessing
        shape = (len(drawn) + len(again), size.frames, 3, size.height, size.width)
        clips = np.empty(shape, dtype=np.uint8)
        second = dict(zip(again.tolist(), clips[len(drawn) :], strict=True))
        for i, (row, position) in enumerate(
            zip(drawn.tolist(), self.sampler.positions.tolist(), strict=True)
        ):
            generator = self._generator(key, position)
            clip = self._read(row, generator)
            self.views.write(clip, self._modality(row), generator, clips[i])
            if i in second:
                self.views.write_exchanged(
                    clip, self._generator(key, self.sampler.rows + position), second[i]
                )
        return clips

    def _generator(self, key: tuple[int, int], position: int) -> np.random.Generator:
        """Draws of the row that stands at `position` in the batch of all processes."""
        return np.random.default_rng([self.seed, _ROW_DRAWS, *key, position])

    def _read(self, row: int, generator: np.random.Generator) -> Clip:
        positions = select_training_frames(
            self.sampling, int(self.frames.lengths[row]), self.preprocessing.frames, generator
        )
        return self.frames.clip(row, positions)

    def _modality(self, row: int) -> Modality:
        modality: Modality = self.rows.tracklets[row].modality
        return modality


@dataclass(frozen=True, slots=True)
class _TestBatches:
    """Number of a batch -> ClipBatch; made where they are read, for tensors travel by shared memory."""

    reader: ClipReader

    def __call__(self, index: int) -> ClipBatch:
        found = self.reader(index)
        return ClipBatch(found.rows, torch.from_numpy(found.clips))


def step_seed(seed: int, epoch: int, step: int) -> int:
    """What all randomness on the model's side of a step is drawn from: 63 bits mixed from the numbers."""
    mixed = np.random.SeedSequence([seed, _STEP_DRAWS, epoch, step]).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
