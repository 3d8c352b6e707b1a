import math

import numpy as np
import pytest

from tapetum.export.parity import ClipSample, Comparison, Parity, compare, drawn_sample, read_sample
from tapetum.types import Modality, TrackletSet


class Fixed:
    """Answers with given vectors for given clips, whose first pixel is their number."""

    def __init__(self, vectors):
        self.vectors = np.asarray(vectors, dtype=np.float32)
        self.asked = []

    def encode_clips(self, clips, modality, camera_ids):
        assert len(clips) == len(modality) == len(camera_ids)
        self.asked.append(len(clips))
        return self.vectors[clips[:, 0, 0, 0, 0]]


def sample_of(count):
    clips = np.zeros((count, 1, 3, 2, 2), dtype=np.uint8)
    clips[:, 0, 0, 0, 0] = np.arange(count)
    return ClipSample("made", clips, (Modality.VISIBLE,) * count, (None,) * count)


def test_by_hand():
    one, other = Fixed([[1, 0], [0, 1], [0.6, 0.8]]), Fixed([[1, 0], [0, 1], [0.8, 0.6]])
    found = compare(one, other, sample_of(3), batch_sizes=(1, 2))
    assert one.asked == [3]
    assert other.asked == [1, 1, 1, 2, 1]
    assert found.max_abs_difference == pytest.approx(0.2, abs=1e-6)
    assert found.min_cosine == pytest.approx(0.6 * 0.8 * 2, abs=1e-6)
    assert (found.clips, found.batch_sizes) == (3, (1, 2))


def test_an_embedding_that_is_not_finite_or_zero_is_not_enough():
    for wrong in ([math.nan, 0], [0, 0]):
        found = compare(Fixed([[1, 0]]), Fixed([wrong]), sample_of(1), batch_sizes=(1,))
        assert math.isnan(found.min_cosine)
        assert not Parity("f", (Comparison("good", 1, (1,), 0.0, 1.0), found)).is_enough
    assert Parity("f", (Comparison("good", 1, (1,), 0.0, 0.9999),)).is_enough
    assert not Parity("f", (Comparison("bad", 1, (1,), 0.0, 0.99989),)).is_enough


def test_drawn_clips_are_the_same_again_and_ask_for_every_camera(case, monkeypatch):
    assert set(drawn_sample(case.model, 4, 0).camera_ids) == {None}
    monkeypatch.setattr(type(case.model.method), "reads_cameras", True)
    monkeypatch.setattr(case.model.method, "camera_ids", ("gate", 7))
    first, again, other = (drawn_sample(case.model, 8, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.clips, again.clips)
    assert not np.array_equal(first.clips, other.clips)
    assert set(first.camera_ids) == {"gate", 7, None}
    assert set(first.modality) == set(Modality)
    grey = first.clips[1]
    assert np.array_equal(grey[:, 0], grey[:, 2])
    assert first.clips.shape == (8, 2, 3, 32, 16)
    assert len(np.unique(first.clips[0])) > 20


def test_real_clips_are_spread_over_both_modalities(case):
    found = read_sample(case.model, case.tracklets, 2)
    assert found.modality == (Modality.VISIBLE, Modality.INFRARED)
    assert found.camera_ids == ("gate", 7)
    assert len(read_sample(case.model, case.tracklets.of_modality(Modality.INFRARED), 8).clips) == 2
    with pytest.raises(ValueError, match="none has no tracklets"):
        read_sample(case.model, TrackletSet("none", ()), 8)
