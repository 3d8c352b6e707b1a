import numpy as np
import pytest

from tapetum.search import Filter
from tapetum.search._lance_snapshot import condition
from tapetum.search.planning import FILTERS, Index, is_exact, measured_recall, sample_rows

INDEX = Index("IvfRq", 16, 100, 99, 5, {"all": 0.98, "visible": 0.9, "infrared": 0.95})


def test_every_tracklet_is_compared_unless_there_are_many_and_an_index():
    assert is_exact(10**9, None, 1000)
    assert is_exact(1000, INDEX, 1000)
    assert not is_exact(1001, INDEX, 1000)


def test_under_a_filter_the_least_that_was_measured_is_stated():
    assert INDEX.recall_of(None) == 0.98
    assert INDEX.recall_of(Filter(cameras=3)) == 0.9


@pytest.mark.parametrize(
    ("sequence", "revision", "fits"),
    [
        (range(100), [5] * 100, True),
        (range(105), [5] * 100 + [6] * 5, True),  # few have come since
        (range(111), [5] * 100 + [6] * 11, False),  # too many
        (range(99), [5] * 99, False),  # one is gone
        (range(100), [5] * 99 + [6], False),  # one was replaced
    ],
)
def test_an_index_fits_as_long_as_its_rows_are_there(sequence, revision, fits):
    assert INDEX.is_current(np.array(sequence), np.array(revision)) is fits


def test_an_index_comes_back_from_json():
    assert Index.from_json(INDEX.to_json()) == INDEX
    with pytest.raises(KeyError):
        Index.from_json({**INDEX.to_json(), "recall": {"all": 1.0}})


def test_recall_is_the_share_of_true_answers_by_filter():
    true = {None: [1, 2, 3, 4], FILTERS["visible"]: [1, 2], FILTERS["infrared"]: []}
    found = {None: [4, 9, 1, 2], FILTERS["visible"]: [2, 7], FILTERS["infrared"]: []}
    recall = measured_recall([0, 1], lambda _, where: true[where], lambda _, where: found[where])
    assert recall == {"all": 0.75, "visible": 0.5, "infrared": 1.0}


def test_a_sample_is_the_same_each_time():
    assert sample_rows(3) == [0, 1, 2]
    assert len(set(sample_rows(10_000))) == 64
    assert sample_rows(10_000) == sample_rows(10_000)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (None, None),
        (Filter(), None),
        (Filter(modality="infrared"), "modality = 'infrared'"),
        (Filter(cameras=[3, "it's"]), "camera_id IN ('\"3\"', '\"it''s\"', '3')"),
        (Filter(persons=[]), "false"),
        (Filter(exclude_cameras="²"), "(camera_id IS NULL OR NOT camera_id IN ('\"²\"'))"),
        (Filter(after=1e30, before=float("inf")), "time >= 1e+30 AND time IS NOT NULL"),
        (Filter(before=float("-inf")), "false"),
    ],
)
def test_filters_as_conditions(where, text):
    assert condition(where) == text
