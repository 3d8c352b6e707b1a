"""A data set as a run trains on it: identities held out, frames opened, batches and passes made."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.data import (
    Augmentation,
    DataSet,
    FrameCache,
    FrameSource,
    PkSampler,
    TrainingRows,
    TrainLoader,
    clip_batches,
    divide_labels,
    open_frames,
)
from tapetum.errors import DataError
from tapetum.methods._base import AugmentConfig, BatchConfig, Method, Stage
from tapetum.training.config import TrainingConfig
from tapetum.training.source import ValidationScores
from tapetum.training.stage_settings import check_shares
from tapetum.training.validation import score_both_directions
from tapetum.types import Batch, Id, Modality, Preprocessing, TrackletSet

_PASS_BATCH = 32
_HOLD_OUT_DRAWS = 11


@dataclass(frozen=True, slots=True)
class Division:
    """What a run learns from and what it validates on.

    Attributes:
        learnt: The data set with the training identities that are left; labels count these alone.
        held_out: Training tracklets of the identities held out.
        fingerprint: Names the whole training part, however it is divided.
    """

    learnt: DataSet
    held_out: TrackletSet
    fingerprint: str


_FEWEST_IDENTITIES = 2
"""Fewer than these in a batch leave nothing to tell apart."""

_NAMED = 20
"""Identities that a message lists at most."""

_log = logging.getLogger(__name__)


class TrainingSet:
    """Training tracklets as the loop sees them: batches, passes, validation."""

    def __init__(
        self,
        division: Division,
        config: TrainingConfig,
        method: Method,
        *,
        rank: int = 0,
        world_size: int = 1,
        pin: bool = False,
    ) -> None:
        """Open the frames; under `cache` they are decoded here.

        Args:
            division: What to learn from and to validate on.
            config: How the run is carried out.
            method: What will be trained; says how large frames are, and which a pass takes.
            rank: This process.
            world_size: Processes; each takes its share of every batch.
            pin: Put batches into page-locked memory, for an accelerator.

        Raises:
            DataError: A frame to be cached cannot be read, or `method` reads cameras and a tracklet's is
                not known.
            ConfigError: A stage's people cannot be shared out among the processes.
        """
        if world_size > 1:
            check_shares(method.stages(), world_size)
        learnt = division.learnt
        self.title = learnt.title
        self.label_ids = learnt.label_ids
        self.camera_ids = learnt.camera_ids
        self.fingerprint = division.fingerprint
        self._held_out = division.held_out
        self._rows = TrainingRows.of(learnt)
        if method.reads_cameras:
            _refuse_unknown_cameras(self._rows)
        self._config = config
        self._preprocessing = method.preprocessing
        self._sampling = method.config.test_sampling
        self._rank, self._world_size, self._pin = rank, world_size, pin
        self._frames = _open(learnt.train, self._preprocessing, config)

    def steps_per_epoch(self, stage: Stage) -> int:
        """Steps in which `stage` draws as many tracklets as there are of the modality that has more.

        Rounded down, at least 1; of the modalities in the stage's batches.
        """
        found = self._rows.modalities
        most = max(found.count(modality) for modality in drawn_modalities(stage.batches))
        limited = stage.reads_frames
        identities = self._identities_in_a_batch(stage) if limited else stage.batches.identities
        return max(1, most // (identities * stage.batches.tracklets))

    def _identities_in_a_batch(self, stage: Stage) -> int:
        """P of the stage, or as many as there are identities with all that a batch holds."""
        wanted, drawn = stage.batches.identities, drawn_modalities(stage.batches)
        there = len(divide_labels(self._rows.labels, self._rows.modalities, drawn)[0])
        most = there - there % self._world_size
        return wanted if wanted <= there or most < _FEWEST_IDENTITIES else most

    @contextmanager
    def open_stage(self, stage: Stage, index: int) -> Iterator[TrainLoader]:
        """The batches that `stage` asks for; worker processes end with the context."""
        seed = stage_seed(self._config.seed, index)
        sampler = PkSampler(
            self._rows.labels,
            self._rows.modalities,
            identities=self._identities_in_a_batch(stage),
            tracklets=stage.batches.tracklets,
            steps=stage.schedule.epoch_steps,
            drawn=drawn_modalities(stage.batches),
            seed=seed,
            rank=self._rank,
            world_size=self._world_size,
        )
        self._tell_what_is_missing(stage, sampler)
        loader = TrainLoader(
            self._rows,
            sampler,
            self._preprocessing,
            sampling=stage.batches.frame_sampling,
            augmentation=create_augmentation(stage.augment, self._preprocessing),
            exchanged_view=stage.augment.exchanged_view,
            source=self._frames,
            seed=seed,
            workers=0 if isinstance(self._frames, FrameCache) else self._config.workers,
            pin=self._pin,
        )
        try:
            yield loader
        finally:
            loader.close()

    def _tell_what_is_missing(self, stage: Stage, sampler: PkSampler) -> None:
        """Say aloud where a batch is smaller than asked for, and which identities it never shows."""
        what = (
            "both modalities" if stage.batches.modality == "both" else f"{stage.batches.modality} tracklets"
        )
        if sampler.identities < stage.batches.identities:
            _log.warning(
                "batches.identities = %d, but only %d training identities have %s: batches hold %d",
                *(stage.batches.identities, len(sampler.labels_used), what, sampler.identities),
            )
        if sampler.excluded:
            named = ", ".join(str(self.label_ids[label]) for label in sampler.excluded[:_NAMED])
            more = ", ..." if len(sampler.excluded) > _NAMED else ""
            _log.warning(
                "stage %r leaves out %d training identities that do not have %s: %s%s",
                *(stage.name, len(sampler.excluded), what, named, more),
            )

    def iterate(
        self, device: torch.device, share: float = 1.0, turn: tuple[int, int] = (0, 1)
    ) -> Iterator[Batch]:
        """Every training tracklet once in file order: test frames, not augmented, normalised, on `device`.

        Args:
            device: Where the batches go.
            share: Of the tracklets of each identity and modality, at least one; the others are not read.
            turn: (i, n): of each n batches the i-th alone is read.
        """
        passing = clip_batches(
            self._rows.tracklets,
            self._preprocessing,
            sampling="chunk-first" if self._sampling == "dense" else self._sampling,
            batch_size=_PASS_BATCH,
            source=self._frames,
            rows=thin_out(self._rows, share) if share < 1 else None,
            turn=turn,
            pin=self._pin,
        )
        for clips in passing:
            infrared = [self._rows.tracklets[int(row)].modality is Modality.INFRARED for row in clips.rows]
            batch = Batch(
                clips.clips,
                torch.from_numpy(self._rows.labels[clips.rows]),
                torch.tensor(infrared),
                torch.from_numpy(self._rows.cameras[clips.rows]),
            )
            yield batch.to(device, non_blocking=True).normalised(self._preprocessing)

    def validate(self, method: Method) -> ValidationScores:
        """Scores of both directions between the held-out identities' tracklets."""
        return score_both_directions(method, self._held_out)


