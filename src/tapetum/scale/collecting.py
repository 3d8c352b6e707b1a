"""Finished shards brought together: into one folder of embeddings, or into a gallery."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.embedding_files import refuse_to_replace, save_embeddings
from tapetum.errors import DataError
from tapetum.ingest.items import Problem
from tapetum.scale.cutting import Names
from tapetum.scale.plan import ExtractionPlan, read_plan
from tapetum.scale.results import ShardResult, from_bytes
from tapetum.scale.shards import Shard
from tapetum.scale.store import Store
from tapetum.search.gallery import Gallery
from tapetum.search.storing import refuse_other_model
from tapetum.types import Embeddings, Tracklet, TrackletSet

COMMIT = 16_384
"""Rows that are given to a gallery at a time, at least; whole shards."""

Progress = Callable[[int, int], None]
"""Called with (shards done, shards in all)."""


@dataclass(slots=True)
class Collection:
    """What was brought together.

    Attributes:
        rows: Tracklets of the finished shards.
        new: Of those, how many the gallery did not have.
        unchanged: How many it had already, made from the same content.
        missing: Shards that are not finished.
        problems: What in finished shards could not be embedded, or not all of it, or not be planned.
        seconds: Spent on giving rows to the gallery.
    """

    rows: int = 0
    new: int = 0
    unchanged: int = 0
    missing: list[Shard] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Rows a second that the gallery took; 0 where it took none."""
        given = self.rows - self.unchanged
        return given / self.seconds if given and self.seconds > 0 else 0.0


def results_of(store: Store, shards: Sequence[Shard]) -> Iterator[ShardResult]:
    """The results of some shards, each checked as it is read; those that are not there are left out.

    Raises:
        DataError: One is damaged; run the extraction again, which makes it anew.
        OSError: The store cannot be read.
    """
    for shard in shards:
        try:
            content = store.read(shard.result)
        except FileNotFoundError:
            continue
        yield from_bytes(content, shard.key, store.where(shard.result))


