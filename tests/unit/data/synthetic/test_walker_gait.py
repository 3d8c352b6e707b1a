import numpy as np
import pytest

from tapetum.data.synthetic.gait import (
    RATE_RANGE,
    STEP_RATE_RANGE,
    pose,
    rhythm_angles,
    rhythmic_gait,
    sample_gait,
)
from tapetum.data.synthetic.options import FRAME_INTERVAL_S
from tapetum.data.synthetic.people import Body

TIMES = np.arange(40) * 0.05


def walk(seed=0, body=None):
    gait = sample_gait(np.random.default_rng(seed))
    return gait, pose(body or Body(), gait, TIMES, np.full(6, 0.1))


@pytest.mark.parametrize("seed", range(4))
def test_bones_keep_their_length(seed):
    _, joints = walk(seed)
    for first, second in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
        for side in ("left", "right"):
            bone = np.linalg.norm(joints[f"{first}_{side}"] - joints[f"{second}_{side}"], axis=1)
            assert np.ptp(bone) < 1e-9


def test_height_and_ground():
    _, joints = walk(1, Body(height_m=1.8))
    feet = np.minimum(joints["toe_left"][:, 1], joints["toe_right"][:, 1])
    assert np.abs(feet).max() < 0.03
    assert 1.6 < joints["crown"][:, 1].mean() < 1.85


def test_knees_bend_backwards_only():
    _, joints = walk(2)
    for side in ("left", "right"):
        thigh = joints[f"knee_{side}"] - joints[f"hip_{side}"]
        shank = joints[f"ankle_{side}"] - joints[f"knee_{side}"]
        # Positive when the shank points further back than the thigh.
        assert (thigh[:, 2] * -shank[:, 1] - shank[:, 2] * -thigh[:, 1] > 0).all()


def test_arms_oppose_legs():
    _, joints = walk(3)
    leg = joints["ankle_left"][:, 2] - joints["ankle_right"][:, 2]
    arm = joints["wrist_left"][:, 2] - joints["wrist_right"][:, 2]
    assert np.corrcoef(leg, arm)[0, 1] < -0.5


def test_a_walk_repeats_after_a_cycle():
    gait = sample_gait(np.random.default_rng(5))
    period = 1.0 / gait.rates_hz[0]
    first = pose(Body(), gait, np.array([0.3]), np.zeros(6))
    again = pose(Body(), gait, np.array([0.3 + period]), np.zeros(6))
    assert all(np.allclose(first[name], again[name], atol=1e-6) for name in first)


def rates_per_frame(count):
    offset = np.random.default_rng(0).uniform(size=6)
    return np.array([rhythmic_gait(rank, offset).rates_hz for rank in range(count)]) * FRAME_INTERVAL_S


def test_rates_stay_in_range_and_apart():
    rates = rates_per_frame(100)
    assert (rates[:, 1:] >= RATE_RANGE[0]).all()
    assert (rates[:, 1:] <= RATE_RANGE[1]).all()
    assert (rates[:, 0] <= STEP_RATE_RANGE[1]).all()
    gaps = np.linalg.norm(rates[:, None] - rates[None], axis=2)
    gaps[np.diag_indices(len(gaps))] = np.inf
    random = np.random.default_rng(1).uniform(rates.min(0), rates.max(0), size=rates.shape)
    random_gaps = np.linalg.norm(random[:, None] - random[None], axis=2)
    random_gaps[np.diag_indices(len(random_gaps))] = np.inf
    assert gaps.min() > 0.02
    assert gaps.min() > random_gaps.min()


def test_phases_are_equally_distributed_for_every_member():
    """First and second circular moments of pooled phases vanish for all, whatever the rate."""
    offset = np.random.default_rng(0).uniform(size=6)
    for rank in range(12):
        gait = rhythmic_gait(rank, offset)
        phases = np.concatenate(
            [
                rhythm_angles(
                    gait, np.arange(12) * FRAME_INTERVAL_S, np.random.default_rng(seed).uniform(size=6)
                )
                for seed in range(300)
            ],
            axis=1,
        )
        for order in (1, 2):
            assert np.abs(np.exp(1j * order * phases).mean(axis=1)).max() < 0.16


def test_both_directions_of_turning_occur_in_each_split():
    """A population numbers training people 0, 2, 4, ... and test people 1, 3, 5, ..."""
    offset = np.zeros(6)
    for first in (0, 1):
        directions = [rhythmic_gait(rank, offset).nod_direction for rank in range(first, 40, 2)]
        assert directions.count(1) == directions.count(-1) == 10
