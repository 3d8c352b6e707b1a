import math

import pytest

from tapetum.search import Filter, Hit, SearchResult
from tapetum.types import Modality, Tracklet

SEEN = Tracklet("t", (), Modality.INFRARED, person_id="7", camera_id=3, time=50.0)
UNKNOWN = Tracklet("u", (), Modality.VISIBLE)


@pytest.mark.parametrize(
    ("where", "seen", "unknown"),
    [
        (Filter(), True, True),
        (Filter(modality="infrared"), True, False),
        (Filter(modality=Modality.VISIBLE), False, True),
        (Filter(cameras=3), True, False),
        (Filter(cameras="3"), True, False),
        (Filter(cameras=[1, "3"]), True, False),
        (Filter(cameras=[]), False, False),
        (Filter(cameras=(30, 33)), False, False),
        (Filter(exclude_cameras=["3"]), False, True),
        (Filter(exclude_cameras=4), True, True),
        (Filter(persons={7}), True, False),
        (Filter(persons=77), False, False),
        (Filter(after=50.0), True, False),
        (Filter(after=50.1), False, False),
        (Filter(before=50.0), False, False),
        (Filter(before=50.1), True, False),
        (Filter(after=40, before=60, cameras=3, modality="infrared"), True, False),
    ],
)
def test_every_condition_must_hold(where, seen, unknown):
    assert where.accepts(SEEN) is seen
    assert where.accepts(UNKNOWN) is unknown


def test_filters_with_the_same_conditions_are_equal():
    assert Filter(cameras=[3, 4]) == Filter(cameras=("4", "3"))
    assert Filter(cameras="34") != Filter(cameras=["3", "4"])


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"modality": "thermal"}, "unknown modality 'thermal'; known: visible, infrared"),
        ({"after": math.nan}, "after is not a number"),
        ({"after": 5, "before": 4}, "before=4 is earlier than after=5"),
    ],
)
def test_conditions_that_cannot_hold_are_refused(conditions, message):
    with pytest.raises(ValueError, match=message):
        Filter(**conditions)


def test_a_result_is_a_list_that_says_how_it_was_found():
    hits = (Hit(SEEN, 0.75, 1), Hit(UNKNOWN, 0.5, 2))
    found = SearchResult(hits, exact=True, searched=9)
    assert (len(found), found[0], list(found), found[0].distance) == (2, hits[0], list(hits), 0.25)
    assert found.manner == "exact"
    assert SearchResult((), exact=False, searched=9, recall=0.973).manner == "approximate, recall 0.97"
    assert SearchResult((), exact=False, searched=9).manner == "approximate"
