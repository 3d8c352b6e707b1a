from dataclasses import replace

import numpy as np
import pytest

from tapetum.errors import CalibrationError, ModelMismatchError
from tapetum.evaluation import calibrate
from tapetum.search import Filter, Gallery, SearchEngine, with_probabilities
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


class Stored:
    """Finds the embedding of a tracklet by its identifier, in place of a trained model."""

    def __init__(self, embeddings):
        self.fingerprint = embeddings.model
        self.rows = {
            t.tracklet_id: row for t, row in zip(embeddings.tracklets, embeddings.vectors, strict=True)
        }

    def encode(self, items):
        return np.stack([self.rows[t.tracklet_id] for t in items])


@pytest.fixture(scope="module")
def embeddings():
    """40 people, three visible and three infrared tracklets each."""
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((40, 16))
    kinds = (Modality.VISIBLE, Modality.INFRARED)
    rows = tuple(Tracklet(f"t{n}", (), kinds[n // 40 % 2], n % 40, n // 40) for n in range(240))
    vectors = (middles[np.arange(240) % 40] + 0.7 * rng.standard_normal((240, 16))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Embeddings(vectors, TrackletSet("walkers/test", rows), "model-1")


@pytest.fixture(scope="module")
def calibration(embeddings):
    return calibrate(embeddings)


@pytest.fixture
def gallery(embeddings):
    place = Gallery.open("memory:")
    place.upsert(embeddings.rows(np.arange(40, 240)))
    return place


def test_every_hit_has_the_probability_of_its_distance_and_pairing(gallery, embeddings, calibration):
    query = embeddings.tracklets[3]
    engine = SearchEngine(gallery, Stored(embeddings), calibration)
    found = engine.search(query, top=200)
    pairings = set()
    for hit in found:
        pairing = "visible-visible" if hit.tracklet.modality is Modality.VISIBLE else "visible-infrared"
        pairings.add(pairing)
        expected = calibration.curve(pairing).probability(1 - hit.similarity)
        assert hit.probability == pytest.approx(float(expected), abs=1e-12)
    assert len(pairings) == 2
    more = engine.search(query, top=200, prior=0.5)
    assert all(a.probability < b.probability for a, b in zip(found, more, strict=True))
    assert [h.tracklet for h in SearchEngine(gallery, Stored(embeddings)).search(query, top=200)] == [
        h.tracklet for h in found
    ]


def test_answer_is_unknown_where_no_hit_is_probable_enough(gallery, embeddings, calibration):
    engine = SearchEngine(gallery, Stored(embeddings), calibration)
    query = embeddings.tracklets[3]
    others = Filter(persons=[p for p in range(40) if p != 3])
    found = engine.search(query, min_probability=0.5)
    assert not found.is_unknown
    assert found[0].tracklet.person_id == 3
    best = max(hit.probability for hit in found)
    assert not engine.search(query, min_probability=best).is_unknown
    assert engine.search(query, min_probability=best + 1e-9).is_unknown
    assert engine.search(query, where=others, min_probability=0.9).is_unknown
    assert not engine.search(query, where=others).is_unknown


def test_empty_answer_is_unknown(calibration, embeddings):
    found = SearchEngine(Gallery.open("memory:"), Stored(embeddings), calibration).search(
        embeddings.tracklets[0], min_probability=0.1
    )
    assert (len(found), found.is_unknown) == (0, True)


def test_pairing_without_curve_has_no_probability_and_no_answer(gallery, embeddings, calibration):
    cross = replace(
        calibration, curves={k: v for k, v in calibration.curves.items() if k == "visible-infrared"}
    )
    engine = SearchEngine(gallery, Stored(embeddings), cross)
    query = embeddings.tracklets[3]
    for hit in engine.search(query, top=200):
        assert (hit.probability is None) == (hit.tracklet.modality is Modality.VISIBLE)
    with pytest.raises(CalibrationError, match=r"no visible-visible pairs, .* search one modality only"):
        engine.search(query, top=200, min_probability=0.5)
    assert not engine.search(query, where=Filter(modality="infrared"), min_probability=0.5).is_unknown


def test_refusals(gallery, embeddings, calibration):
    with pytest.raises(ModelMismatchError, match="this calibration is of model model-2"):
        SearchEngine(gallery, Stored(embeddings), replace(calibration, model="model-2"))
    query = embeddings.tracklets[3]
    for wish in ({"min_probability": 0.5}, {"prior": 0.5}):
        with pytest.raises(ValueError, match="probabilities need a calibration"):
            SearchEngine(gallery, Stored(embeddings)).search(query, **wish)
    engine = SearchEngine(gallery, Stored(embeddings), calibration)
    with pytest.raises(ValueError, match="the wished probability is 50"):
        engine.search(query, min_probability=50)
    with pytest.raises(ValueError, match="prior is 1"):
        engine.search(query, prior=1)


def test_answers_to_identifiers_can_be_given_probabilities(gallery, calibration):
    found = with_probabilities(gallery.similar_to("t50"), calibration, Modality.VISIBLE)
    assert all(hit.probability is not None for hit in found)
    assert found.min_probability is None
