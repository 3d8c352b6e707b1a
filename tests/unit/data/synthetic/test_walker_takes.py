from dataclasses import replace

import numpy as np
import pytest

from tapetum.data.synthetic import takes
from tapetum.data.synthetic.cameras import Mount, mount_camera
from tapetum.data.synthetic.cast import Cast
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.render import render_shots, render_tracklet
from tapetum.data.synthetic.scene import sample_background, sample_occluder
from tapetum.data.synthetic.takes import Take, draw_take, sample_take
from tapetum.types import Modality

CAST = Cast(1, {"train": 3}, WalkerOptions(frame_size=(48, 24)))
VISIBLE, INFRARED = Mount(1, Modality.VISIBLE, place=4), Mount(1, Modality.INFRARED, place=4)


def pair(partner, **kwargs):
    """The passes of both sensors."""
    take = Take("train", 0, VISIBLE, partner=partner, **kwargs)
    return sample_take(CAST, take), sample_take(CAST, replace(take, mount=INFRARED))


def rng(seed):
    return np.random.default_rng(seed)


def test_pictures_drawn_together_are_those_drawn_alone():
    take = Take("train", 1, VISIBLE, shots=5)
    shots, person = sample_take(CAST, take), CAST.person("train", 1)
    alone = [render_tracklet(person, shot, (48, 24)) for shot in shots]
    together = render_shots(person, shots, (48, 24))
    assert together.shape == (5, 48, 24, 3)
    assert np.array_equal(together, np.concatenate(alone))
    assert np.array_equal(together, draw_take(CAST, take))
    assert not np.array_equal(alone[0], alone[1])


def test_passes_of_several_frames_are_drawn_together_as_well():
    shots, person = sample_take(CAST, Take("train", 2, INFRARED, shots=2, frames=3)), CAST.person("train", 2)
    together = render_shots(person, shots, (48, 24))
    assert np.array_equal(together[3:], render_tracklet(person, shots[1], (48, 24)))


def test_a_picture_does_not_depend_on_how_many_there_are():
    few, many = (draw_take(CAST, Take("train", 0, INFRARED, shots=count)) for count in (2, 4))
    assert np.array_equal(few, many[:2])


def test_one_lens_has_one_view():
    (visible,), (infrared,) = pair("aligned", frames=4)
    for name in ("times_s", "yaw_rad", "start_phases", "scale", "shift"):
        assert np.array_equal(getattr(visible, name), getattr(infrared, name))
    assert visible.layout_seed == infrared.layout_seed
    assert (visible.drift, visible.occluder) == (infrared.drift, infrared.occluder)
    assert visible.pixel_seed != infrared.pixel_seed
    assert visible.exposure != infrared.exposure


def test_cameras_side_by_side_see_the_same_moment_from_nearly_the_same_direction():
    for visible, infrared in zip(*pair("beside", shots=6), strict=True):
        assert np.array_equal(visible.start_phases, infrared.start_phases)
        assert 0.0 < np.abs(visible.yaw_rad - infrared.yaw_rad).max() <= 0.06
        assert not np.array_equal(visible.shift, infrared.shift)
        assert visible.pixel_seed != infrared.pixel_seed
        assert infrared.layout_seed is None


def test_else_nothing_is_shared():
    (visible,), (infrared,) = pair("none")
    assert not np.array_equal(visible.start_phases, infrared.start_phases)
    (again,) = sample_take(CAST, Take("train", 0, VISIBLE, visit=1))
    assert not np.array_equal(visible.start_phases, again.start_phases)


def test_cameras_of_a_place_share_their_geometry_only():
    cameras = [mount_camera(mount, 1, WalkerOptions()) for mount in (VISIBLE, INFRARED)]
    geometry = [(c.yaw_rad, c.yaw_spread_rad, c.elevation_rad, c.scale) for c in cameras]
    assert geometry[0] == geometry[1]
    assert [c.modality for c in cameras] == [Modality.VISIBLE, Modality.INFRARED]
    assert cameras[0].lamp != cameras[1].lamp
    other = mount_camera(replace(VISIBLE, place=5), 1, WalkerOptions())
    assert other.yaw_rad != cameras[0].yaw_rad
    assert other.lamp == cameras[0].lamp
    facing = mount_camera(replace(VISIBLE, yaw_rad=0.5), 1, WalkerOptions())
    assert facing.yaw_rad == 0.5
    assert facing.yaw_spread_rad < cameras[0].yaw_spread_rad / 2


def test_clothes_are_changed_between_visits_but_not_between_sensors(monkeypatch):
    cast = Cast(1, {"train": 1}, WalkerOptions(cues="shape"))
    worn = []
    monkeypatch.setattr(takes, "render_shots", lambda person, shots, size: worn.append(person))
    for visit in (0, 1):
        for mount in (VISIBLE, INFRARED):
            draw_take(cast, Take("train", 0, mount, visit=visit, partner="aligned"))
    draw_take(cast, Take("train", 0, VISIBLE))
    draw_take(cast, Take("train", 0, INFRARED))
    assert worn[0] == worn[1]
    assert worn[2] == worn[3]
    assert len({repr(person.upper.colour) for person in worn}) == 4
    assert {person.body for person in worn} == {cast.person("train", 0).body}


def edges(picture):
    grey = picture.astype(float).mean(axis=2)
    return np.abs(np.diff(grey, axis=1))[:-1] + np.abs(np.diff(grey, axis=0))[:, :-1]


@pytest.mark.parametrize("seed", range(3))
def test_layout_and_paint_are_drawn_apart(seed):
    shared = [sample_background(rng(seed), rng(99 + seed + c), (96, 48), c, 1.0) for c in (3, 1)]
    other = sample_background(rng(50 + seed), rng(99), (96, 48), 1, 1.0)
    outlines = [(edges(picture) > 15).ravel() for picture in (*shared, other)]
    overlap = [(outlines[0] & one).sum() / min(outlines[0].sum(), one.sum()) for one in outlines[1:]]
    assert overlap[0] > 0.5 > overlap[1] + 0.1
    occluders = [sample_occluder(rng(seed), rng(99 + c), (96, 48), c, 0.3) for c in (3, 1)]
    assert occluders[0].box == occluders[1].box
    assert [len(occluder.colour) for occluder in occluders] == [3, 1]
