from dataclasses import replace

import numpy as np
import pytest

from tapetum.data.synthetic import VOCABULARY
from tapetum.data.synthetic.crowd import CrowdOptions, draw_crowd
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.population import Population

OPTIONS = CrowdOptions(people=3, views=2, captions=4, frame_size=(32, 16), seed=5)


@pytest.fixture(scope="module")
def crowd():
    return draw_crowd(OPTIONS)


def equal(one, other):
    pictures = np.array_equal(one.visible, other.visible) and np.array_equal(one.infrared, other.infrared)
    return pictures and one.captions == other.captions


def test_shapes_and_words(crowd):
    assert (crowd.visible.dtype, crowd.visible.shape) == (np.uint8, (3, 2, 3, 32, 16))
    assert crowd.infrared.shape == (3, 0, 3, 32, 16)
    assert [len(sentences) for sentences in crowd.captions] == [4, 4, 4]
    words = {word for sentences in crowd.captions for s in sentences for word in s.lower().split()}
    assert {word.strip(".,") for word in words} <= set(VOCABULARY)
    for frames in crowd.visible.reshape(6, -1):
        assert frames.std() > 5  # a picture, not an empty field


def test_the_same_seed_draws_the_same_crowd_whatever_its_size(crowd):
    assert equal(crowd, draw_crowd(OPTIONS, workers=2))
    more = draw_crowd(replace(OPTIONS, people=4))
    np.testing.assert_array_equal(more.visible[:3], crowd.visible)
    assert more.captions[:3] == crowd.captions


def test_another_seed_and_the_unseen_are_other_people(crowd):
    unseen = draw_crowd(replace(OPTIONS, unseen=True))
    other = draw_crowd(replace(OPTIONS, seed=6))
    assert unseen.infrared.shape == (3, 2, 3, 32, 16)
    for one in (unseen, other):
        assert not np.array_equal(one.visible, crowd.visible)
        assert one.captions != crowd.captions
    # infrared is drawn after visible, and grey
    assert np.abs(unseen.infrared[:, :, 0].astype(int) - unseen.infrared[:, :, 2]).mean() < 3


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("seed", [0, 5])
def test_nobody_of_a_data_set_is_in_a_crowd(monkeypatch, seed, split):
    """Drawn from the same seed by both ways, people differ in every measure."""
    from tapetum.data.synthetic import crowd as module

    met = []
    real = module.sample_person

    def remember(rng):
        met.append(real(rng))
        return met[-1]

    monkeypatch.setattr(module, "sample_person", remember)
    monkeypatch.setattr(module, "_draw_views", lambda *_: np.empty((0, 3, 32, 16), np.uint8))
    for unseen in (False, True):
        for index in range(6):
            module._draw_person(replace(OPTIONS, seed=seed, unseen=unseen), index)
    population = Population(seed, 12, WalkerOptions(), 6)
    people = [population.person(split, index) for index in range(6)]
    assert len({repr(person) for person in met}) == 12
    assert not {repr(person) for person in met} & {repr(person) for person in people}


def test_progress_reaches_its_end():
    calls = []
    draw_crowd(replace(OPTIONS, people=2, views=1), progress=lambda *call: calls.append(call))
    assert calls == [(2, 2)]
