import numpy as np
import pytest
from PIL import Image

from tapetum.clip_encoding import as_tracklets, average_clips, embed_tracklets, refuse_not_finite, unit_rows
from tapetum.types import Modality, Preprocessing, Tracklet, TrackletSet


class LeftAndRight:
    """Embeds a clip as the mean of its left and of its right half, in the unit circle."""

    fingerprint = "halves"
    preprocessing = Preprocessing(height=2, width=4, frames=1)
    sampling = "chunk-first"

    def encode_clips(self, clips, modality, camera_ids):
        halves = np.stack([clips[..., :2].mean((1, 2, 3, 4)), clips[..., 2:].mean((1, 2, 3, 4))], axis=1)
        return unit_rows(halves.astype(np.float32))


@pytest.fixture
def tracklets(tmp_path) -> TrackletSet:
    """Pictures that are bright on the left, on the right, and a tracklet of both."""
    for name, (left, right) in {"left": (240, 30), "right": (30, 240)}.items():
        pixels = np.full((2, 4, 3), left, dtype=np.uint8)
        pixels[:, 2:] = right
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    left, right = str(tmp_path / "left.png"), str(tmp_path / "right.png")
    frames = ((left,), (right,), (left, right))
    return TrackletSet("t", tuple(Tracklet(str(i), f, Modality.VISIBLE) for i, f in enumerate(frames)))


def test_by_hand(tracklets):
    unit = np.array([8, 1]) / np.sqrt(65)
    both = np.ones(2) / np.sqrt(2)
    found = embed_tracklets(LeftAndRight(), tracklets, 2)
    np.testing.assert_allclose(found, [unit, unit[::-1], unit], atol=1e-6)
    dense = embed_tracklets(LeftAndRight(), tracklets, 2, sampling="dense", batch_size=1)
    np.testing.assert_allclose(dense, [unit, unit[::-1], both], atol=1e-6)
    added = embed_tracklets(LeftAndRight(), tracklets, 2, mirror="add")
    np.testing.assert_allclose(added, [both] * 3, atol=1e-6)
    appended = embed_tracklets(LeftAndRight(), tracklets, 4, mirror="append")
    np.testing.assert_allclose(appended[0] * np.sqrt(2), [*unit, *unit[::-1]], atol=1e-6)
    assert embed_tracklets(LeftAndRight(), TrackletSet("none", ()), 4).shape == (0, 4)


def test_clips_are_averaged_by_row():
    vectors = np.array([[1, 0], [0, 1], [0, -1], [3, 4]], dtype=np.float32)
    found = average_clips(vectors, np.array([0, 0, 1, 4]))
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [0, -1], [0.6, 0.8]], rtol=1e-6)
    assert average_clips(vectors, np.arange(4)) is vectors


def test_an_embedding_that_is_not_finite_is_named(tracklets):
    vectors = np.array([[1, 0], [np.nan, 0], [np.inf, 0]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"tracklet 1 is not finite \(2 of 3 are not\)"):
        refuse_not_finite(vectors, tracklets)
    refuse_not_finite(vectors[:1], tracklets)


def test_items_become_tracklets(tracklets, tmp_path):
    found = as_tracklets([tracklets[2], tmp_path / "left.png", str(tmp_path)], "infrared")
    assert [len(t.frames) for t in found] == [2, 1, 2]
    assert [t.modality.value for t in found] == ["visible", "infrared", "infrared"]
    assert as_tracklets(tracklets[0]).tracklets == tracklets.tracklets[:1]
    with pytest.raises(ValueError, match="thermal"):
        as_tracklets([], "thermal")
