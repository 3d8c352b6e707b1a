"""Galleries of drawn embeddings: 50 tracklets of a person, half in each modality, which are shifted apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.search.lance_gallery import LanceGallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

PER_PERSON = 50
CAMERAS = 20
AT_ONCE = 10_000
"""Rows that are stored in one call."""

_SPREAD, _SHIFT = 1.36, 0.5
_FRAMES = 6


def fill(folder: Path, rows: int, dimension: int) -> None:
    """Store drawn embeddings in a gallery, part by part, and optimise it."""
    gallery = LanceGallery(folder)
    for start in range(0, rows, AT_ONCE):
        gallery.upsert(draw(np.arange(start, min(start + AT_ONCE, rows)), dimension, seed=start))
    gallery.optimise()
    gallery.close()


def draw(numbers: NDArray[np.int64], dimension: int, seed: int) -> Embeddings:
    """Embeddings of some tracklets: around the middles of their people, shifted by modality."""
    rng = np.random.default_rng((1, seed))
    people = numbers // PER_PERSON
    first = int(people[0])
    middles = np.random.default_rng((2, first)).standard_normal((int(people[-1]) - first + 1, dimension))
    shift = np.random.default_rng(3).standard_normal((2, dimension)) * _SHIFT
    vectors = middles[people - first] + _SPREAD * rng.standard_normal((len(numbers), dimension))
    vectors += shift[numbers % 2]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(drawn_tracklet(int(n)) for n in numbers)
    return Embeddings(vectors.astype(np.float32), TrackletSet("drawn", rows), "drawn")


def drawn_tracklet(number: int) -> Tracklet:
    """The tracklet of a row; odd ones are infrared."""
    frames = tuple(f"camera-{number % CAMERAS}/{number:08d}/{i:04d}.jpg" for i in range(_FRAMES))
    modality = list(Modality)[number % 2]
    return Tracklet(f"t{number:08d}", frames, modality, number // PER_PERSON, number % CAMERAS, float(number))


def draw_questions(gallery: LanceGallery, count: int) -> Sequence[NDArray[np.float32]]:
    """Embeddings of infrared tracklets in a gallery of drawn ones."""
    rows = gallery.info().count
    chosen = np.random.default_rng(5).choice(rows // 2, min(count, rows // 2), replace=False) * 2 + 1
    return list(gallery.get([f"t{n:08d}" for n in chosen]).vectors)
