import io

import numpy as np
import pytest
from PIL import Image

from tapetum.data.corruptions import Moment, Scene
from tapetum.data.corruptions.compression import _conceal, block_loss, jpeg, pixelation
from tapetum.types import Modality


def through(effect, level, frame, seed=0):
    scene = Scene(*frame.shape[1:], Modality.VISIBLE, np.random.default_rng(0))
    return effect(scene, level)(frame.astype(np.float32), Moment(0, np.random.default_rng(seed)))


def test_jpeg_is_that_of_pillow():
    frame = np.random.default_rng(0).integers(0, 256, (3, 40, 24), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(frame.transpose(1, 2, 0)).save(file, "JPEG", quality=13, subsampling=2)
    expected = np.asarray(Image.open(file)).transpose(2, 0, 1)
    np.testing.assert_array_equal(through(jpeg, 13, frame), expected)


def test_pixels_become_squares_of_their_mean():
    frame = np.zeros((3, 4, 4))
    frame[:, :2, :2] = [[0, 10], [20, 30]]
    frame[:, 2:, 2:] = 100
    expected = np.zeros((4, 4))
    expected[:2, :2], expected[2:, 2:] = 15, 100
    np.testing.assert_array_equal(through(pixelation, 2, frame)[1], expected)
    np.testing.assert_array_equal(through(pixelation, 9, frame), frame)  # fewer rows than that


def test_lost_blocks_go_on_with_what_is_above():
    frame = np.arange(24, dtype=np.float32).reshape(1, 6, 4).repeat(3, axis=0)
    lost = np.array([[False, True], [True, False], [True, False]])
    found = _conceal(frame, lost, 2)[0]
    np.testing.assert_array_equal(found[:2, 2:], np.full((2, 2), 128))  # nothing above
    np.testing.assert_array_equal(found[2:, :2], [[4, 5]] * 4)  # two blocks, one above the other
    np.testing.assert_array_equal(found[2:, 2:], frame[0, 2:, 2:])
    np.testing.assert_array_equal(found[:2, :2], frame[0, :2, :2])


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_share_of_lost_blocks(share):
    """Marked by a frame in which every row differs: a kept block holds its own rows."""
    frame = np.arange(288, dtype=np.float32)[None, :, None].repeat(3, axis=0).repeat(144, axis=2)
    kept = [through(block_loss, share, frame, seed)[0] == frame[0] for seed in range(150)]
    blocks = np.stack(kept).reshape(-1, 18, 16, 9, 16).all(axis=(2, 4))
    assert 1 - blocks.mean() == pytest.approx(share, abs=0.02)
    assert 1 - blocks[..., 0].mean() == pytest.approx(share, abs=0.03)  # runs begin before the left edge too


def test_blocks_are_lost_in_runs():
    frame = np.arange(288, dtype=np.float32)[None, :, None].repeat(3, axis=0).repeat(144, axis=2)
    lost = np.stack([through(block_loss, 0.05, frame, seed)[0] != frame[0] for seed in range(60)])
    blocks = lost.reshape(-1, 18, 16, 9, 16).any(axis=(2, 4))
    both = (blocks[..., 1:] & blocks[..., :-1]).mean()
    assert both > 10 * blocks.mean() ** 2
