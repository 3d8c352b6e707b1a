import numpy as np
import pytest

from tapetum.search import Filter
from tapetum.search._columns import Columns, Identifiers
from tapetum.types import Modality, Tracklet

SEEN = [
    Tracklet("a", (), Modality.INFRARED, person_id=7, camera_id=3, time=50.0),
    Tracklet("b", (), Modality.VISIBLE, person_id="7", camera_id="3", time=60.0),
    Tracklet("c", (), Modality.VISIBLE, person_id="x", camera_id="gate"),
    Tracklet("d", (), Modality.INFRARED, camera_id=30),
    Tracklet("e", (), Modality.INFRARED, person_id=np.int64(7), time=70.0),
]


@pytest.mark.parametrize(
    "where",
    [
        Filter(),
        Filter(modality="visible"),
        Filter(cameras=3),
        Filter(cameras=["gate", 30]),
        Filter(cameras=[]),
        Filter(cameras="nowhere"),
        Filter(exclude_cameras="3"),
        Filter(exclude_cameras=[]),
        Filter(persons="7"),
        Filter(persons=7, modality=Modality.INFRARED),
        Filter(after=60.0),
        Filter(before=60.0),
        Filter(after=50, before=65, exclude_cameras=[3]),
        Filter(after=float("-inf")),
    ],
)
def test_rows_pass_as_the_filter_accepts(where):
    assert Columns.of(SEEN).passing(where).tolist() == [where.accepts(t) for t in SEEN]


def test_integers_and_texts_stay_apart_but_are_found_by_either():
    column = Identifiers.of([3, "3", None, 3])
    assert column.values == (3, "3")
    assert column.among("3").tolist() == column.among(3).tolist() == [True, True, False, True]
    assert Identifiers.of(["b", 10, "a", 9, None]).known() == (9, 10, "a", "b")


@pytest.mark.parametrize(("by_seen", "older"), [(True, [0, 3]), (False, [1, 3])])
def test_age_counts_from_when_it_was_seen_or_stored(by_seen, older):
    stored = np.array([100.0, 20.0, np.nan, 10.0, 60.0])
    columns = Columns.of(SEEN)
    assert np.flatnonzero(columns.before(60.0, stored, by_seen=by_seen)).tolist() == older


def test_counts_and_span():
    columns = Columns.of(SEEN)
    assert (columns.modalities(), columns.span()) == ({"visible": 2, "infrared": 3}, (50.0, 70.0))
    assert Columns.of(SEEN[2:4]).span() == (None, None)
    assert (len(Columns.of([])), Columns.of([]).passing(Filter(cameras=1)).tolist()) == (0, [])
