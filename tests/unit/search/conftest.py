"""A crowd in which every answer is known: people in clusters, night shifted away from day."""

import numpy as np
import pytest

from tapetum.search import Gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def draw_crowd(people=20, each=6, dimension=24, noise=0.55, gap=0.9, seed=0) -> Embeddings:
    """`each` tracklets of every person, every other one infrared; "P.N" is tracklet N of person P."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((people, dimension))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    shift = rng.standard_normal(dimension)
    shift *= gap / np.linalg.norm(shift)
    rows, vectors = [], []
    for person in range(people):
        for number in range(each):
            night = number % 2
            modality = Modality.INFRARED if night else Modality.VISIBLE
            rows.append(Tracklet(f"{person}.{number}", (), modality, person, 10 * night + number % 3, number))
            vectors.append(middles[person] + noise * rng.standard_normal(dimension) / 4 + night * shift)
    array = np.array(vectors, dtype=np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return Embeddings(array, TrackletSet("crowd", tuple(rows)), "model-1")


@pytest.fixture(scope="session")
def crowd() -> Embeddings:
    """120 tracklets of 20 people."""
    return draw_crowd()


@pytest.fixture(scope="session")
def hard_crowd() -> Embeddings:
    """300 tracklets of 30 people, many of whom look alike."""
    return draw_crowd(people=30, each=10, dimension=32, noise=0.8)


@pytest.fixture
def place(crowd) -> Gallery:
    """A gallery of the crowd."""
    gallery = Gallery.open("memory:")
    gallery.upsert(crowd)
    return gallery


@pytest.fixture
def names():
    """Identifiers of the hits of an answer."""
    return lambda found: [hit.tracklet.tracklet_id for hit in found]
