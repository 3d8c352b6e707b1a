from dataclasses import replace

import numpy as np
import pytest

from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.population import Population
from tapetum.types import Modality


def test_identities_do_not_depend_on_their_number():
    small, large = Population(3, 6), Population(3, 60)
    assert small.person("train", 1) == large.person("train", 1)
    first, second = small.plan("train")[2], large.plan("train")[2]
    assert replace(first, person_id=0) == replace(second, person_id=0)
    assert np.array_equal(small.render(first), large.render(second))


def test_tracklets_render_in_any_order():
    population = Population(1, 4, WalkerOptions(frame_size=(32, 16)))
    plans = population.plan("test")[:4]
    forwards = [population.render(plan) for plan in plans]
    backwards = [population.render(plan) for plan in reversed(plans)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards, strict=True))


def test_numbers_have_a_gap_and_test_follows_training():
    population = Population(0, 9)
    train = [population.person_id("train", index) for index in range(population.count("train"))]
    test = [population.person_id("test", index) for index in range(population.count("test"))]
    assert train == [1, 3, 4, 5, 6, 7]
    assert min(test) > max(train) + 1
    assert len(test) == 3


def test_looks_by_cue():
    shape = Population(0, 6, WalkerOptions(cues="shape"))
    plans = [plan for plan in shape.plan("train") if plan.index == 0]
    assert len({shape.worn(plan).upper.colour for plan in plans}) == len(plans)
    assert len({shape.worn(plan).body for plan in plans}) == 1
    gait = Population(0, 12, WalkerOptions(cues="gait"))
    assert len({gait.person("train", index).upper.colour for index in range(8)}) == 1
    pairs = Population(0, 12, WalkerOptions(cues="gait", group_size=2))
    assert len({pairs.person("train", index).upper.colour for index in range(8)}) == 4
    rates = {gait.person(split, index).gait.rates_hz for split in ("train", "test") for index in range(4)}
    assert len(rates) == 8


@pytest.mark.parametrize("seed", range(5))
def test_every_identity_survives_the_twelve_frame_rule(seed):
    population = Population(seed, 12, WalkerOptions(tracklets_per_modality=(1, 2), short_tracklet_share=0.6))
    for split in ("train", "test"):
        kept = [plan for plan in population.plan(split) if len(plan.frame_numbers) >= 12]
        for modality in Modality:
            assert {p.index for p in kept if p.modality is modality} == set(range(population.count(split)))


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"identities": 3}, "identities is 3"),
        ({"identities": 8, "test_identities": 1}, "test_identities is 1"),
        ({"identities": 8, "test_identities": 7}, "test_identities is 7"),
        ({"identities": 8, "seed": -1}, "seed is -1"),
    ],
)
def test_too_few_people(kwargs, word):
    with pytest.raises(ValueError, match=word):
        Population(**{"seed": 0, **kwargs})
