"""What must not identify people across modalities, and what must."""

import numpy as np
import pytest

from tapetum.data.synthetic import regdb
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.population import Population
from tapetum.types import Modality


def mean_average_precision(similarity, queries, gallery):
    values = []
    for row, person in zip(similarity, queries, strict=True):
        relevant = gallery[np.argsort(-row, kind="stable")] == person
        values.append(np.mean(np.arange(1, relevant.sum() + 1) / (np.flatnonzero(relevant) + 1)))
    return float(np.mean(values))


class Sequences:
    """Frames of each tracklet, who they show, and whether they are visible."""

    def __init__(self, frames, people, visible):
        self.frames, self.people, self.visible = frames, np.array(people), np.array(visible)

    def score(self, feature):
        """Mean average precision, infrared query, by cosine."""
        table = np.stack([feature(frames) for frames in self.frames])
        table /= np.linalg.norm(table, axis=1, keepdims=True)
        seen = self.visible
        return self._score(table[~seen] @ table[seen].T)

    def chance(self):
        shape = (int((~self.visible).sum()), int(self.visible.sum()))
        draws = [np.random.default_rng(seed).random(shape) for seed in range(20)]
        return float(np.mean([self._score(draw) for draw in draws]))

    def _score(self, similarity):
        seen = self.visible
        return mean_average_precision(similarity, self.people[~seen], self.people[seen])


def tracklets_of(cues, identities=32, difficulty="medium"):
    options = WalkerOptions(cues=cues, difficulty=difficulty)
    population = Population(8, identities, options, test_identities=identities - 2)
    plans = [plan for plan in population.plan("test") if len(plan.frame_numbers) >= 12]
    return Sequences(
        [population.render(plan) for plan in plans],
        [plan.index for plan in plans],
        [plan.modality is Modality.VISIBLE for plan in plans],
    )


def pictures_of(identities=24):
    """Single pictures of a visible camera and one beside it, the same moments."""
    plan = regdb.plan(8, identities, None, WalkerOptions())
    drawn = [(job.what, frame) for job in plan.jobs for frame in plan.draw(job.what)]
    return Sequences(
        [frame[None] for _, frame in drawn],
        [take.index for take, _ in drawn],
        [take.mount.modality is Modality.VISIBLE for take, _ in drawn],
    )


def coarse(frames):
    """Grey frames of 24 x 12, `[N, 288]`."""
    grey = frames.astype(np.float64).mean(axis=3)
    return grey.reshape(len(grey), 24, 4, 12, 4).mean(axis=(2, 4)).reshape(len(grey), -1)


def mean_pixels(frames):
    pixels = coarse(frames).mean(axis=0)
    return pixels - pixels.mean()


def pixel_spread(frames):
    spread = coarse(frames).std(axis=0)
    return spread - spread.mean()


def colours(frames):
    return np.concatenate([np.histogram(frames[..., c], 16, (0, 256))[0] for c in range(3)]).astype(float)


def outlines(frames):
    """How much neighbouring pixels differ, whichever is brighter, `[288]`."""
    grey = frames.astype(np.float64).mean(axis=(0, 3))
    change = np.hypot(*np.gradient(grey))
    picture = change.reshape(24, 4, 12, 4).mean(axis=(1, 3)).ravel()
    return picture - picture.mean()


def rhythm(frames):
    """Power per frequency in four horizontal bands of the picture."""
    motion = coarse(frames) - coarse(frames).mean(axis=0)
    power = np.abs(np.fft.rfft(motion * np.hanning(len(motion))[:, None], 64, axis=0))[4:] ** 2
    bands = power.reshape(len(power), 4, -1).sum(axis=2)
    spectrum = np.sqrt(bands / bands.sum(axis=0)).ravel()
    return spectrum - spectrum.mean()


@pytest.fixture(scope="module")
def appearance():
    return tracklets_of("appearance")


@pytest.fixture(scope="module")
def gait():
    return tracklets_of("gait", difficulty=0.0)


def test_colours_and_raw_pixels_are_near_chance(appearance):
    chance = appearance.chance()
    assert chance < 0.15
    assert appearance.score(colours) < chance + 0.04
    assert appearance.score(mean_pixels) < chance + 0.04


def test_shape_leaves_colours_near_chance():
    tracklets = tracklets_of("shape")
    assert tracklets.score(colours) < tracklets.chance() + 0.04


def test_pooling_over_time_does_not_tell_a_gait(gait):
    chance = gait.chance()
    assert abs(gait.score(mean_pixels) - chance) < 0.04
    assert abs(gait.score(pixel_spread) - chance) < 0.04


def test_rhythm_tells_a_gait(gait):
    assert gait.score(rhythm) > gait.chance() + 0.3


def test_single_pictures_of_the_same_moment():
    pictures = pictures_of()
    chance = pictures.chance()
    assert pictures.score(colours) < chance + 0.04
    assert pictures.score(mean_pixels) < chance + 0.04
    assert pictures.score(outlines) > chance + 0.03