def thin_out(rows: TrainingRows, share: float) -> NDArray[np.int64]:
    """Rows in order, evenly spread over the tracklets of each identity and modality, at least one of each.

    Of n tracklets `ceil(share * n)` are left.
    """
    places: dict[tuple[int, Modality], list[int]] = {}
    for row, key in enumerate(zip(rows.labels.tolist(), rows.modalities, strict=True)):
        places.setdefault(key, []).append(row)
    kept = []
    for some in places.values():
        count = max(1, math.ceil(share * len(some)))
        kept += [some[i * len(some) // count] for i in range(count)]
    return np.array(sorted(kept), dtype=np.int64)


def stage_seed(seed: int, stage: int) -> int:
    """The seed that a stage's batches are drawn from, 63 bits."""
    mixed = np.random.SeedSequence([seed, stage]).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))


def divide(dataset: DataSet, amount: float | Literal["listed"], seed: int) -> Division:
    """Hold out training identities to validate on, a function of `seed` alone.

    Only identities seen in both modalities are drawn, for only they have a match on the other side.

    Args:
        dataset: The data set; its test part is not looked at.
        amount: A share of all training identities below 1, or a number; 0: none; "listed": those that the
            data set's own files set apart.
        seed: The run's seed.

    Raises:
        ValueError: More identities are asked for than can be spared, or none is listed.
    """
    out = set(_listed(dataset) if amount == "listed" else _drawn(dataset, amount, seed))
    learnt = replace(
        dataset,
        train=dataset.train.where(lambda t: t.person_id not in out),
        label_ids=tuple(i for i in dataset.label_ids if i not in out),
    )
    held_out = dataset.train.where(lambda t: t.person_id in out, f"{dataset.title}/validation")
    return Division(learnt, held_out, fingerprint_tracklets(dataset.train, dataset.root))


