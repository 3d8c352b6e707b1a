from dataclasses import replace

import numpy as np

from tapetum.data.synthetic.captions import VOCABULARY, caption, split_words
from tapetum.data.synthetic.materials import Material
from tapetum.data.synthetic.people import Bag, Body, Hat, Lower, Pattern, Upper, sample_person

RED = Material("red", (196, 36, 40), 90)
BLUE = Material("blue", (44, 80, 184), 200)


def described():
    person = sample_person(np.random.default_rng(0))
    return replace(
        person,
        body=Body(height_m=1.9),
        hair_style="short",
        upper=Upper("jacket", RED, BLUE, Pattern("horizontal"), 0.0, 1.0),
        lower=Lower("skirt", BLUE, RED, Pattern(), 0.5, 1.0),
        shoes=RED,
        bag=Bag("backpack", BLUE, 1.0),
        hat=Hat("none", RED),
    )


def test_full_caption():
    assert caption(described()) == (
        "a tall person with short hair, wearing a red and blue horizontally striped jacket, a blue skirt and "
        "red shoes, carrying a backpack"
    )


def test_bald_is_said_only_when_seen():
    person = replace(described(), hair_style="bald")
    assert "bald" in caption(person)
    assert "bald" not in caption(replace(person, hat=Hat("cap", RED)))


def test_print_names_its_colour_first():
    person = described()
    upper = replace(person.upper, pattern=Pattern("print"))
    assert "a blue printed red jacket" in caption(replace(person, upper=upper))


def test_all_words_are_in_the_vocabulary_and_all_are_used():
    used = set()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        person = sample_person(rng)
        for text in (caption(person), caption(person, rng), caption(person, rng)):
            assert "  " not in text
            assert not text.endswith((",", " "))
            used |= set(split_words(text))
    assert used <= set(VOCABULARY)
    assert set(VOCABULARY) - used <= {"an", "plain", "the"}


def test_variants_differ_and_follow_the_seed():
    person = described()
    texts = [caption(person, np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(texts)) > 5
    assert texts == [caption(person, np.random.default_rng(seed)) for seed in range(20)]
    assert all("jacket" in text and "skirt" in text for text in texts)
