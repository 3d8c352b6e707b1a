import numpy as np
import pytest

from tapetum.data.corruptions import Moment, Scene
from tapetum.data.corruptions._planes import line_kernel
from tapetum.data.corruptions.weather import _strewn, blurred_kernel, fog, rain, snow
from tapetum.types import Modality

HEIGHT, WIDTH = 288, 144


def scene(seed=0):
    return Scene(HEIGHT, WIDTH, Modality.INFRARED, np.random.default_rng(seed))


def grey(value):
    return np.full((3, HEIGHT, WIDTH), value, dtype=np.float32)


def test_fog_is_a_veil_of_one_density():
    """Value v under density d becomes v + d m (205 - v) with 0.6 <= m <= 1; two values give m and veil."""
    through = fog(scene(), 0.5)
    dark, bright = (through(grey(value), Moment(3, np.random.default_rng(0))) for value in (0, 205))
    np.testing.assert_allclose(bright, 205, atol=1e-3)
    shares = dark / 205
    assert shares.min() >= 0.5 * 0.6
    assert shares.max() <= 0.5
    assert shares.std() > 0.005
    again = through(grey(0), Moment(3, np.random.default_rng(9)))
    np.testing.assert_array_equal(again, dark)  # nothing is drawn for a frame


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_things_are_strewn_as_thickly_as_stated(share):
    kernel = blurred_kernel(line_kernel(6, 1.5), 1.2)
    assert kernel.sum() == pytest.approx(1, abs=0.02)
    cover = [
        _strewn(scene(), Moment(0, np.random.default_rng(seed)), share, kernel, 20).mean()
        for seed in range(20)
    ]
    assert np.mean(cover) == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize(("weather", "veil", "most"), [(rain, 0.35, 210), (snow, 0.45, 248)])
def test_drops_and_flakes_lighten_what_is_dark(weather, veil, most):
    found = weather(scene(), 0.1)(grey(40), Moment(0, np.random.default_rng(0)))
    haze = 40 + 0.1 * veil * (205 - 40)
    assert found.min() == pytest.approx(haze, abs=0.1)  # between drops there is haze alone
    assert haze + 60 < found.max() <= most
    assert (found > haze + 20).mean() < 0.3


def test_each_frame_has_its_own_drops_of_one_direction():
    through = rain(scene(4), 0.1)
    first, second = (through(grey(40), Moment(time, np.random.default_rng(time)))[0] - 40 for time in (0, 1))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.1

    def direction(plane):
        """Where the picture resembles itself most, 8 rows further down."""
        rows = plane - plane.mean()
        return max(range(-8, 9), key=lambda move: (rows[8:] * np.roll(rows, move, axis=1)[:-8]).sum())

    assert abs(direction(first) - direction(second)) <= 1
