"""What holds for every corruption: run over the catalogue, so that a new one is tested at once."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tapetum.data.corruptions import CORRUPTIONS, SEVERITIES, Moment, Scene, corrupt, find_corruption
from tapetum.data.corruptions._base import to_levels
from tapetum.types import Modality

HEIGHT, WIDTH = 96, 48
BY_NAME = {"argvalues": CORRUPTIONS, "ids": [corruption.name for corruption in CORRUPTIONS]}
LASTING = {
    *("gaussian-blur", "defocus-blur", "zoom-blur", "over-exposure", "under-exposure", "contrast"),
    *("gamma", "saturation", "jpeg", "pixelation", "fixed-pattern-noise", "lamp-vignette"),
}
"""Corruptions that do the same to equal frames of a tracklet."""


def picture(seed, modality):
    """A smooth background, a figure of stripes and dots, all of several brightnesses."""
    rng = np.random.default_rng(seed)
    planes = 3 if modality is Modality.VISIBLE else 1
    background = gaussian_filter(rng.uniform(0, 255, (planes, HEIGHT, WIDTH)), (0, 8, 8)) * 2 - 127
    stripes = 60 * ((np.arange(HEIGHT)[:, None] // 5 + np.arange(WIDTH) // 7) % 2)
    figure = np.zeros((HEIGHT, WIDTH))
    figure[12:88, 14:34] = 1
    colour = rng.uniform(40, 200, (planes, 1, 1))
    drawn = np.where(figure, colour + stripes - 30, background)
    return np.broadcast_to(to_levels(drawn), (3, HEIGHT, WIDTH)).copy()


@pytest.fixture(scope="module")
def clips():
    """A clip of three different frames of each modality."""
    return {m: np.stack([picture(seed, m) for seed in range(3)]) for m in Modality}


def modality_of(corruption):
    return Modality.VISIBLE if corruption.applies_to(Modality.VISIBLE) else Modality.INFRARED


@pytest.mark.parametrize("corruption", **BY_NAME)
def test_gives_frames_like_those_it_took_and_leaves_these_alone(corruption, clips):
    for modality in corruption.modalities:
        before = clips[modality].copy()
        for severity in SEVERITIES:
            generator = np.random.default_rng(severity)
            found = corrupt(clips[modality], corruption, severity, generator, modality=modality)
            assert (found.shape, found.dtype) == (before.shape, np.uint8)
            assert not np.shares_memory(found, clips[modality])
            assert (found != before).mean() > 0.01, f"severity {severity} hardly changes anything"
        np.testing.assert_array_equal(clips[modality], before)


@pytest.mark.parametrize("corruption", **BY_NAME)
def test_filters_do_not_write_into_their_frame(corruption, clips):
    modality = modality_of(corruption)
    frame = clips[modality][0].astype(np.float32)
    before = frame.copy()
    scene = Scene(HEIGHT, WIDTH, modality, np.random.default_rng(0))
    result = corruption.prepare(scene, corruption.levels[4])(frame, Moment(0, np.random.default_rng(1)))
    np.testing.assert_array_equal(frame, before)
    assert result.shape == frame.shape
    assert np.isfinite(result).all()


@pytest.mark.parametrize("corruption", **BY_NAME)
def test_severity_0_and_another_modality_change_no_bit(corruption, clips):
    for modality in Modality:
        found = corrupt(clips[modality], corruption, 0, np.random.default_rng(0), modality=modality)
        np.testing.assert_array_equal(found, clips[modality])
        if not corruption.applies_to(modality):
            found = corrupt(clips[modality], corruption, 5, np.random.default_rng(0), modality=modality)
            np.testing.assert_array_equal(found, clips[modality])


@pytest.mark.parametrize("corruption", **BY_NAME)
def test_change_grows_with_severity(corruption, clips):
    for modality in corruption.modalities:
        clip = clips[modality]
        changes = []
        for severity in SEVERITIES:
            drawn = (
                corrupt(clip, corruption, severity, np.random.default_rng(seed), modality=modality)
                for seed in range(5)
            )
            changes.append(np.mean([np.abs(one.astype(int) - clip).mean() for one in drawn]))
        assert (np.diff(changes) > 0).all(), changes
        assert changes[-1] > 1.5 * changes[0]


@pytest.mark.parametrize("corruption", **BY_NAME)
def test_draws_come_from_the_generator_alone(corruption, clips):
    modality = modality_of(corruption)
    first, again, other = (
        corrupt(clips[modality], corruption, 4, np.random.default_rng(seed), modality=modality)
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    drawn = corruption.name not in LASTING or corruption.name in ("fixed-pattern-noise", "lamp-vignette")
    if drawn:
        assert (first != other).any()


@pytest.mark.parametrize("corruption", **BY_NAME)
def test_a_frame_is_the_same_in_every_clip(corruption, clips):
    """Other frames beside it, their order and repeated places change nothing."""
    modality = modality_of(corruption)
    clip = clips[modality]

    def corrupted(frames, positions):
        generator = np.random.default_rng(3)
        return corrupt(clip[frames], corruption, 3, generator, modality=modality, positions=positions)

    whole = corrupted([0, 1, 2], [4, 9, 30])
    np.testing.assert_array_equal(corrupted([2, 0], [30, 4]), whole[[2, 0]])
    np.testing.assert_array_equal(corrupted([1, 1, 2], [9, 9, 30]), whole[[1, 1, 2]])


@pytest.mark.parametrize("corruption", **BY_NAME)
def test_what_lasts_is_the_same_in_all_frames_and_noise_is_not(corruption, clips):
    modality = modality_of(corruption)
    clip = np.repeat(clips[modality][:1], 2, axis=0)
    found = corrupt(
        clip, corruption, 5, np.random.default_rng(1), modality=modality, positions=np.array([0, 25])
    )
    assert (found[0] == found[1]).all() == (corruption.name in LASTING)


@pytest.mark.parametrize("name", ["fog", "box-occlusion", "stripe-occlusion", "motion-blur", "lamp-hot-spot"])
def test_what_drifts_moves_slowly(name, clips):
    corruption = find_corruption(name)
    modality = modality_of(corruption)
    clip = np.repeat(clips[modality][:1], 3, axis=0)

    def far_apart(seed):
        generator = np.random.default_rng(seed)
        found = corrupt(clip, corruption, 3, generator, modality=modality, positions=[0, 1, 20]).astype(int)
        return np.abs(found[1] - found[0]).mean(), np.abs(found[2] - found[0]).mean()

    near, far = np.mean([far_apart(seed) for seed in range(8)], axis=0)
    assert near < 0.5 * far


@pytest.mark.parametrize("corruption", **BY_NAME)
def test_infrared_pictures_without_colour_stay_so(corruption, clips):
    found = corrupt(
        clips[Modality.INFRARED], corruption, 5, np.random.default_rng(0), modality=Modality.INFRARED
    )
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    np.testing.assert_array_equal(found[:, 0], found[:, 2])


@pytest.mark.parametrize("shape", [(1, 3, 16, 8), (2, 3, 33, 17), (1, 3, 8, 24), (0, 3, 32, 16)])
def test_frames_of_any_size(shape):
    clip = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for corruption in CORRUPTIONS:
        modality = modality_of(corruption)
        found = corrupt(clip, corruption, 5, np.random.default_rng(0), modality=modality)
        assert found.shape == shape


def test_the_generator_moves_on_by_as_much_whatever_happens(clips):
    clip, modality = clips[Modality.VISIBLE], Modality.VISIBLE
    after = []
    for name, severity in (("fog", 5), ("jpeg", 1), ("gain-noise", 5), ("fog", 0)):
        generator = np.random.default_rng(0)
        corrupt(clip, find_corruption(name), severity, generator, modality=modality)
        after.append(generator.integers(1 << 60))
    assert len(set(after)) == 1


def test_what_is_refused(clips):
    clip, fog = clips[Modality.VISIBLE], find_corruption("fog")

    def attempt(clip=clip, severity=1, positions=None):
        generator = np.random.default_rng(0)
        corrupt(clip, fog, severity, generator, modality=Modality.VISIBLE, positions=positions)

    for severity in (-1, 6):
        with pytest.raises(ValueError, match=rf"severity {severity}; expected 1 to 5, or 0: untouched"):
            attempt(severity=severity)
    with pytest.raises(ValueError, match=r"uint8 \[T, 3, H, W\], found float32 \[3, 3, 96, 48\]"):
        attempt(clip=clip.astype(np.float32))
    with pytest.raises(ValueError, match=r"found uint8 \[3, 96, 48\]"):
        attempt(clip=clip[0])
    with pytest.raises(ValueError, match="2 positions do not fit 3 frames"):
        attempt(positions=[0, 1])


def test_lengths_scale_with_the_height():
    def scene(height):
        return Scene(height, 8, Modality.VISIBLE, np.random.default_rng(0))

    assert (scene(288).unit, scene(144).unit) == (1, 0.5)
    drift = scene(288).drift(10)
    moves = np.array([drift(time) for time in range(400)])
    assert 9.9 < moves.max() <= 10
    assert -10 <= moves.min() < -9.9
    assert np.abs(np.diff(moves)).max() < 10 * 2 * np.pi / 60


def test_values_are_rounded_and_clipped():
    values = np.array([-3.0, 0.4, 0.6, 254.6, 300.0])
    np.testing.assert_array_equal(to_levels(values), [0, 0, 1, 255, 255])
    same = np.array([7], dtype=np.uint8)
    np.testing.assert_array_equal(to_levels(same), same)
