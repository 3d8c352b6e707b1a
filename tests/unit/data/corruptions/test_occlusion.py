import numpy as np
import pytest

from tapetum.data.corruptions import Moment, Scene
from tapetum.data.corruptions.occlusion import box_occlusion, stripe_occlusion
from tapetum.types import Modality

HEIGHT, WIDTH = 200, 100


def frames(occluder, share, seed, times=(0,), modality=Modality.VISIBLE):
    scene = Scene(HEIGHT, WIDTH, modality, np.random.default_rng(seed))
    through = occluder(scene, share)
    blank = np.full((3, HEIGHT, WIDTH), -1, dtype=np.float32)
    return [through(blank, Moment(time, np.random.default_rng(time))) for time in times]


@pytest.mark.parametrize("share", [0.06, 0.42])
def test_a_box_covers_its_share_in_one_colour(share):
    for seed in range(12):
        (found,) = frames(box_occlusion, share, seed)
        covered = found[0] != -1
        rows, columns = np.nonzero(covered)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height * width == covered.sum()  # a full rectangle
        assert covered.mean() == pytest.approx(share, rel=0.05)
        assert height / width > 0.45
        assert (np.ptp(found[:, covered], axis=1) == 0).all()


def test_a_box_sways_inside_the_frame_and_keeps_its_size():
    for seed in range(10):
        found = frames(box_occlusion, 0.2, seed, times=range(0, 120, 10))
        corners = [np.argwhere(one[0] != -1).min(axis=0) for one in found]
        assert len({(one[0] != -1).sum() for one in found}) == 1
        reach = np.ptp(corners, axis=0)
        assert reach.any()
        assert (reach <= np.array([2 * 0.08 * HEIGHT + 1, 2 * 0.08 * WIDTH + 1])).all()


@pytest.mark.parametrize("share", [0.1, 0.54])
def test_stripes_cover_their_share(share):
    covered = [(frames(stripe_occlusion, share, seed)[0][0] != -1).mean() for seed in range(40)]
    assert np.mean(covered) == pytest.approx(share, abs=0.03)


def test_stripes_are_upright_and_several():
    for seed in range(10):
        (found,) = frames(stripe_occlusion, 0.3, seed)
        covered = found[0] != -1
        edges = np.abs(np.diff(covered.astype(int), axis=1)).sum(axis=1)
        assert 2 <= edges.mean() <= 10
        moved = (covered[1:] != covered[:-1]).mean()
        assert moved < 0.05  # from row to row hardly anything changes


def test_infrared_occluders_are_grey():
    for occluder in (box_occlusion, stripe_occlusion):
        (found,) = frames(occluder, 0.3, 2, modality=Modality.INFRARED)
        np.testing.assert_array_equal(found[0], found[1])
        (coloured,) = frames(occluder, 0.3, 2)
        assert (coloured[0] != coloured[1]).any()
