import numpy as np
import pytest

from tapetum.data.corruptions import Moment, Scene
from tapetum.data.corruptions.exposure import contrast, gamma, over_exposure, saturation, under_exposure
from tapetum.types import Modality


def through(effect, level, frame, seed=0):
    scene = Scene(*frame.shape[1:], Modality.VISIBLE, np.random.default_rng(seed))
    return effect(scene, level)(frame.astype(np.float32), Moment(0, np.random.default_rng(1)))


def values(*levels):
    return np.broadcast_to(np.array(levels, dtype=np.float32), (3, 1, len(levels))).copy()


def light(value):
    """sRGB value 0..1 -> light."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def test_exposure_multiplies_light():
    """A value of 128 stands for 0.2159 of the light; doubled, 0.4317 is a value of 175.6."""
    assert light(128 / 255) == pytest.approx(0.2159, abs=1e-4)
    np.testing.assert_array_equal(
        through(over_exposure, 1, values(0, 128, 200, 255))[0, 0], [0, 176, 255, 255]
    )
    back = through(under_exposure, 1, values(0, 176, 255))[0, 0]
    np.testing.assert_array_equal(back, [0, 128, 188])
    for before, after in zip((20, 90), through(over_exposure, 1.5, values(20, 90))[0, 0], strict=True):
        assert light(after / 255) == pytest.approx(light(before / 255) * 2**1.5, rel=0.04)


def test_gamma_is_a_power_or_its_inverse():
    seen = {tuple(through(gamma, 2, values(0, 64, 255), seed)[0, 0].tolist()) for seed in range(12)}
    assert seen == {(0, round(255 * (64 / 255) ** 2), 255), (0, round(255 * (64 / 255) ** 0.5), 255)}


def test_contrast_keeps_the_mean():
    np.testing.assert_allclose(through(contrast, 0.5, values(0, 100, 200))[0, 0], [50, 100, 150])


def test_colours_fade_to_grey_of_equal_brightness():
    colour = np.array([200, 100, 50], dtype=np.float32)[:, None, None]
    grey = 0.2989 * 200 + 0.587 * 100 + 0.114 * 50
    np.testing.assert_allclose(through(saturation, 0, colour).ravel(), [grey] * 3, rtol=1e-5)
    half = [(value + grey) / 2 for value in (200, 100, 50)]
    np.testing.assert_allclose(through(saturation, 0.5, colour).ravel(), half, rtol=1e-4)
