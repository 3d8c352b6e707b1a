import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapetum.data.transforms import (
    ERASE_FILL,
    LUMINANCE,
    Augmentation,
    Box,
    augment,
    channel_tables,
    draw_box,
    draw_channel,
    erase,
    exchange_channels,
    shift_and_flip,
)
from tapetum.types import IMAGENET_MEAN, IMAGENET_STD, Modality

MEAN = np.array(IMAGENET_MEAN)[:, None, None]
STD = np.array(IMAGENET_STD)[:, None, None]
PLAIN = Augmentation(pad=0, flip=0, erase=0, channels=False)


def picture(frames=2, height=24, width=12, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (frames, 3, height, width), dtype=np.uint8)


def normalise(clip):
    return (clip / 255 - MEAN) / STD


def pad_crop_flip(clip, pad, y, x, flip):
    """The published order in plain words: pad with zeros on all sides, crop at (y, x), mirror."""
    height, width = clip.shape[-2:]
    padded = np.pad(clip, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    cropped = padded[..., y : y + height, x : x + width]
    return cropped[..., ::-1] if flip else cropped


@given(st.integers(0, 14), st.integers(0, 28), st.integers(0, 28), st.booleans())
def test_shift_and_flip_is_pad_crop_flip(pad, y, x, flip):
    y, x = min(y, 2 * pad), min(x, 2 * pad)
    clip = picture(height=9, width=6)
    out = np.full_like(clip, 77)
    shift_and_flip(clip, pad - y, pad - x, flip, out)
    assert np.array_equal(out, pad_crop_flip(clip, pad, y, x, flip))


def test_nothing_drawn_leaves_the_clip_as_it_is():
    clip = picture()
    result = augment(clip, Modality.VISIBLE, np.random.default_rng(0), PLAIN)
    assert np.array_equal(result, clip)
    assert result is not clip


def test_the_same_generator_gives_the_same_clip_and_the_input_stays():
    clip = picture()
    kept = clip.copy()
    first = augment(clip, Modality.INFRARED, np.random.default_rng(5), Augmentation())
    out = np.empty_like(clip)
    second = augment(clip, Modality.INFRARED, np.random.default_rng(5), Augmentation(), out)
    assert second is out
    assert np.array_equal(first, second)
    assert np.array_equal(clip, kept)
    assert not np.array_equal(
        first, augment(clip, Modality.INFRARED, np.random.default_rng(6), Augmentation())
    )


def test_crops_reach_every_place_and_no_other():
    clip = np.zeros((1, 3, 9, 9), dtype=np.uint8)
    clip[..., 4, 4] = 255
    generator = np.random.default_rng(0)
    options = Augmentation(pad=2, flip=0, erase=0, channels=False)
    places = set()
    for _ in range(400):
        moved = augment(clip, Modality.VISIBLE, generator, options)
        places.add(tuple(int(i) for i in np.argwhere(moved[0, 0])[0]))
    assert places == {(y, x) for y in range(2, 7) for x in range(2, 7)}


def test_half_of_the_clips_are_flipped():
    clip = picture()
    generator = np.random.default_rng(0)
    options = Augmentation(pad=0, flip=0.5, erase=0, channels=False)
    flipped = 0
    for _ in range(1000):
        result = augment(clip, Modality.VISIBLE, generator, options)
        is_flipped = np.array_equal(result, clip[..., ::-1])
        assert is_flipped or np.array_equal(result, clip)
        flipped += is_flipped
    assert 440 < flipped < 560


@pytest.mark.parametrize("sync", [True, False])
def test_sync_decides_whether_frames_move_and_change_colour_together(sync):
    clip = np.repeat(picture(frames=1), 6, axis=0)
    options = Augmentation(pad=3, erase=0, sync=sync)
    generator = np.random.default_rng(0)
    results = [augment(clip, Modality.VISIBLE, generator, options) for _ in range(20)]
    together = [all(np.array_equal(frame, result[0]) for frame in result) for result in results]
    assert all(together) if sync else not any(together)


def test_erasing_is_drawn_frame_by_frame_with_its_probability():
    clip = np.zeros((8, 3, 32, 16), dtype=np.uint8)
    generator = np.random.default_rng(0)
    options = Augmentation(pad=0, flip=0, erase=0.5, channels=False)
    erased = np.array(
        [augment(clip, Modality.VISIBLE, generator, options).any(axis=(1, 2, 3)) for _ in range(200)]
    )
    assert 0.45 < erased.mean() < 0.55
    assert 0 < sum(row.all() for row in erased) + sum((~row).all() for row in erased) < 20


def test_boxes_keep_area_aspect_and_frame():
    generator = np.random.default_rng(0)
    boxes = [draw_box(288, 144, generator) for _ in range(2000)]
    assert all(b.top >= 0 and b.left >= 0 and b.height < 288 and b.width < 144 for b in boxes)
    assert all(b.top + b.height <= 288 and b.left + b.width <= 144 for b in boxes)
    area = np.array([b.height * b.width / (288 * 144) for b in boxes])
    aspect = np.array([b.height / b.width for b in boxes])
    assert 0.019 < area.min() < 0.03
    assert 0.36 < area.max() < 0.405
    assert 0.29 < aspect.min() < 0.6
    assert 3.1 < aspect.max() < 3.5


def test_boxes_touch_the_far_edges():
    generator = np.random.default_rng(1)
    boxes = [draw_box(16, 16, generator) for _ in range(500)]
    assert {b.top + b.height for b in boxes} >= {16}
    assert {b.left + b.width for b in boxes} >= {16}
    assert {b.top for b in boxes} >= {0}


def test_a_frame_that_no_box_fits_into_stays():
    assert draw_box(1, 1, np.random.default_rng(0)) is None
    clip = picture(height=1, width=1)
    options = Augmentation(pad=0, flip=0, erase=1, channels=False)
    assert np.array_equal(augment(clip, Modality.VISIBLE, np.random.default_rng(0), options), clip)


def test_the_erased_box_normalises_to_the_published_fill():
    options = Augmentation()
    assert options.fill.tolist() == [152, 144, 129]
    clip = picture(frames=1)
    before = clip.copy()
    erase(clip[0], Box(3, 2, 5, 4), options.fill)
    inside = normalise(clip)[0, :, 3:8, 2:6]
    half_level = 0.5 / 255 / np.array(IMAGENET_STD)
    assert np.all(np.abs(inside - np.array(ERASE_FILL)[:, None, None]) <= half_level[:, None, None] + 1e-12)
    clip[0, :, 3:8, 2:6] = before[0, :, 3:8, 2:6]
    assert np.array_equal(clip, before)


@pytest.mark.parametrize(
    ("modality", "expected"),
    [
        (Modality.VISIBLE, {-1: 1 / 2, 0: 1 / 6, 1: 1 / 6, 2: 1 / 6}),
        (Modality.INFRARED, {0: 1 / 4, 1: 1 / 4, 2: 1 / 4, 3: 1 / 8, -1: 1 / 8}),
    ],
)
def test_channels_are_drawn_with_the_published_probabilities(modality, expected):
    generator = np.random.default_rng(0)
    count = 8000
    drawn = [draw_channel(modality, generator) for _ in range(count)]
    assert set(drawn) == set(expected)
    for channel, share in expected.items():
        spread = math.sqrt(count * share * (1 - share))
        assert abs(drawn.count(channel) - count * share) < 4 * spread


def after_normalising(clip, channel):
    """The published exchange: on normalised values."""
    values = normalise(clip)
    if channel < 3:
        return np.repeat(values[:, channel : channel + 1], 3, axis=1)
    grey = sum(w * values[:, c] for c, w in enumerate(LUMINANCE))
    return np.repeat(grey[:, None], 3, axis=1)


@pytest.mark.parametrize("channel", [0, 1, 2, 3])
def test_exchange_equals_the_exchange_after_normalising(channel):
    clip = picture(low=25, high=225)
    expected = after_normalising(clip, channel)
    exchange_channels(clip, channel, Augmentation())
    level = 1 / 255 / np.array(IMAGENET_STD)[:, None, None]
    assert np.all(np.abs(normalise(clip) - expected) <= 0.5 * level + 1e-5)


def test_exchange_clips_at_the_ends_of_the_range_only():
    tables = channel_tables(IMAGENET_MEAN, IMAGENET_STD)
    levels = np.arange(256)
    for a in range(3):
        assert np.array_equal(tables[a, a], levels)
        for b in range(3):
            exact = (
                (levels / 255 - IMAGENET_MEAN[a]) / IMAGENET_STD[a] * IMAGENET_STD[b] + IMAGENET_MEAN[b]
            ) * 255
            inside = (exact >= 0) & (exact <= 255)
            assert np.all(np.abs(tables[a, b] - exact)[inside] <= 0.5)
            assert np.all(tables[a, b][exact < 0] == 0)
            assert np.all(tables[a, b][exact > 255] == 255)


@pytest.mark.parametrize("modality", list(Modality))
def test_an_exchange_that_always_happens_takes_each_channel_equally_often(modality):
    clip, copied = picture(frames=1, low=60, high=190), []
    for seed in range(300):
        made = augment(clip, modality, np.random.default_rng(seed), PLAIN, exchange="always")
        copied += [c for c in range(3) if np.array_equal(made[:, c], clip[:, c])]
        expected = clip.copy()
        exchange_channels(expected, copied[-1], PLAIN)
        assert np.array_equal(made, expected)
    assert len(copied) == 300
    assert all(70 < copied.count(channel) < 130 for channel in range(3))


def test_an_exchange_that_never_happens_leaves_the_channels():
    clip = picture()
    options = Augmentation(pad=0, flip=0, erase=0)
    for seed in range(20):
        made = augment(clip, Modality.INFRARED, np.random.default_rng(seed), options, exchange="never")
        assert np.array_equal(made, clip)


def test_exchange_of_nothing_changes_nothing():
    clip = picture()
    kept = clip.copy()
    exchange_channels(clip, -1, Augmentation())
    assert np.array_equal(clip, kept)


def test_other_means_and_deviations_are_followed():
    half = Augmentation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert half.fill.tolist() == [round((0.5 * f + 0.5) * 255) for f in ERASE_FILL]
    clip = picture()
    expected = clip[:, [1, 1, 1]]
    exchange_channels(clip, 1, half)
    assert np.array_equal(clip, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": 1.5}, "flip must be a probability in 0..1, found 1.5"),
        ({"erase": -0.1}, "erase must be a probability"),
        ({"erase_area": (0.4, 0.2)}, "erase_area must be two ascending shares"),
        ({"pad": -1}, "pad must be 0 or more pixels, found -1"),
        ({"std": (0.0, 1.0, 1.0)}, "std must be positive"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)


def test_boxes_are_as_large_as_asked_and_their_colours_drawn():
    clip = np.zeros((400, 3, 64, 32), dtype=np.uint8)
    options = Augmentation(pad=0, flip=0, erase=1, channels=False, erase_area=(0.02, 0.2), erase_random=True)
    erased = augment(clip, Modality.VISIBLE, np.random.default_rng(0), options)
    painted = erased.any(axis=1)
    shares = painted.mean(axis=(1, 2))
    assert 0.015 < shares.min() < 0.04
    assert 0.16 < shares.max() < 0.21
    colours = erased.reshape(400, 3, -1).max(axis=2)
    assert len(np.unique(colours, axis=0)) > 390
    assert 118 < colours.mean() < 138
    for frame, box, colour in zip(erased, painted, colours, strict=True):
        assert (frame[:, box] == colour[:, None]).all()
