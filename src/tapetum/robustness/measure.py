"""Cell by cell: corrupt frames at the size that the model takes, embed them, score by the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.data.corruptions import CorruptedFrames
from tapetum.data.frames import FrameSource, open_frames
from tapetum.evaluation.evaluate import evaluate
from tapetum.evaluation.protocols import Protocol, Trial, create_protocol
from tapetum.evaluation.robustness import CLEAN, Cell
from tapetum.model import TrainedModel
from tapetum.robustness.cells import StoredCells
from tapetum.robustness.plan import RobustnessPlan
from tapetum.robustness.sides import Rows, side_rows
from tapetum.types import Embeddings, Modality, TrackletSet

Progress = Callable[[int, int], None]

_CACHE_BYTES = 1 << 30


def measure_robustness(
    model: TrainedModel,
    tracklets: TrackletSet,
    plan: RobustnessPlan,
    *,
    root: Path | None = None,
    store: Path | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> dict[Cell, Mapping[str, Any]]:
    """The evaluation of each cell, as `Evaluation.to_json` gives it; `Robustness.of` makes a table of them.

    Args:
        model: What is scored.
        tracklets: All test tracklets, queries and gallery.
        plan: What is measured.
        root: Folder of the data set, for protocols whose galleries are listed in one of its files.
        store: Folder for the cells; what is there already is not measured again. None: nothing is kept.
        device: Where distances are computed; None: the processor. Embeddings are where the model is.
        progress: Called with (tracklets embedded, tracklets in all) after each batch.

    Raises:
        ValueError: Unknown protocol, tracklets without the parts that it needs, or a corruption that would
            change none of them.
        DataError: A frame cannot be read; the message names its file.
        OSError: A cell cannot be written.
    """
    subject = _Subject(model, tracklets, plan, root)
    stored = None if store is None else StoredCells(store, model, tracklets, plan)
    known = {} if stored is None else {cell: stored.read(cell) for cell in plan.cells}
    counts = {cell: len(subject.rows(cell)) for cell in plan.cells if known.get(cell) is None}
    found: dict[Cell, Mapping[str, Any]] = {cell: one for cell, one in known.items() if one is not None}
    reached, total = 0, sum(counts.values())
    for cell, count in counts.items():
        found[cell] = subject.score(cell, device, _part_of(progress, reached, total))
        reached += count
        if stored is not None:
            stored.write(cell, found[cell])
    return {cell: found[cell] for cell in plan.cells}


class _Subject:
    """A model with the tracklets that it is scored on; what cells share is made once."""

    def __init__(
        self, model: TrainedModel, tracklets: TrackletSet, plan: RobustnessPlan, root: Path | None
    ) -> None:
        self.model, self.tracklets, self.plan, self.root = model, tracklets, plan, root
        self.protocol = create_protocol(plan.protocol)
        self._side = side_rows(tracklets, plan.side, plan.protocol, seed=plan.seed, root=root)
        self._corruptions = {corruption.name: corruption for corruption in plan.corruptions}
        self._infrared = np.array([t.modality is Modality.INFRARED for t in tracklets], dtype=bool)
        self._clean: Embeddings | None = None
        for name, corruption in self._corruptions.items():
            if not len(self.rows((name, plan.severities[0]))):
                fitting = " and ".join(sorted(corruption.modalities))
                raise ValueError(
                    f"{name} happens to {fitting} pictures only, and of {tracklets.name} none of them are "
                    f"corrupted (side: {plan.side})"
                )

    def score(
        self, cell: Cell, device: torch.device | str | None, progress: Progress | None
    ) -> Mapping[str, Any]:
        """The evaluation of a cell, as it comes back from JSON."""
        embeddings, protocol = self._clean_embeddings(progress if cell == CLEAN else None), self.protocol
        if cell != CLEAN:
            changed = self._corrupted(cell, progress)
            if self.plan.side in ("query", "gallery"):
                embeddings, protocol = _twice(embeddings, changed), _OneSide(protocol, self.plan.side)
            else:
                embeddings = replace(embeddings, vectors=changed)
        found = evaluate(
            embeddings,
            protocol,
            seed=self.plan.seed,
            root=self.root,
            reranking=self.plan.reranking,
            device=device,
        )
        content: Mapping[str, Any] = json.loads(json.dumps(found.to_json()))
        return content

    def rows(self, cell: Cell) -> Rows:
        """The tracklets that a cell embeds: clean all, else those on the corrupted side that it changes."""
        if cell == CLEAN:
            return np.arange(len(self.tracklets))
        visible, infrared = (self._corruptions[cell[0]].applies_to(modality) for modality in Modality)
        found: Rows = self._side[np.where(self._infrared[self._side], infrared, visible)]
        return found

    def _clean_embeddings(self, progress: Progress | None) -> Embeddings:
        """Embeddings of the tracklets as they are, made once."""
        if self._clean is None:
            self._clean = self._embed(self.tracklets, self._frames, progress)
        return self._clean

    def _corrupted(self, cell: Cell, progress: Progress | None) -> NDArray[np.float32]:
        """Vectors `[N, D]` of all tracklets, of corrupted frames where the cell changes them."""
        rows, (name, severity) = self.rows(cell), cell
        corruption, seed = self._corruptions[name], self.plan.seed
        frames = CorruptedFrames(self._frames, self.tracklets, corruption, severity, seed=seed, rows=rows)
        changed = TrackletSet(self.tracklets.name, tuple(self.tracklets[int(row)] for row in rows))
        vectors = self._clean_embeddings(None).vectors.copy()
        vectors[rows] = self._embed(changed, frames, progress).vectors
        return vectors

    def _embed(self, tracklets: TrackletSet, frames: FrameSource, progress: Progress | None) -> Embeddings:
        return self.model.embed(
            tracklets,
            batch_size=self.plan.batch_size,
            precision=self.plan.precision,
            sampling=self.plan.sampling,
            flip=self.plan.flip,
            workers=self.plan.workers,
            progress=progress,
            cache=frames,
        )

    @cached_property
    def _frames(self) -> FrameSource:
        """Frames as they are, decoded once where they fit into memory (worker processes do not share it)."""
        size = self.model.preprocessing
        room = 0 if self.plan.workers else _CACHE_BYTES
        return open_frames(self.tracklets, size.height, size.width, cache_bytes=room)


class _OneSide(Protocol):
    """A protocol over tracklets that are listed twice, clean and corrupted: one side is the corrupted one."""

    def __init__(self, protocol: Protocol, side: str) -> None:
        self.name, self._protocol, self._side = protocol.name, protocol, side

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """The protocol's trials, queries or gallery moved to the second half of the rows."""
        count = len(tracklets) // 2
        clean = TrackletSet(tracklets.name, tracklets.tracklets[:count])
        trials = self._protocol.trials(clean, seed, root)
        if self._side == "query":
            return [replace(trial, query=trial.query + count) for trial in trials]
        return [replace(trial, gallery=trial.gallery + count) for trial in trials]


def _twice(clean: Embeddings, corrupted: NDArray[np.float32]) -> Embeddings:
    """The clean embeddings, and below them the corrupted ones of the same tracklets."""
    listed = TrackletSet(clean.tracklets.name, clean.tracklets.tracklets * 2)
    return replace(clean, vectors=np.concatenate([clean.vectors, corrupted]), tracklets=listed)


def _part_of(progress: Progress | None, reached: int, total: int) -> Progress | None:
    """Progress of a part, told as progress of the whole."""
    return None if progress is None else lambda done, _: progress(reached + done, total)
