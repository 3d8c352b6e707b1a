from dataclasses import replace

import numpy as np
import pytest

from tapetum.data.synthetic.materials import (
    COLOUR_JITTER,
    MIN_INFRARED_CONTRAST,
    PALETTE,
    nearest_colour,
    sample_material_pair,
)
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.people import redress, sample_person


def people(count, **kwargs):
    return [sample_person(np.random.default_rng(seed), **kwargs) for seed in range(count)]


def test_equal_seeds_give_equal_people():
    assert people(3) == people(3)
    assert len({person.body for person in people(20)}) == 20


def test_colour_says_nothing_about_infrared():
    pairs = [sample_material_pair(np.random.default_rng(seed)) for seed in range(400)]
    luminance = [np.mean(material.visible) for pair in pairs for material in pair]
    infrared = [material.infrared for pair in pairs for material in pair]
    assert abs(np.corrcoef(luminance, infrared)[0, 1]) < 0.12
    same_sign = [(np.mean(a.visible) > np.mean(b.visible)) == (a.infrared > b.infrared) for a, b in pairs]
    assert 0.4 < np.mean(same_sign) < 0.6


def test_patterns_show_in_both_modalities():
    for seed in range(200):
        first, second = sample_material_pair(np.random.default_rng(seed))
        assert abs(first.infrared - second.infrared) >= MIN_INFRARED_CONTRAST
        assert first.colour != second.colour


def test_colour_names_follow_the_colour():
    for name, colour in PALETTE.items():
        for shift in (-COLOUR_JITTER, COLOUR_JITTER):
            for signs in np.ndindex(2, 2, 2):
                moved = tuple(
                    int(np.clip(value + (shift if sign else -shift), 0, 255))
                    for value, sign in zip(colour, signs, strict=True)
                )
                assert nearest_colour(moved) == name


def test_shape_people_share_their_kind_of_clothes():
    assert {(p.upper.kind, p.lower.kind, p.upper.pattern.kind) for p in people(20, cues="shape")} == {
        ("jacket", "trousers", "plain")
    }


def test_redress_changes_materials_only():
    person = people(1, cues="shape")[0]
    other = redress(person, np.random.default_rng(9))
    assert other.upper.colour != person.upper.colour
    assert (other.body, other.gait, other.hair_style) == (person.body, person.gait, person.hair_style)
    assert other.upper.hem_m == person.upper.hem_m
    assert other.bag.kind == person.bag.kind


def test_members_of_a_group_differ_in_rates_only():
    members = [sample_person(np.random.default_rng(4), cues="gait", rank=rank) for rank in (0, 1, 2, 7)]
    assert len({member.gait.rates_hz for member in members}) == 4
    level = members[0].gait
    for member in members:
        gait = replace(member.gait, rates_hz=level.rates_hz, nod_direction=level.nod_direction)
        assert replace(member, gait=gait) == members[0]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"difficulty": "harsh"}, "harsh"),
        ({"difficulty": 1.5}, "1.5"),
        ({"cues": "smell"}, "smell"),
        ({"frame_size": (8, 8)}, "frame_size"),
        ({"tracklet_length": (6, 24)}, "tracklet_length"),
        ({"tracklets_per_modality": (3, 2)}, "tracklets_per_modality"),
        ({"short_tracklet_share": 2.0}, "2.0"),
        ({"group_size": 1}, "group_size"),
        ({"jpeg_quality": 0}, "jpeg_quality"),
    ],
)
def test_options_out_of_range_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        WalkerOptions(**options)


def test_difficulty_by_name_or_number():
    assert WalkerOptions(difficulty="hard").level > WalkerOptions().level > WalkerOptions(difficulty=0).level
