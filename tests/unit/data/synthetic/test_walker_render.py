import hashlib
from dataclasses import replace

import numpy as np
import pytest

from tapetum.data.synthetic.cameras import CAMERA_IDS, camera_modality, create_camera, sample_shot
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.people import HatKind, sample_person
from tapetum.data.synthetic.render import render_tracklet
from tapetum.types import Modality

CLEAN = WalkerOptions(difficulty=0.0)


def shot(camera_id, frames=6, options=CLEAN, seed=1):
    return sample_shot(np.random.default_rng(seed), create_camera(camera_id, 0, options), frames, options)


def test_odd_cameras_are_visible():
    assert [camera_modality(number) for number in (1, 2, 11, 12)] == [
        Modality.VISIBLE,
        Modality.INFRARED,
        Modality.VISIBLE,
        Modality.INFRARED,
    ]
    with pytest.raises(ValueError, match="13"):
        create_camera(13, 0, CLEAN)


def test_shape_and_type():
    frames = render_tracklet(sample_person(np.random.default_rng(0)), shot(1), (64, 32))
    assert frames.shape == (6, 64, 32, 3)
    assert frames.dtype == np.uint8


def test_infrared_is_grey_and_visible_is_not():
    person = sample_person(np.random.default_rng(0))
    infrared, visible = render_tracklet(person, shot(2)), render_tracklet(person, shot(1))
    assert (infrared[..., :1] == infrared).all()
    assert (visible[..., :1] != visible).any()


def test_equal_seeds_give_equal_pixels():
    person = sample_person(np.random.default_rng(3))
    assert np.array_equal(render_tracklet(person, shot(1)), render_tracklet(person, shot(1)))
    assert not np.array_equal(render_tracklet(person, shot(1)), render_tracklet(person, shot(1, seed=2)))


def test_people_move():
    frames = render_tracklet(sample_person(np.random.default_rng(3)), shot(1)).astype(int)
    assert np.abs(np.diff(frames, axis=0)).max(axis=(1, 2, 3)).min() > 40


@pytest.mark.parametrize("camera_id", CAMERA_IDS)
def test_exposure_is_usable(camera_id):
    hard = WalkerOptions(difficulty="hard")
    person = sample_person(np.random.default_rng(camera_id))
    frames = render_tracklet(person, shot(camera_id, options=hard), hard.frame_size)
    assert 10 < frames.mean() < 230
    assert frames.std() > 8


@pytest.mark.parametrize("seed", range(12))
def test_any_person_from_any_side(seed):
    rng = np.random.default_rng(seed)
    person = sample_person(rng)
    hats: tuple[HatKind, ...] = ("none", "cap", "brimmed")
    person = replace(person, hat=replace(person.hat, kind=hats[seed % 3]))
    turned = replace(shot(1, frames=8), yaw_rad=np.linspace(-np.pi, np.pi, 8))
    bare = replace(person, upper=replace(person.upper, colour=person.upper.accent))
    assert not np.array_equal(render_tracklet(person, turned), render_tracklet(bare, turned))


def test_pattern_shows_in_infrared():
    person = sample_person(np.random.default_rng(5))
    striped = replace(
        person, upper=replace(person.upper, pattern=replace(person.upper.pattern, kind="horizontal"))
    )
    plain = replace(person, upper=replace(person.upper, pattern=replace(person.upper.pattern, kind="plain")))
    gap = render_tracklet(striped, shot(2)).astype(int) - render_tracklet(plain, shot(2))
    assert np.percentile(np.abs(gap), 97) > 30


@pytest.mark.parametrize(("camera_id", "digest"), [(1, "5735509236dfb282"), (2, "0f42922cdf287293")])
def test_pinned_pixels(camera_id, digest):
    """The same on every machine; a change on purpose raises `WALKERS_VERSION`, too."""
    options = WalkerOptions()
    person = sample_person(np.random.Generator(np.random.PCG64(11)))
    frames = render_tracklet(person, shot(camera_id, 3, options), (48, 24))
    assert hashlib.sha256(frames.tobytes()).hexdigest()[:16] == digest
