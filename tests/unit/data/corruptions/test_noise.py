import numpy as np
import pytest

from tapetum.data.corruptions import Moment, Scene
from tapetum.data.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from tapetum.types import Modality

SHAPE = (3, 200, 200)


def changed(noise, level, value, modality=Modality.VISIBLE):
    scene = Scene(*SHAPE[1:], modality, np.random.default_rng(0))
    frame = np.full(SHAPE, value, dtype=np.float32)
    return noise(scene, level)(frame, Moment(0, np.random.default_rng(1))) - frame


def test_gaussian_noise_has_its_deviation_everywhere():
    for value in (0, 128):
        noise = changed(gaussian_noise, 20, value)
        assert abs(noise.mean()) < 0.2
        assert noise.std() == pytest.approx(20, rel=0.01)


def test_shot_noise_has_the_variance_of_a_count():
    """A value of 100 is 100 / 255 x 40 photons = 15.69; its deviation sqrt(15.69) photons of 6.375 levels."""
    noise = changed(shot_noise, 40, 100)
    assert abs(noise.mean()) < 0.3
    assert noise.std() == pytest.approx(np.sqrt(100 / 255 * 40) * 255 / 40, rel=0.01)
    levels = (noise + 100) / (255 / 40)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)  # whole photons
    assert (changed(shot_noise, 40, 0) == 0).all()  # no light, no noise


def test_impulse_noise_sets_a_share_to_black_and_white():
    result = changed(impulse_noise, 0.1, 100) + 100
    for value in (0, 255):
        assert (result == value).mean() == pytest.approx(0.05, abs=0.002)
    assert (result == 100).mean() == pytest.approx(0.9, abs=0.003)


def test_speckle_noise_grows_with_brightness():
    assert changed(speckle_noise, 0.2, 50).std() == pytest.approx(10, rel=0.01)
    assert changed(speckle_noise, 0.2, 150).std() == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize("noise", [gaussian_noise, shot_noise, speckle_noise])
def test_colour_sensors_have_noise_of_their_own_in_each_channel(noise):
    level = 20 if noise is not speckle_noise else 0.2
    visible = changed(noise, level, 100)
    assert abs(np.corrcoef(visible[0].ravel(), visible[1].ravel())[0, 1]) < 0.02
    infrared = changed(noise, level, 100, Modality.INFRARED)
    np.testing.assert_allclose(infrared[0], infrared[1], atol=1e-4)
