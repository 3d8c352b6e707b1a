"""One shard into one file of embeddings; what does it keeps nothing between shards but the model."""

from __future__ import annotations

import logging
import os
import platform
from contextlib import closing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tapetum.clip_encoding import ClipEncoder
from tapetum.errors import DataError, ModelMismatchError
from tapetum.ingest.ahead import read_ahead
from tapetum.ingest.encoding import ClipBatches, Embedded
from tapetum.ingest.items import Problem, Reading
from tapetum.ingest.plan import Plan
from tapetum.scale.encoder import load_encoder
from tapetum.scale.plan import Recipe, read_plan
from tapetum.scale.reading import OpenShard, events, opened
from tapetum.scale.results import ShardResult, from_bytes, to_bytes
from tapetum.scale.shards import Shard
from tapetum.scale.store import HOPELESS, Store, open_store
from tapetum.types import Tracklet

Status = Literal["done", "skipped", "failed"]
_MOST_THREADS = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know; small, and the same for all shards.

    Attributes:
        out: Place of the extraction: a folder, or an address in object storage.
        model: Run folder or model file, on the worker's machine.
        device: Where the model computes.
        batch_size: Clips in a batch.
        threads: Threads that read pictures; 0: one for each core, at most 4.
        compute_threads: Threads that the model computes with on a processor; 0: as torch chooses.
        retry_failed: Whether finished shards are made again where something of them failed.
    """

    out: str
    model: str
    device: str = "cpu"
    batch_size: int = 32
    threads: int = 0
    compute_threads: int = 0
    retry_failed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a shard.

    Attributes:
        shard: Which.
        status: "done", "skipped" because it was finished already, or "failed".
        reason: Why it failed.
        is_hopeless: Whether all other shards will fail for the same reason.
        rows: Embeddings in its file.
        size: Bytes of its file.
        problems: What of it could not be embedded, or not all.
        facts: Figures of the work.
    """

    shard: Shard
    status: Status
    reason: str = ""
    is_hopeless: bool = False
    rows: int = 0
    size: int = 0
    problems: tuple[Problem, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


class ShardWorker:
    """A model and a place for results; `work` may be called for any shard, in any order, repeatedly."""

    def __init__(self, job: Job, *, store: Store | None = None, encoder: ClipEncoder | None = None) -> None:
        """Load the model and read the plan.

        Args:
            job: What to know.
            store: Place of the extraction; None: as the job says.
            encoder: The model; None: as the job says.

        Raises:
            FileNotFoundError: There is no plan, or no model.
            DataError: The plan is damaged.
            ModelMismatchError: The plan is for another model.
            OSError: The place cannot be read.
        """
        self.job = job
        self._store = store or open_store(job.out)
        self._recipe: Recipe = read_plan(self._store).recipe
        self._encoder = encoder or load_encoder(
            job.model, job.device, self._recipe.precision, job.compute_threads
        )
        self._plan = Plan(self._encoder.preprocessing, self._encoder.sampling, self._recipe.thumbnails)
        if self._encoder.fingerprint != self._recipe.model:
            raise ModelMismatchError(
                f"{job.model} is model {self._encoder.fingerprint}; {job.out} was planned for "
                f"{self._recipe.model}"
            )

    def work(self, shard: Shard) -> Outcome:
        """Make the file of a shard, unless it is there and good; what goes wrong is told, not raised."""
        try:
            finished = self._finished(shard)
            if finished is not None:
                return finished
            return self._extract(shard)
        except OSError as error:
            hopeless = error.errno in HOPELESS
            where = f"{error.filename}: " if error.filename is not None else ""
            return Outcome(shard, "failed", f"{where}{error.strerror or error}", is_hopeless=hopeless)
        except Exception as error:  # a shard that meets a defect must not end the others
            _log.debug("shard %s failed", shard.key, exc_info=True)
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return Outcome(shard, "failed", reason)

    def _finished(self, shard: Shard) -> Outcome | None:
        """The outcome of a shard whose file is there and whole; None where it has to be made."""
        try:
            content = self._store.read(shard.result)
        except FileNotFoundError:
            return None
        try:
            found = from_bytes(content, shard.key, self._store.where(shard.result))
        except DataError as error:
            _log.warning("%s; it is made again", error)
            return None
        if self.job.retry_failed and found.failed:
            return None
        return _outcome(shard, "skipped", found, len(content))

    def _extract(self, shard: Shard) -> Outcome:
        began = perf_counter()
        with opened(shard, self._recipe, self._store) as found:
            rows = _Rows()
            batches = ClipBatches(self._encoder, self.job.batch_size)
            self._embed(found, shard, batches, rows)
            if self._recipe.files == "names" and not len(rows) and rows.failed:
                raise DataError(
                    f"nothing of it can be read: {rows.problems[0].item}: {rows.problems[0].reason}"
                )
            if rows.problems:
                found.check([problem.item for problem in rows.problems])
        facts = {
            "clips": batches.clips,
            "frames": batches.clips * self._encoder.preprocessing.frames,
            "encoding_s": round(batches.seconds, 4),
            "seconds": round(perf_counter() - began, 4),
            "device": self.job.device,
            "machine": platform.node(),
        }
        result = rows.result(shard.key, self._recipe.model, facts)
        content = to_bytes(result)
        self._store.write(shard.result, content)
        return _outcome(shard, "done", result, len(content))

    def _embed(self, found: OpenShard, shard: Shard, batches: ClipBatches, rows: _Rows) -> None:
        threads = self.job.threads or min(_MOST_THREADS, os.cpu_count() or 1)
        work = events(found, shard.key, self._plan, threads)
        with closing(read_ahead(work, max(8, self.job.batch_size))) as stream:
            for event in stream:
                if isinstance(event, Reading):
                    for embedded in batches.add(event):
                        rows.add(embedded)
                elif isinstance(event, Problem):
                    rows.problems.append(event)
        for embedded in batches.flush():
            rows.add(embedded)


@dataclass(slots=True)
class _Rows:
    """What of a shard is embedded so far."""

    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    tracklets: list[Tracklet] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    thumbnails: list[tuple[bytes, ...]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.tracklets)

    @property
    def failed(self) -> int:
        """Problems of the kind "failed"."""
        return sum(problem.kind == "failed" for problem in self.problems)

    def add(self, embedded: Embedded) -> None:
        """Take a tracklet, unless its embedding has no direction or its identifier is there already."""
        reading, vectors = embedded.reading, embedded.vectors
        if not (np.isfinite(vectors).all() and vectors.any(axis=1).all()):
            self._refuse(reading.name, "its embedding is zero or not finite")
        elif not self.names.isdisjoint(t.tracklet_id for t in reading.tracklets):
            self._refuse(f"{reading.name} (again)", "its identifier occurs twice")
        else:
            self._take(reading, vectors)

    def _take(self, reading: Reading, vectors: NDArray[np.float32]) -> None:
        self.vectors.append(vectors)
        self.tracklets += reading.tracklets
        self.contents += [reading.content] * len(reading.tracklets)
        self.thumbnails += reading.thumbnails
        self.names.update(t.tracklet_id for t in reading.tracklets)
        if reading.note:
            self.problems.append(Problem(reading.name, "partly", reading.note))

    def _refuse(self, name: str, reason: str) -> None:
        self.problems.append(Problem(name, "failed", reason))

    def result(self, key: str, model: str, facts: dict[str, Any]) -> ShardResult:
        """The result of the shard."""
        vectors = np.concatenate(self.vectors) if self.vectors else np.zeros((0, 1), np.float32)
        return ShardResult(
            key=key,
            model=model,
            vectors=vectors,
            tracklets=tuple(self.tracklets),
            contents=tuple(self.contents),
            thumbnails=tuple(self.thumbnails),
            problems=tuple(sorted(self.problems, key=lambda problem: problem.item)),
            facts=facts,
        )


def failed(shard: Shard, reason: str, *, is_hopeless: bool = False) -> Outcome:
    """The outcome of a shard that failed for a reason outside it."""
    return Outcome(shard, "failed", reason, is_hopeless)


def _outcome(shard: Shard, status: Status, result: ShardResult, size: int) -> Outcome:
    return Outcome(
        shard,
        status,
        rows=len(result),
        size=size,
        problems=result.problems,
        facts=dict(result.facts),
    )