def collect_embeddings(
    store: Store,
    place: Path,
    *,
    partial: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Collection:
    """Write the embeddings of all shards, in the order of the plan, into one folder, whole or not at all.

    They have to fit into memory; a gallery takes them shard by shard.

    Args:
        store: Place of the extraction.
        place: A new or empty folder.
        partial: Take what is finished; otherwise everything must be.
        overwrite: Replace embeddings that are there.
        progress: Told how far it is.

    Raises:
        FileExistsError: The folder holds something.
        DataError: A shard is missing or damaged, or an identifier occurs twice.
        OSError: Something cannot be read or written.
    """
    refuse_to_replace(place, overwrite)
    plan = read_plan(store)
    found = _looked_through(store, plan, partial=partial)
    vectors: list[NDArray[np.float32]] = []
    tracklets: list[Tracklet] = []
    for number, result in enumerate(results_of(store, plan.shards), start=1):
        if len(result):
            vectors.append(result.vectors)
            tracklets += result.tracklets
        if progress is not None:
            progress(number, len(plan.shards))
    if not vectors:
        raise DataError(f"{store.address}: no embeddings in it")
    embeddings = Embeddings(
        np.concatenate(vectors),
        TrackletSet(plan.name, tuple(tracklets)),
        plan.recipe.model,
        plan.trained_on,
    )
    save_embeddings(embeddings, place, method=plan.method, overwrite=overwrite)
    return found


def collect_into_gallery(
    store: Store,
    gallery: Gallery,
    *,
    partial: bool = False,
    commit: int = COMMIT,
    at_most: float | None = None,
    progress: Progress | None = None,
) -> Collection:
    """Put the rows of all shards into a gallery by few large writings, those that are not there yet.

    Called again after it was cut off, it goes on: rows that the gallery has already, made from the same
    content, are not given again, and what is given twice is there once.

    Args:
        store: Place of the extraction.
        gallery: Where rows go.
        partial: Take what is finished; otherwise everything must be.
        commit: Rows given at a time, at least.
        at_most: Rows a second, so that a gallery in use can still answer; None: as fast as it takes them.
        progress: Told how far it is.

    Raises:
        ModelMismatchError: The gallery is of another model; nothing was changed.
        DataError: A shard is missing or damaged, or an identifier occurs twice; nothing was changed.
        OSError: Something cannot be read or written; what was stored before stays.
    """
    if commit < 1 or (at_most is not None and at_most <= 0):
        raise ValueError(f"commit is {commit} and at most {at_most} rows a second; expected more than 0")
    plan = read_plan(store)
    refuse_other_model(plan.recipe.model, gallery.info().model)
    there: set[str] = set()
    found = _looked_through(store, plan, gallery, there, partial=partial)
    loader = _Loader(gallery, plan, found, commit, at_most)
    for number, shard in enumerate(plan.shards, start=1):
        if shard.key not in there:
            for result in results_of(store, [shard]):
                loader.add(result)
        if progress is not None:
            progress(number, len(plan.shards))
    loader.flush()
    if found.rows > found.unchanged:
        gallery.optimise()
    return found


def problems_of(store: Store) -> list[Problem]:
    """Everything in planned and finished shards that could not be embedded, or not all of it.

    Raises:
        DataError: A shard is damaged.
        OSError: The store cannot be read.
    """
    plan = read_plan(store)
    return [*plan.problems, *(p for result in results_of(store, plan.shards) for p in result.problems)]


def _looked_through(
    store: Store,
    plan: ExtractionPlan,
    gallery: Gallery | None = None,
    there: set[str] | None = None,
    *,
    partial: bool,
) -> Collection:
    """What the finished shards hold, all of it checked before anything is written.

    Args:
        store: Place of the extraction.
        plan: Of it.
        gallery: Whose rows are compared; None: none.
        there: Keys of shards that the gallery has already are put here.
        partial: As of `collect_embeddings`.
    """
    found, names = Collection(problems=list(plan.problems)), Names()
    met: list[Shard] = []
    compares = gallery is not None and gallery.info().count > 0
    for shard in plan.shards:
        results = list(results_of(store, [shard]))
        if not results:
            found.missing.append(shard)
            continue
        ids = [t.tracklet_id for t in results[0].tracklets]
        names.add(ids)
        met.append(shard)
        found.rows += len(ids)
        found.problems += results[0].problems
        if compares and gallery is not None and there is not None:
            known = gallery.contents(ids)
            if all(known.get(n) == c for n, c in zip(ids, results[0].contents, strict=True)):
                there.add(shard.key)
                found.unchanged += len(ids)
    if found.missing and not partial:
        first = found.missing[0]
        raise DataError(
            f"{store.address}: {len(found.missing)} of {len(plan.shards)} shards are not finished, the first "
            f"is {first.key} ({first.title}); run the extraction again, or take what is there (--partial)"
        )
    _refuse_doubles(store, names, met)
    return found


def _refuse_doubles(store: Store, names: Names, met: Sequence[Shard]) -> None:
    places = names.twice()
    if places is None:
        return
    twice = []
    for piece, place in places:
        (result,) = results_of(store, [met[piece]])
        twice.append((result.tracklets[place].tracklet_id, store.where(met[piece].result)))
    (first, where), (second, again) = twice
    if first == second:
        raise DataError(f"the identifier {first!r} is in {where} and in {again}; expected different ones")


class _Loader:
    """Gathers shards and gives them to a gallery, many rows at a time."""

    def __init__(
        self, gallery: Gallery, plan: ExtractionPlan, found: Collection, commit: int, at_most: float | None
    ) -> None:
        self._gallery, self._plan, self._found = gallery, plan, found
        self._commit, self._at_most = commit, at_most
        self._waiting: list[ShardResult] = []

    def add(self, result: ShardResult) -> None:
        """Take a shard."""
        if len(result):
            self._waiting.append(result)
        if sum(map(len, self._waiting)) >= self._commit:
            self.flush()

    def flush(self) -> None:
        """Give what waits."""
        if not self._waiting:
            return
        results, self._waiting = self._waiting, []
        tracklets = tuple(t for result in results for t in result.tracklets)
        vectors = np.concatenate([result.vectors for result in results])
        began = time.perf_counter()
        self._found.new += self._gallery.upsert(
            Embeddings(vectors, TrackletSet(self._plan.name, tracklets), self._plan.recipe.model),
            thumbnails=[pictures for result in results for pictures in result.thumbnails],
            contents=[content for result in results for content in result.contents],
        )
        took = time.perf_counter() - began
        if self._at_most is not None and len(tracklets) / self._at_most > took:
            time.sleep(len(tracklets) / self._at_most - took)
        self._found.seconds += time.perf_counter() - began
