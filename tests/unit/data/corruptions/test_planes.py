import numpy as np
import pytest
from scipy.ndimage import convolve

from tapetum.data.corruptions._planes import (
    SmoothField,
    blurred,
    disk_kernel,
    gaussian_kernel,
    line_kernel,
    resampled,
)


@pytest.mark.parametrize("shape", [(3, 20, 13), (9, 31)])
def test_convolution_against_scipy(shape):
    rng = np.random.default_rng(0)
    planes = rng.uniform(0, 255, shape).astype(np.float32)
    kernel = rng.random((5, 7)).astype(np.float32)
    found = blurred(planes, kernel)
    expected = [
        convolve(p.astype(np.float64), kernel, mode="reflect") for p in planes.reshape(-1, *shape[-2:])
    ]
    np.testing.assert_allclose(found, np.reshape(expected, shape), rtol=1e-4)
    assert found.dtype == np.float32


def test_kernels_keep_brightness_and_middle():
    for kernel in (gaussian_kernel(1.7), disk_kernel(3.3), line_kernel(9, 0.4), line_kernel(0.5, 2)):
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert kernel.shape[0] % 2 == kernel.shape[1] % 2 == 1
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)


def test_a_bell_by_its_formula():
    kernel = gaussian_kernel(2)
    assert kernel.shape == (13, 13)
    middle = kernel[6, 6]
    assert kernel[6, 8] / middle == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert kernel[8, 8] / middle == pytest.approx(np.exp(-1), rel=1e-5)


def test_a_disk_is_even_inside_and_nothing_outside():
    kernel = disk_kernel(4)
    away = np.hypot(*np.mgrid[-4:5, -4:5])
    assert np.ptp(kernel[away <= 3.5]) < 1e-7
    assert (kernel[away > 4.5] == 0).all()
    assert kernel.max() == pytest.approx(1 / (np.pi * 4**2), rel=0.03)


def test_a_line_lies_in_its_direction():
    rows, columns = np.mgrid[-10:11, -10:11]
    level = line_kernel(17, 0)
    np.testing.assert_allclose(level[10], level.sum(axis=0), atol=1e-7)  # all in the middle row
    for angle in (0.0, 0.6, np.pi / 2, 2.5):
        kernel = line_kernel(17, angle)
        height, width = (n // 2 for n in kernel.shape)
        rows, columns = np.mgrid[-height : height + 1, -width : width + 1]
        along = (kernel * (rows * np.sin(angle) + columns * np.cos(angle)) ** 2).sum()
        across = (kernel * (columns * np.sin(angle) - rows * np.cos(angle)) ** 2).sum()
        assert along == pytest.approx(17**2 / 12, rel=0.06)  # the variance of an even line
        assert across < 0.3


def test_resampling_by_hand():
    planes = np.array([[[0, 10], [20, 30]]], dtype=np.float32)
    found = resampled(planes, np.array([0, 0.5, 7]), np.array([-3, 0.25, 1]))
    np.testing.assert_allclose(found, [[[0, 2.5, 10], [10, 12.5, 20], [20, 22.5, 30]]])


def test_clouds_are_smooth_between_0_and_1_and_repeat():
    field = SmoothField(60, 40, np.random.default_rng(0))
    clouds = field.at(0.3)
    assert clouds.shape == (60, 40)
    assert clouds.min() >= 0
    assert clouds.max() <= 1
    assert clouds.std() > 0.05
    assert np.abs(np.diff(clouds, axis=0)).max() < 0.2
    np.testing.assert_allclose(field.at(1.3), clouds, atol=1e-4)
    np.testing.assert_allclose(field.at(0.3 + 5 / 40)[:, :-5], clouds[:, 5:], atol=1e-4)  # moved to the left
