import re
from pathlib import Path

import pytest

from tapetum.data.corruptions import CORRUPTIONS, SEVERITIES, corruption_names, find_corruption
from tapetum.types import Modality

PAGE = Path(__file__).parents[4] / "docs" / "robustness.md"


def test_names_are_unique_and_lead_to_their_corruption():
    names = corruption_names()
    assert len(set(names)) == len(names) == len(CORRUPTIONS)
    assert all(find_corruption(name).name == name for name in names)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="unknown corruption 'gausian-noise'; did you mean 'gaussian-noise'"):
        find_corruption("gausian-noise")
    with pytest.raises(ValueError, match=r"unknown corruption 'xyz'; known: gaussian-noise, "):
        find_corruption("xyz")


def test_what_applies_to_which_modality_is_declared():
    visible_only = {c.name for c in CORRUPTIONS if c.modalities == {Modality.VISIBLE}}
    infrared_only = {c.name for c in CORRUPTIONS if c.modalities == {Modality.INFRARED}}
    assert visible_only == {"saturation"}
    assert infrared_only == {"fixed-pattern-noise", "lamp-vignette", "lamp-hot-spot", "gain-noise"}
    assert all(c.modalities for c in CORRUPTIONS)


def test_levels_are_ordered():
    for corruption in CORRUPTIONS:
        assert len(corruption.levels) == len(SEVERITIES)
        ascending = sorted(set(corruption.levels))
        assert list(corruption.levels) in (ascending, ascending[::-1]), corruption.name


def test_the_page_states_the_levels_that_are_used():
    rows = {
        found[1]: [cell.strip() for cell in found[2].split("|")]
        for found in re.finditer(r"^\| `([\w-]+)` \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert list(rows) == corruption_names()
    for corruption in CORRUPTIONS:
        who = "both" if len(corruption.modalities) == 2 else next(iter(corruption.modalities)).value
        assert rows[corruption.name][0] == who
        assert rows[corruption.name][2:] == [
            corruption.strength,
            ", ".join(f"{x:g}" for x in corruption.levels),
        ]
