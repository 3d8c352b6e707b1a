import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from tapetum.data.corruptions import Moment, Scene
from tapetum.data.corruptions._planes import resampled
from tapetum.data.corruptions.blur import _zoomed, defocus_blur, gaussian_blur, motion_blur, zoom_blur
from tapetum.types import Modality

HEIGHT, WIDTH = 288, 144


def through(blur, level, frame, time=0, seed=0):
    scene = Scene(*frame.shape[1:], Modality.VISIBLE, np.random.default_rng(seed))
    return blur(scene, level)(frame, Moment(time, np.random.default_rng(1)))


def noise(height=HEIGHT, width=WIDTH):
    return np.random.default_rng(0).uniform(0, 255, (3, height, width)).astype(np.float32)


def point():
    frame = np.zeros((3, HEIGHT, WIDTH), dtype=np.float32)
    frame[:, 100, 70] = 1000
    return frame


@pytest.mark.parametrize("size", [(288, 144), (96, 48)])
def test_gaussian_blur_against_scipy(size):
    frame = noise(*size)
    expected = gaussian_filter(frame, (0, 3 * size[0] / 288, 3 * size[0] / 288), truncate=3)
    np.testing.assert_allclose(through(gaussian_blur, 3, frame), expected, atol=0.5)


@pytest.mark.parametrize("blur", [gaussian_blur, defocus_blur, motion_blur])
def test_light_is_kept(blur):
    assert through(blur, 9, point()).sum() == pytest.approx(3000, rel=1e-4)
    even = np.full((3, HEIGHT, WIDTH), 77, dtype=np.float32)
    np.testing.assert_allclose(through(blur, 9, even), even, atol=1e-3)


def test_defocus_makes_a_disk_of_a_point():
    disk = through(defocus_blur, 5, point())[0]
    rows, columns = np.nonzero(disk > disk.max() / 2)
    assert np.hypot(rows - 100, columns - 70).max() == pytest.approx(5, abs=0.5)
    assert 1000 / disk.max() == pytest.approx(np.pi * 5**2, rel=0.03)  # its area


def test_motion_makes_a_line_that_turns_slowly():
    def angle(time, seed):
        rows, columns = np.nonzero(through(motion_blur, 20, point(), time, seed)[0] > 20)
        _, vectors = np.linalg.eigh(np.cov(rows, columns))
        return np.degrees(np.arctan2(*vectors[:, 1])) % 180

    for seed in range(2):
        angles = np.unwrap([angle(time, seed) for time in range(0, 120, 10)], period=180)
        assert np.ptp(angles) <= 42  # 20 degrees to either side
        assert np.ptp(angles) > 20
        assert np.abs(np.diff(angles)).max() < 22
    assert len({round(angle(0, seed)) for seed in range(4)}) == 4


def test_zoom_blur_is_the_mean_of_sixteen_zooms():
    picture = Image.fromarray(noise(24, 12)[0].astype(np.uint8)).resize(
        (WIDTH, HEIGHT), Image.Resampling.BICUBIC
    )
    frame = np.repeat(np.asarray(picture, dtype=np.float32)[None], 3, axis=0)
    zooms = 1.2 ** (np.arange(16) / 15)
    expected = np.mean([resampled(frame, _zoomed(HEIGHT, z), _zoomed(WIDTH, z)) for z in zooms], axis=0)
    assert np.abs(through(zoom_blur, 1.2, frame) - expected).max() < 2
    assert np.abs(expected - frame).max() > 20


def test_a_zoom_keeps_the_middle_and_enlarges():
    np.testing.assert_allclose(_zoomed(5, 2), [1, 1.5, 2, 2.5, 3])
