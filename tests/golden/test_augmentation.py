"""Augmentation of uint8 clips against the published order on floats: flip, normalise, erase, exchange."""

import numpy as np
import pytest

from tapetum.data.transforms import ERASE_FILL, LUMINANCE, Augmentation, augment, draw_box, draw_channel
from tapetum.types import IMAGENET_MEAN, IMAGENET_STD, Modality

FRAMES, HEIGHT, WIDTH = 4, 24, 12


def published(clip, modality, generator, options):
    """Normalised float64 `[T, 3, H, W]`, pixel by pixel, with the same draws in the same order."""
    result = np.zeros(clip.shape)
    flips = []
    for _ in range(1 if options.sync else FRAMES):
        generator.integers(0, 1, 2)
        flips.append(generator.random() < options.flip)
    for t in range(FRAMES):
        flip = flips[0 if options.sync else t]
        for c in range(3):
            for y in range(HEIGHT):
                for x in range(WIDTH):
                    level = clip[t, c, y, WIDTH - 1 - x if flip else x]
                    result[t, c, y, x] = (level / 255 - IMAGENET_MEAN[c]) / IMAGENET_STD[c]
    for t in range(FRAMES):
        if generator.random() < options.erase:
            top, left, height, width = draw_box(HEIGHT, WIDTH, generator)
            for c in range(3):
                result[t, c, top : top + height, left : left + width] = ERASE_FILL[c]
    drawn = [draw_channel(modality, generator) for _ in range(1 if options.sync else FRAMES)]
    for t in range(FRAMES):
        channel = drawn[0 if options.sync else t]
        if channel == 3:
            result[t] = sum(LUMINANCE[c] * result[t, c] for c in range(3))
        elif channel >= 0:
            result[t] = result[t, channel].copy()
    return result


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("modality", list(Modality))
@pytest.mark.parametrize("seed", range(6))
def test_augmenting_bytes_equals_augmenting_normalised_values(sync, modality, seed):
    options = Augmentation(pad=0, sync=sync)
    clip = np.random.default_rng(99).integers(30, 225, (FRAMES, 3, HEIGHT, WIDTH), dtype=np.uint8)
    ours = augment(clip, modality, np.random.default_rng(seed), options)
    mean, std = (np.array(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    expected = published(clip, modality, np.random.default_rng(seed), options)
    one_level = 1 / 255 / std
    assert np.all(np.abs((ours / 255 - mean) / std - expected) <= one_level + 1e-5)
