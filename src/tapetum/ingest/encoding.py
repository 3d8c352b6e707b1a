"""From clips to embeddings: batches across tracklets, and the clips of a tracklet pooled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from tapetum.clip_encoding import ClipEncoder
from tapetum.data.clips import TestSampling
from tapetum.ingest.items import Reading
from tapetum.model import TrainedModel
from tapetum.types import Id, Modality, Preprocessing, Tracklet

__all__ = ["ClipBatches", "ClipEncoder", "Embedded", "MethodEncoder", "Vector", "pooled"]

Vector = NDArray[np.float32]


class MethodEncoder:
    """A trained model of this package as an encoder of clips; the model itself is one as well."""

    def __init__(self, model: TrainedModel) -> None:
        """Encode with `model`, as `tapetum.load` gives it, where it is."""
        self._model = model
        self.fingerprint = model.fingerprint
        self.preprocessing: Preprocessing = model.preprocessing
        self.sampling: TestSampling = model.sampling

    def encode_clips(
        self, clips: NDArray[np.uint8], modality: Sequence[Modality], camera_ids: Sequence[Id | None]
    ) -> Vector:
        """Embeddings `[B, D]` of clips; see `ClipEncoder`."""
        return self._model.encode_clips(clips, modality, camera_ids)


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A tracklet that was read, with the embedding of each of its tracklets: float32 `[N, D]`.

    A row is zero or not finite where the model gives no direction for it.
    """

    reading: Reading
    vectors: Vector


@dataclass(slots=True, eq=False)
class _Open:
    """A reading some of whose clips are not embedded yet."""

    reading: Reading
    found: list[list[Vector]]
    left: int = field(default=0)


class ClipBatches:
    """Gathers clips of many tracklets into full batches, and their embeddings into those of tracklets."""

    def __init__(self, encoder: ClipEncoder, batch_size: int) -> None:
        """Encode `batch_size` clips at a time.

        Raises:
            ValueError: It is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {batch_size}")
        self._encoder, self._batch_size = encoder, batch_size
        self._open: deque[_Open] = deque()
        self._clips: deque[tuple[_Open, int, NDArray[np.uint8]]] = deque()
        self.clips = 0
        """Clips encoded so far."""
        self.seconds = 0.0
        """Spent on it."""

    def add(self, reading: Reading) -> Iterator[Embedded]:
        """Take a tracklet; those whose last clip is embedded by now, in the order in which they came."""
        entry = _Open(reading, [[] for _ in reading.clips], sum(map(len, reading.clips)))
        self._open.append(entry)
        for part, clips in enumerate(reading.clips):
            self._clips.extend((entry, part, clip) for clip in clips)
        while len(self._clips) >= self._batch_size:
            self._encode(self._batch_size)
            yield from self._complete()

    def flush(self) -> Iterator[Embedded]:
        """All that is left."""
        if self._clips:
            self._encode(len(self._clips))
        yield from self._complete()

    def _encode(self, count: int) -> None:
        batch = [self._clips.popleft() for _ in range(count)]
        shown: list[Tracklet] = [entry.reading.tracklets[part] for entry, part, _ in batch]
        began = perf_counter()
        vectors = self._encoder.encode_clips(
            np.stack([clip for _, _, clip in batch]),
            [tracklet.modality for tracklet in shown],
            [tracklet.camera_id for tracklet in shown],
        )
        self.seconds += perf_counter() - began
        self.clips += count
        for (entry, part, _), vector in zip(batch, vectors, strict=True):
            entry.found[part].append(vector)
            entry.left -= 1

    def _complete(self) -> Iterator[Embedded]:
        while self._open and not self._open[0].left:
            entry = self._open.popleft()
            yield Embedded(entry.reading, np.stack([pooled(vectors) for vectors in entry.found]))


def pooled(vectors: Sequence[Vector]) -> Vector:
    """The mean of unit embeddings `[D]`, of length 1; of a single one, itself; zero where they cancel out."""
    if len(vectors) == 1:
        return vectors[0]
    mean = np.stack(vectors).astype(np.float64).mean(axis=0)
    length = float(np.linalg.norm(mean))
    found: Vector = (mean / length if length > 0 else mean).astype(np.float32)
    return found
