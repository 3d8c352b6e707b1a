"""Ingest: from a source to a gallery, once for each content, and resumable wherever it is cut off."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from tapetum.ingest.ahead import read_ahead
from tapetum.ingest.encoding import ClipBatches, ClipEncoder, Embedded
from tapetum.ingest.failures import FailureTable
from tapetum.ingest.items import VARIANTS, Event, Problem, Reading, Source, Unchanged
from tapetum.ingest.plan import Plan
from tapetum.search.gallery import Gallery
from tapetum.search.storing import refuse_other_model
from tapetum.types import Embeddings, TrackletSet

_MOST_THREADS = 4


@dataclass(slots=True)
class IngestReport:
    """What an ingest has done so far.

    Attributes:
        total: Tracklets that the source has; None where that is not known beforehand.
        done: Tracklets of it that are dealt with, in whatever way.
        stored: Tracklets put into the gallery; one that was seen in both modalities counts twice.
        new: Those of them whose identifier was not there before.
        unchanged: Tracklets that were there already, made from the same content.
        clips: Clips that were embedded.
        encoding_s: Seconds that the model took for them.
        failed: Problems of the kind "failed".
        problems: What is not in the gallery, or not all of it.
    """

    total: int | None = None
    done: int = 0
    stored: int = 0
    new: int = 0
    unchanged: int = 0
    clips: int = 0
    encoding_s: float = 0.0
    failed: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_in_vain(self) -> bool:
        """Whether nothing of the source is in the gallery."""
        return not self.stored and not self.unchanged

    def counts(self) -> Mapping[str, int]:
        """Problems of each kind."""
        return Counter(problem.kind for problem in self.problems)


def ingest(
    source: Source,
    gallery: Gallery,
    encoder: ClipEncoder,
    *,
    failures: Path | None = None,
    batch_size: int = 32,
    threads: int = 0,
    chunk: int = 512,
    seconds: float = 60.0,
    progress: Callable[[IngestReport], None] | None = None,
) -> IngestReport:
    """Put the tracklets of a source into a gallery, and return what became of them.

    A tracklet that is there already, made from the same content, is neither read nor embedded. Tracklets are
    stored in chunks; what was stored when the process ends stays, and the next call goes on from there.

    Args:
        source: Where tracklets come from.
        gallery: Where they go.
        encoder: The model.
        failures: The table of failures; None: none is kept.
        batch_size: Clips in a batch.
        threads: Threads that read pictures; 0: one for each core, at most 4.
        chunk: Tracklets that are stored at a time.
        seconds: Time after which fewer are stored.
        progress: Called with the state after each tracklet.

    Raises:
        ModelMismatchError: The gallery is of another model; nothing was read.
        ValueError: A batch size or chunk below 1, or `threads` below 0.
        DataError: The table of failures is damaged.
        OSError: The gallery, or the table, cannot be written; what was stored before stays.
    """
    if chunk < 1 or threads < 0:
        raise ValueError(f"chunk is {chunk} and threads {threads}; expected at least 1 and 0")
    refuse_other_model(encoder.fingerprint, gallery.info().model)
    table = FailureTable(failures, source.title)
    writer = _Writer(gallery, encoder.fingerprint, table, chunk, seconds, IngestReport(source.count))
    batches = ClipBatches(encoder, batch_size)
    plan = Plan(encoder.preprocessing, encoder.sampling)
    work = _events(source, gallery, plan, threads or min(_MOST_THREADS, os.cpu_count() or 1))
    with closing(read_ahead(work, max(8, batch_size))) as stream:
        for event in stream:
            if isinstance(event, Reading):
                for embedded in batches.add(event):
                    writer.add(embedded)
            else:
                writer.pass_over(event)
            writer.report.clips, writer.report.encoding_s = batches.clips, batches.seconds
            if progress is not None:
                progress(writer.report)
    for embedded in batches.flush():
        writer.add(embedded)
    writer.report.clips, writer.report.encoding_s = batches.clips, batches.seconds
    writer.finish()
    if progress is not None:
        progress(writer.report)
    return writer.report


def _events(source: Source, gallery: Gallery, plan: Plan, threads: int) -> Generator[Event, None, None]:
    """What becomes of each tracklet of a source: read, passed over, or not to be read."""
    names: set[str] = set()
    with ThreadPoolExecutor(threads, thread_name_prefix="tapetum-read") as pool:
        try:
            for group in source.groups(plan):
                yield from group.problems
                contents = group.contents(pool)
                stored = _stored(gallery, [draft.name for draft in group.drafts])
                chosen: list[int] = []
                for place, (draft, content) in enumerate(zip(group.drafts, contents, strict=True)):
                    if draft.name in names:
                        yield Problem(
                            f"{draft.name} (again)", "failed", "its identifier occurs twice in the source"
                        )
                    elif stored.get(draft.name) == content:
                        yield Unchanged(draft.name)
                    else:
                        chosen.append(place)
                    names.add(draft.name)
                yield from group.read(chosen, contents, pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _stored(gallery: Gallery, names: Sequence[str]) -> dict[str, str]:
    """By tracklet what it was made from, where it is in the gallery as a whole.

    That is under its own name, or under the names of both modalities, and not under both kinds of names.
    """
    known = gallery.contents(list(chain(names, (name + v for name in names for v in VARIANTS))))
    found: dict[str, str] = {}
    for name in names:
        parts = [known.get(name + variant) for variant in VARIANTS]
        if name in known and not any(parts):
            found[name] = known[name]
        elif name not in known and parts[0] is not None and len(set(parts)) == 1:
            found[name] = parts[0]
    return found


class _Writer:
    """Stores what was embedded, a chunk at a time, and keeps the books."""

    def __init__(
        self,
        gallery: Gallery,
        model: str,
        table: FailureTable,
        chunk: int,
        seconds: float,
        report: IngestReport,
    ) -> None:
        self.report = report
        self._gallery, self._model, self._table = gallery, model, table
        self._chunk, self._seconds = chunk, seconds
        self._waiting: list[Embedded] = []
        self._unchanged: list[str] = []
        self._stored_at = monotonic()

    def add(self, embedded: Embedded) -> None:
        """Take an embedded tracklet, and store those that wait if they are many or have waited long."""
        if not _has_direction(embedded.vectors):
            self.pass_over(Problem(embedded.reading.name, "failed", "its embedding is zero or not finite"))
            return
        self.report.done += 1
        self._waiting.append(embedded)
        if len(self._waiting) >= self._chunk or monotonic() - self._stored_at > self._seconds:
            self._store()

    def pass_over(self, event: Problem | Unchanged) -> None:
        """Count what is not stored."""
        self.report.done += 1
        if isinstance(event, Unchanged):
            self.report.unchanged += 1
            self._unchanged.append(event.name)
        else:
            self._note(event)

    def finish(self) -> None:
        """Store what waits, tidy up the gallery where it was changed, and the table of failures."""
        self._store()
        if self.report.stored:
            self._gallery.optimise()
        self._table.keep_met(self._unchanged)
        self._table.save()

    def _note(self, problem: Problem) -> None:
        self.report.problems.append(problem)
        self.report.failed += problem.kind == "failed"
        self._table.note(problem)

    def _store(self) -> None:
        if self._waiting:
            readings = [embedded.reading for embedded in self._waiting]
            self._upsert(readings)
            self._drop_former(readings)
            for reading in readings:
                if reading.note:
                    self._note(Problem(reading.name, "partly", reading.note))
                else:
                    self._table.clear(reading.name)
            self._waiting.clear()
        self._table.save()
        self._stored_at = monotonic()

    def _upsert(self, readings: Sequence[Reading]) -> None:
        tracklets = tuple(t for reading in readings for t in reading.tracklets)
        vectors = np.concatenate([embedded.vectors for embedded in self._waiting])
        self.report.new += self._gallery.upsert(
            Embeddings(vectors, TrackletSet("ingest", tracklets), self._model),
            thumbnails=[pictures for reading in readings for pictures in reading.thumbnails],
            contents=[reading.content for reading in readings for _ in reading.tracklets],
        )
        self.report.stored += len(tracklets)

    def _drop_former(self, readings: Sequence[Reading]) -> None:
        """Remove rows of a tracklet that is now stored under its own name, or under those of modalities."""
        possible = {reading.name + variant for reading in readings for variant in ("", *VARIANTS)}
        stale = possible - {t.tracklet_id for reading in readings for t in reading.tracklets}
        former = self._gallery.contents(sorted(stale))
        if former:
            self._gallery.delete(sorted(former))


def _has_direction(vectors: NDArray[np.float32]) -> bool:
    return bool(np.isfinite(vectors).all() and (np.abs(vectors).max(axis=1) > 0).all())
