"""Clips of many requests embedded together: a bounded queue, and one thread that runs the model."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapetum.server.refusals import Busy, EncodingFailed, Refusal, TimedOut, Unavailable, Unreadable
from tapetum.types import Modality

if TYPE_CHECKING:
    from tapetum.clip_encoding import ClipEncoder

Vector = NDArray[np.float32]
Watch = Callable[[int, float], None]
"""Called with (clips of a batch, seconds that the model took)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """What is to be embedded as one: uint8 `[C, T, 3, H, W]`, and how it was seen."""

    pixels: NDArray[np.uint8]
    modality: Modality


@dataclass(slots=True, eq=False)
class _Job:
    """Clips that wait for the model, and where their embedding goes."""

    clips: Clips
    future: Future[Vector] = field(default_factory=Future)
    since: float = field(default_factory=monotonic)

    @property
    def size(self) -> int:
        return len(self.clips.pixels)


class EncodingQueue:
    """Embeds clips of several requests at a time, off the event loop.

    A batch is run when it is full, or when its oldest clip has waited long enough. Where a batch fails, each
    of its members is tried alone: one bad picture does not fail the others' requests.
    """

    def __init__(
        self,
        encoder: ClipEncoder,
        *,
        batch_size: int = 16,
        wait_s: float = 0.005,
        most_waiting: int = 64,
        timeout_s: float = 30.0,
        watch: Watch | None = None,
    ) -> None:
        """Prepare; `start` starts the thread.

        Args:
            encoder: The model.
            batch_size: Clips that it is given at a time.
            wait_s: How long a clip waits for others to join it.
            most_waiting: Clips that may wait; what would exceed it is refused. A single request is always
                taken when nothing waits.
            timeout_s: How long one request may wait and be run.
            watch: Told of every batch.
        """
        self._encoder = encoder
        self._batch_size = batch_size
        self._wait_s = wait_s
        self._most_waiting = most_waiting
        self._timeout_s = timeout_s
        self._watch = watch
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._is_open = False
        self._thread: threading.Thread | None = None
        self._clip_s = 0.05
        """Seconds that a clip has lately taken; a guess before the first."""

    @property
    def waiting(self) -> int:
        """Clips that wait for the model."""
        with self._changed:
            return self._count()

    @property
    def is_running(self) -> bool:
        """Whether clips that are given are embedded."""
        return self._is_open and self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; nothing where it runs already."""
        if self.is_running:
            return
        self._is_open = True
        self._thread = threading.Thread(target=self._work, name="tapetum-encoder", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> None:
        """Refuse what waits, and wait for the batch that is being run."""
        with self._changed:
            self._is_open = False
            left, self._jobs = list(self._jobs), deque()
            self._changed.notify_all()
        for job in left:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(Unavailable("the service is stopping"))
        if self._thread is not None:
            self._thread.join(timeout_s)

    async def encode(self, parts: Sequence[Clips]) -> list[Vector]:
        """The embedding `[D]` of each of the parts, L2-normalised; clips of one part are averaged.

        Where the caller is cancelled, or gives up, its clips leave the queue.

        Raises:
            Busy: Too many clips wait already.
            TimedOut: It took too long.
            Unreadable: The model gives no direction for a part.
            EncodingFailed: The model fails on a part.
            Unavailable: The service is stopping.
        """
        jobs = [_Job(part) for part in parts]
        self._add(jobs)
        try:
            async with asyncio.timeout(self._timeout_s):
                return [await asyncio.wrap_future(job.future) for job in jobs]
        except TimeoutError:
            raise TimedOut(f"the pictures were not embedded within {self._timeout_s:g} s") from None
        finally:
            self._drop(jobs)

    def _add(self, jobs: Sequence[_Job]) -> None:
        with self._changed:
            if not self._is_open:
                raise Unavailable("the service is stopping")
            waiting = self._count()
            if waiting and waiting + sum(job.size for job in jobs) > self._most_waiting:
                wait_s = max(1.0, waiting * self._clip_s)
                raise Busy(f"{waiting} clips wait for the model already", retry_after_s=wait_s)
            self._jobs.extend(jobs)
            self._changed.notify_all()

    def _drop(self, jobs: Sequence[_Job]) -> None:
        """Take back what was not begun."""
        for job in jobs:
            job.future.cancel()  # nothing where it is done, or with the model
        if any(job.future.cancelled() for job in jobs):
            with self._changed:
                self._jobs = deque(job for job in self._jobs if not job.future.cancelled())

    def _count(self) -> int:
        return sum(job.size for job in self._jobs)

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            chosen = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if chosen:
                self._run(chosen)

    def _next_batch(self) -> list[_Job] | None:
        """The next jobs to run together; None when the queue is closed."""
        with self._changed:
            while not self._jobs:
                if not self._is_open:
                    return None
                self._changed.wait()
            while self._jobs and self._count() < self._batch_size and self._is_open:
                left_s = self._jobs[0].since + self._wait_s - monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            return self._take()

    def _take(self) -> list[_Job]:
        batch: list[_Job] = []
        size = 0
        while self._jobs and (not batch or size + self._jobs[0].size <= self._batch_size):
            batch.append(self._jobs.popleft())
            size += batch[-1].size
        return batch

    def _run(self, batch: Sequence[_Job]) -> None:
        try:
            vectors = self._encode(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(_as_refusal(error))
                return
            for job in batch:
                self._run([job])
            return
        for job, vector in zip(batch, vectors, strict=True):
            if vector is None:
                job.future.set_exception(Unreadable("the model finds nothing in the pictures to search by"))
            else:
                job.future.set_result(vector)

    def _encode(self, batch: Sequence[_Job]) -> list[Vector | None]:
        """The embedding of each job; None where the model gives no direction."""
        clips = np.concatenate([job.clips.pixels for job in batch])
        modality = [job.clips.modality for job in batch for _ in range(job.size)]
        found: list[Vector] = []
        for start in range(0, len(clips), self._batch_size):
            part = slice(start, start + self._batch_size)
            begun = monotonic()
            rows = self._encoder.encode_clips(clips[part], modality[part], [None] * len(clips[part]))
            took_s = monotonic() - begun
            self._clip_s = took_s / len(rows)
            if self._watch is not None:
                self._watch(len(rows), took_s)
            found.extend(rows)
        ends = np.cumsum([job.size for job in batch])
        return [_mean(found[end - job.size : end]) for job, end in zip(batch, ends.tolist(), strict=True)]


def _mean(vectors: Sequence[Vector]) -> Vector | None:
    """The mean of unit vectors, of length 1; a single one as it is; None where there is no direction."""
    mean = np.stack(vectors).astype(np.float64).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if not np.isfinite(length) or length == 0:
        return None
    found: Vector = vectors[0] if len(vectors) == 1 else (mean / length).astype(np.float32)
    return found


def _as_refusal(error: Exception) -> Refusal:
    _log.error("the model failed on a query", exc_info=error)
    return EncodingFailed("the model failed on the pictures; the service's log says why")