def _listed(dataset: DataSet) -> tuple[Id, ...]:
    if not dataset.validation_ids:
        raise ValueError(
            f"{dataset.title} at {dataset.root} sets no training identities apart for validation; give a "
            "share or a number as training.validation_identities"
        )
    return dataset.validation_ids


def _drawn(dataset: DataSet, amount: float, seed: int) -> list[Id]:
    """Training identities of both modalities, drawn by `seed`."""
    count = math.ceil(amount * len(dataset.label_ids)) if amount < 1 else int(amount)
    seen = {(t.person_id, t.modality) for t in dataset.train}
    eligible = [i for i in dataset.label_ids if all((i, modality) in seen for modality in Modality)]
    if count and count >= len(eligible):
        raise ValueError(
            f"cannot hold out {count} identities for validation: {len(eligible)} of {len(dataset.label_ids)} "
            "have both modalities, and some must be left to train on"
        )
    drawn = np.random.default_rng([seed, _HOLD_OUT_DRAWS]).permutation(len(eligible))[:count]
    return [eligible[int(i)] for i in drawn]


def fingerprint_tracklets(tracklets: TrackletSet, root: Path) -> str:
    """64 hexadecimal digits that name training data: ids, modalities and the frames' paths below `root`.

    The same data in another place has the same fingerprint; pixels are not read.
    """
    digest = hashlib.sha256()
    base = os.path.join(root, "")  # noqa: PTH118 (a text to cut off, half a million times)
    for t in tracklets:
        frames = [frame.removeprefix(base) for frame in t.frames]
        row = [t.tracklet_id, t.person_id, t.camera_id, t.modality.value, frames]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def drawn_modalities(batches: BatchConfig) -> tuple[Modality, ...]:
    """The modalities in a stage's batches, in the order of their rows."""
    return tuple(Modality) if batches.modality == "both" else (Modality(batches.modality),)


def create_augmentation(config: AugmentConfig, preprocessing: Preprocessing) -> Augmentation:
    """What `data` calls the augmentation that a stage asks for."""
    return Augmentation(
        pad=config.pad,
        flip=config.flip,
        erase=config.erase,
        erase_area=config.erase_area,
        erase_random=config.erase_colour == "random",
        channels=config.channels,
        sync=config.sync,
        mean=preprocessing.mean,
        std=preprocessing.std,
    )


def _refuse_unknown_cameras(rows: TrainingRows) -> None:
    unknown = np.flatnonzero(rows.cameras < 0)
    if len(unknown):
        raise DataError(
            f"the method learns an embedding per camera, but the camera of {len(unknown)} of "
            f"{len(rows.cameras)} training tracklets is not known, such as "
            f"{rows.tracklets[int(unknown[0])].tracklet_id}; name them, or set camera_embedding=false"
        )


def _open(tracklets: TrackletSet, preprocessing: Preprocessing, config: TrainingConfig) -> FrameSource:
    limits: dict[str, float] = {"never": 0.0, "auto": config.cache_gib, "always": math.inf}
    return open_frames(
        tracklets,
        preprocessing.height,
        preprocessing.width,
        cache_bytes=int(min(limits[config.cache] * 2**30, 2**62)),
        threads=os.cpu_count() or 1,
    )
