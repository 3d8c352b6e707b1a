"""What each query of a trial finds in each camera's part of the gallery, and in each modality's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.evaluation._identities import GalleryOrder, IntArray, shared_codes
from tapetum.evaluation.calibration.pair_counts import LEVELS, count_block, merged
from tapetum.evaluation.distances.blocks import DistanceBlocks
from tapetum.evaluation.distances.trial_pairs import PairBlock, pair_blocks
from tapetum.evaluation.protocols._base import Trial
from tapetum.evaluation.scores.positives import BlockRanks, rank_block
from tapetum.types import Embeddings, Id, Tracklet

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

Side = tuple[str, Id | None]
"""Tracklets of a camera, ("camera", 3), of a modality, ("modality", "visible"), or EVERYTHING."""

EVERYTHING: Side = ("all", None)
COARSE = 16
COARSE_LEVELS = (LEVELS - 1) // COARSE + 1
"""Levels of distance that are kept of each pair of sides, of which there may be ten thousand."""
HIT, PRECISION, SEPARATION, CHANCE = range(4)
"""Columns of what is measured of a query: rank-1 hit, AP, separation, and the chance of a hit."""


@dataclass(frozen=True, slots=True, eq=False)
class TrialMeasures:
    """A trial taken apart by cameras and modalities.

    Attributes:
        people: Who each query is, `[Q]`.
        queries: Places of the queries of each side.
        found: Of each side of the gallery, searched alone, float64 `[Q, 4]`; nan where a query has no true
            match there.
        counts: int64 `[2, COARSE_LEVELS]` pairs of one person and of two by distance, of each (side of the
            queries, side of the gallery).
        wrong: `[E]` queries whose first answer is of another person.
        wrong_camera: `[E]` camera of that answer, as a place in `cameras`; -1 where unknown.
        share: float64 `[E, C]` share of each camera among the items of other people that the query ranks.
        cameras: The gallery's cameras.
    """

    people: list[Id | None]
    queries: Mapping[Side, IntArray]
    found: Mapping[Side, FloatArray]
    counts: Mapping[tuple[Side, Side], IntArray]
    wrong: IntArray
    wrong_camera: IntArray
    share: FloatArray
    cameras: tuple[Id, ...]


def measure_trial(embeddings: Embeddings, trial: Trial) -> TrialMeasures:
    """What each query finds on each side of the gallery, by the rules of the trial.

    Args:
        embeddings: What the trial's rows are rows of, L2-normalised.
        trial: Queries, gallery and rules.
    """
    query, gallery = (embeddings.rows(rows).tracklets for rows in (trial.query, trial.gallery))
    people = shared_codes([t.person_id for t in query], [t.person_id for t in gallery])
    queries, items = _sides(query), _sides(gallery)
    cameras = tuple(camera for kind, camera in items if kind == "camera" and camera is not None)
    collect = _Collector(people, items, cameras)
    for cell, positions in _cells(query).items():
        for block in pair_blocks(embeddings, trial, positions):
            collect.add(cell, block)
    wrong = np.array(collect.wrong, dtype=np.int64)
    order = np.argsort(wrong, kind="stable")
    return TrialMeasures(
        people=[t.person_id for t in query],
        queries=queries,
        found=collect.found,
        counts=collect.counts,
        wrong=wrong[order],
        wrong_camera=np.array(collect.wrong_camera, dtype=np.int64)[order],
        share=np.array(collect.share).reshape(len(wrong), len(cameras))[order],
        cameras=cameras,
    )


class _Collector:
    """Gathers what blocks of queries of one camera and modality tell."""

    def __init__(
        self, people: tuple[IntArray, IntArray], items: Mapping[Side, IntArray], cameras: Sequence[Id]
    ) -> None:
        self.people = people[0]
        self.items = {side: (columns, GalleryOrder.of(people[1][columns])) for side, columns in items.items()}
        self.found = {side: np.full((len(people[0]), 4), np.nan) for side in items}
        self.counts: dict[tuple[Side, Side], IntArray] = defaultdict(
            lambda: np.zeros((2, COARSE_LEVELS), dtype=np.int64)
        )
        self.wrong: list[int] = []
        self.wrong_camera: list[int] = []
        self.share: list[FloatArray] = []
        self._camera_of = np.full(len(people[1]), -1)
        for place, camera in enumerate(cameras):
            self._camera_of[items["camera", camera]] = place
        self._is_of = (self._camera_of[:, None] == np.arange(len(cameras))).astype(np.float32)

    def add(self, cell: tuple[Side, ...], block: PairBlock) -> None:
        """Take in a block whose queries all belong to the sides of `cell`."""
        self._add_errors(block)
        whole: tuple[FloatArray, IntArray] | None = None
        for side, (columns, order) in self.items.items():
            if whole is None or len(columns) < block.distance.shape[1]:
                part = block if whole is None else _columns(block, columns)
                counts = merged(count_block(part, part.left_out), COARSE)
                found = measure(part, self.people[block.positions], order), counts
                whole = whole or found
            else:
                found = whole
            self.found[side][block.positions] = found[0]
            for asking in cell:
                self.counts[asking, side] += found[1]

    def _add_errors(self, block: PairBlock) -> None:
        nearest = np.where(block.left_out, np.float32(np.inf), block.distance).argmin(axis=1)
        row = np.arange(len(nearest))
        true = block.same & ~block.left_out
        wrong = np.flatnonzero(true.any(axis=1) & ~true[row, nearest])
        others = (~block.same[wrong] & ~block.left_out[wrong]).astype(np.float32)
        self.wrong += block.positions[wrong].tolist()
        self.wrong_camera += self._camera_of[nearest[wrong]].tolist()
        self.share += list((others @ self._is_of).astype(np.float64) / others.sum(axis=1, keepdims=True))


def measure(block: PairBlock, people: IntArray, gallery: GalleryOrder) -> FloatArray:
    """`[b, 4]` hit at rank 1, AP, separation and chance of a hit of each query; nan without a true match.

    The separation is the share of (true item, other item) couples that are ranked in this order: 0.5 by
    chance, whatever the gallery's size. It is nan too where nothing but true items is ranked.

    Args:
        block: Queries and gallery items.
        people: `[b]` person codes of the queries.
        gallery: People of the gallery items.
    """
    kept = block.left_out.shape[1] - block.left_out.sum(axis=1)
    removed = torch.from_numpy(block.left_out)
    people = np.where(people < len(gallery.starts) - 1, people, -1)  # nobody that these items show
    blocks = DistanceBlocks(torch.from_numpy(block.distance), removed, people, gallery)
    parts = [_measure(rank_block(part, gallery, count_people=False)) for part in blocks]
    hit, precision, before, matches = np.concatenate(parts, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        separation = 1 - before / (matches * (kept - matches))
        return np.stack([hit, precision, separation, matches / kept], axis=1)


def _measure(ranks: BlockRanks) -> FloatArray:
    """`[4, b]` hit at rank 1, AP, (true, other) couples in the wrong order, and matches; nan without one."""
    slot = np.arange(1, ranks.positions.shape[1] + 1)
    valid = slot <= ranks.matches[:, None]
    matches = np.where(ranks.matches > 0, ranks.matches, np.nan)
    precision = np.where(valid, slot / ranks.positions, 0.0).sum(axis=1) / matches
    before = np.where(valid, ranks.positions - slot, 0).sum(axis=1)
    hit = np.where(ranks.matches > 0, ranks.positions[:, 0] == 1, np.nan)
    return np.stack([hit, precision, before, matches])


def _columns(block: PairBlock, columns: IntArray) -> PairBlock:
    """The block with some gallery items only."""
    return PairBlock(
        block.positions, block.distance[:, columns], block.same[:, columns], block.left_out[:, columns]
    )


def _sides(tracklets: Iterable[Tracklet]) -> dict[Side, IntArray]:
    """Places of the tracklets of each side: all, each known camera, each modality."""
    found: dict[Side, list[int]] = {}
    for place, tracklet in enumerate(tracklets):
        for side in _sides_of(tracklet):
            found.setdefault(side, []).append(place)
    parts = sorted(found.keys() - {EVERYTHING}, key=lambda side: (side[0], isinstance(side[1], str), side[1]))
    return {side: np.array(found[side], dtype=np.int64) for side in (EVERYTHING, *parts)}


def _sides_of(tracklet: Tracklet) -> tuple[Side, ...]:
    modality: Side = ("modality", tracklet.modality.value)
    if tracklet.camera_id is None:
        return EVERYTHING, modality
    return EVERYTHING, ("camera", tracklet.camera_id), modality


def _cells(tracklets: Iterable[Tracklet]) -> dict[tuple[Side, ...], IntArray]:
    """Places of the tracklets that belong to the same sides."""
    found: dict[tuple[Side, ...], list[int]] = {}
    for place, tracklet in enumerate(tracklets):
        found.setdefault(_sides_of(tracklet), []).append(place)
    return {cell: np.array(places, dtype=np.int64) for cell, places in found.items()}
