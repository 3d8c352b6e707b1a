import numpy as np
import pytest

from tapetum.data.corruptions import Moment, Scene
from tapetum.data.corruptions.infrared_sensor import (
    fixed_pattern_noise,
    gain_noise,
    lamp_hot_spot,
    lamp_vignette,
)
from tapetum.types import Modality

HEIGHT, WIDTH = 288, 144


def through(effect, level, value=100.0, time=0, seed=0):
    scene = Scene(HEIGHT, WIDTH, Modality.INFRARED, np.random.default_rng(seed))
    frame = np.full((3, HEIGHT, WIDTH), value, dtype=np.float32)
    return effect(scene, level)(frame, Moment(time, np.random.default_rng(time)))[0]


def test_fixed_pattern_is_columns_and_pixels():
    pattern = through(fixed_pattern_noise, 20) - 100
    columns = pattern.mean(axis=0)
    assert columns.std() == pytest.approx(20, rel=0.15)
    assert (pattern - columns).std() == pytest.approx(10, rel=0.02)
    np.testing.assert_allclose(through(fixed_pattern_noise, 20, 30) - 30, pattern, atol=1e-4)
    np.testing.assert_allclose(through(fixed_pattern_noise, 20, time=50) - 100, pattern, atol=1e-5)


def test_the_lamp_leaves_the_edges_dark():
    for seed in range(8):
        gain = through(lamp_vignette, 3, 100, seed=seed) / 100
        row, column = np.unravel_index(gain.argmax(), gain.shape)
        assert 0.3 <= (row + 0.5) / HEIGHT <= 0.6
        assert 0.3 <= (column + 0.5) / WIDTH <= 0.7
        assert gain.max() == pytest.approx(1, abs=0.001)
        away = row + 100
        expected = 1 / (1 + 3 * (100 / (HEIGHT / 2)) ** 2)
        assert gain[away, column] == pytest.approx(expected, abs=0.01)


def test_a_hot_spot_has_its_brightness_and_moves_slowly():
    for seed in range(8):
        spots = [through(lamp_hot_spot, 180, 0, time, seed) for time in range(0, 120, 5)]
        places = np.array([np.unravel_index(spot.argmax(), spot.shape) for spot in spots])
        assert max(spot.max() for spot in spots) == pytest.approx(180, rel=0.02)
        assert np.ptp(places, axis=0).max() <= 2 * 0.05 * HEIGHT + 1
        assert np.ptp(places, axis=0).max() > 4
    spot = through(lamp_hot_spot, 180, 0)
    assert spot.min() < 1  # the rest of the frame is as it was


def test_gain_noise_grows_with_brightness():
    """Deviation at v: w sqrt(v / 255 + 0.35^2), w = 255 / sqrt(photons); rows have 0.2 w of their own."""
    white = 255 / np.sqrt(25)
    for value in (0, 60, 255):
        found = through(gain_noise, 25, value)
        rows = found.mean(axis=1)
        expected = white * np.sqrt(value / 255 + 0.35**2)
        assert (found - rows[:, None]).std() == pytest.approx(expected, rel=0.02)
        of_rows = np.sqrt((0.2 * white) ** 2 + expected**2 / WIDTH)
        assert rows.std() == pytest.approx(of_rows, rel=0.12)
        assert found.mean() == pytest.approx(value, abs=3 * of_rows / np.sqrt(HEIGHT))
