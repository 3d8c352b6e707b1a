import pytest

from tapetum.search.query import Hit
from tapetum.server.page.timeline import draw_timeline
from tapetum.types import Modality, Tracklet

NOON = 1_772_020_800.0


def hits(*seen):
    """Hits by camera and time, in order of rank."""
    return [
        Hit(Tracklet(f"t{n}", (), Modality.VISIBLE, None, camera, time), 0.5, n)
        for n, (camera, time) in enumerate(seen, start=1)
    ]


def test_cameras_are_rows_and_times_are_places():
    drawn = draw_timeline(hits((10, 100.0), (2, 0.0), ("yard", 50.0), (None, 100.0), (2, 100.0)))
    assert [row.name for row in drawn.rows] == ["Camera 2", "Camera 10", "yard", "no camera"]
    places = {pin.hit.rank: pin.x for row in drawn.rows for pin in row.pins}
    assert places == {1: 97.0, 2: 24.0, 3: 60.5, 4: 97.0, 5: 97.0}


def test_pins_that_would_overlap_are_put_below_each_other():
    (row,) = draw_timeline(hits(*[(1, 10.0)] * 3, (1, 0.0), (1, 500.0))).rows
    at = {pin.hit.rank: (pin.x, pin.y) for pin in row.pins}
    for one in at:
        for other in at:
            if one < other:
                assert abs(at[one][0] - at[other][0]) >= 4.2 or abs(at[one][1] - at[other][1]) >= 23
    assert at[5][1] == at[4][1] < row.rule


def test_rows_do_not_touch():
    drawn = draw_timeline(hits(*[(1, 5.0)] * 4, (2, 5.0), (2, 9.0)))
    upper, lower = drawn.rows
    assert max(pin.y for pin in upper.pins) + 10 < upper.rule < min(pin.y for pin in lower.pins) - 10
    assert upper.rule < lower.y < lower.rule < drawn.height


@pytest.mark.parametrize("span", [0.0, 3.0, 47.0, 600.0, 5000.0, 86_400.0, 40 * 86_400.0])
@pytest.mark.parametrize("start", [0.25, NOON])
def test_ticks_are_few_and_lie_within(span, start):
    drawn = draw_timeline(hits((1, start), (1, start + span)))
    assert 1 <= len(drawn.ticks) <= 5
    for tick in drawn.ticks:
        assert start <= tick.seconds <= start + span
        assert 24.0 <= tick.x <= 97.0
        assert tick.is_date == (start == NOON)


def test_hits_without_a_time_are_listed_apart():
    drawn = draw_timeline(hits((1, None), (1, 5.0), (2, None)))
    assert [hit.rank for hit in drawn.undated] == [1, 3]
    assert [row.name for row in drawn.rows] == ["Camera 1"]


def test_where_no_time_is_known_hits_stand_in_order_of_rank():
    drawn = draw_timeline(hits((1, None), (2, None), (1, None)))
    assert drawn.ticks == ()
    assert drawn.undated == ()
    assert [pin.x for row in drawn.rows for pin in row.pins] == [24.0, 97.0, 60.5]
    assert draw_timeline([]) is None


def test_long_names_are_cut_where_there_is_no_room():
    (row,) = draw_timeline(hits(("the yard behind the hall", 1.0))).rows
    assert (row.name, row.short) == ("the yard behind the hall", "the yard b…")
