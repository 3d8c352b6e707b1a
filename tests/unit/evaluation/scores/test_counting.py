import itertools

import numpy as np
import pytest

from tapetum.evaluation.scores import _counting

WAYS = [_counting._by_scanning, _counting._by_keys]


def expected(rows, places, place):
    """Positions by Python's sort, which is stable."""
    positions = []
    for row, wanted in zip(rows, places, strict=True):
        ranking = sorted(range(len(row)), key=lambda column: (row[column], place[column]))
        found = {int(place[column]): rank for rank, column in enumerate(ranking, start=1)}
        positions.append([found[int(p)] for p in wanted])
    return np.array(positions)


def draw(rng, dtype, width, count, levels, shape=(3,)):
    """Rows, and the values and places of some of their items, in rank order; columns are shuffled."""
    rows = (
        rng.standard_normal((*shape, width))
        if levels is None
        else rng.integers(0, levels, (*shape, width)) / 4
    )
    rows, place = rows.astype(dtype), rng.permutation(width)
    columns = np.stack([rng.choice(width, min(count, width), replace=False) for _ in rows])
    order = np.lexsort((place[columns], np.take_along_axis(rows, columns, axis=1)), axis=1)
    columns = np.take_along_axis(columns, order, axis=1)
    return rows, np.take_along_axis(rows, columns, axis=1), place[columns], place


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("width", [1, 7, 100, 1025, 16384, 20000])
@pytest.mark.parametrize("levels", [None, 3, 4000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_ways_count_exactly(way, width, levels, dtype):
    rows, values, places, place = draw(np.random.default_rng(width), dtype, width, 5, levels)
    np.testing.assert_array_equal(way(rows, values, places, place), expected(rows, places, place))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("width", [3, 50])
def test_rows_with_fewer_items_and_items_left_out(way, width):
    rng = np.random.default_rng(1)
    rows, values, places, place = draw(rng, np.float32, width, 3, 20, shape=(40,))
    rows[:, rng.random(width) < 0.3] = np.inf
    values = np.take_along_axis(rows, np.argsort(place)[places], axis=1)
    order = np.argsort(values, axis=1, kind="stable")
    values, places = np.take_along_axis(values, order, axis=1), np.take_along_axis(places, order, axis=1)
    values[:10, 1:] = np.inf
    values[5] = np.inf
    found = way(rows, values, places, place)
    finite = values < np.inf
    np.testing.assert_array_equal(found[finite], expected(rows, places, place)[finite])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-38, 1e-44, 1e30, 3e38])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_keys_keep_the_order_at_any_scale(dtype, scale, shift):
    rng = np.random.default_rng(2)
    rows, _, places, place = draw(rng, dtype, 300, 20, None, shape=(4,))
    rows = ((rows / np.abs(rows).max() + shift) / 2 * scale).astype(dtype)
    rows[2] = rows[2, 0]
    rows[3, ::7] = np.inf
    columns = np.argsort(place)[places]
    order = np.lexsort((places, np.take_along_axis(rows, columns, axis=1)), axis=1)
    places = np.take_along_axis(places, order, axis=1)
    values = np.take_along_axis(rows, np.argsort(place)[places], axis=1)
    finite = values < np.inf
    found = _counting._by_keys(rows, values, places, place)
    np.testing.assert_array_equal(found[finite], expected(rows, places, place)[finite])


def test_crowded_keys_are_ordered_in_full(monkeypatch):
    rows, values, places, place = draw(np.random.default_rng(3), np.float32, 500, 40, 3, shape=(6,))
    ordered = []
    whole = _counting._by_ordering
    monkeypatch.setattr(_counting, "_by_ordering", lambda r, *rest: ordered.append(len(r)) or whole(r, *rest))
    found = _counting._by_keys(rows, values, places, place)
    assert ordered == [6]
    np.testing.assert_array_equal(found, expected(rows, places, place))


@pytest.mark.parametrize("most", [0, 10**9])
@pytest.mark.parametrize("entries", [1, 31 * 7, 10**9])
def test_ways_and_chunks_change_nothing(monkeypatch, most, entries):
    monkeypatch.setattr(_counting, "_most_to_scan", lambda width: most)
    monkeypatch.setattr(_counting, "_CHUNK_ENTRIES", entries)
    rows, values, places, place = draw(np.random.default_rng(0), np.float32, 31, 3, 9, shape=(50,))
    values[40:] = np.inf  # chunks without any finite value
    found = _counting.rank_rows(rows, values, places, place)
    np.testing.assert_array_equal(found[:40], expected(rows, places, place)[:40])


def test_people_before_an_item_by_hand():
    """People are columns 0, 1-2, 3-5; the item asked for is column 2, of the second person."""
    starts, place = np.array([0, 1, 3, 6]), np.array([4, 0, 3, 1, 2, 5])
    rows = np.array(
        [[5, 9, 4, 4, 3, 4], [5, 9, 4, 4, 4, 6], [4, 9, 4, 7, 4, 6], [4, 9, 4, 7, 8, 4]], np.float32
    )
    found = _counting.count_people_before(rows, starts, np.full(4, 4.0, np.float32), np.full(4, 3), place)
    assert found.tolist() == [1, 1, 1, 0]


def test_people_before_an_item_are_those_of_the_ranking():
    rng = np.random.default_rng(0)
    starts = np.array([0, 1, 5, 6, 13, 20])
    people = [range(a, b) for a, b in itertools.pairwise(starts)]
    for levels in (2, 5, 1000):
        rows, place = rng.integers(0, levels, (30, 20)).astype(np.float32), rng.permutation(20)
        own = [min(people[1], key=lambda column: (row[column], place[column])) for row in rows]
        values, places = rows[np.arange(30), own], place[own]
        found = _counting.count_people_before(rows, starts, values, places, place)
        first = [[min((row[c], place[c]) for c in person) for person in people] for row in rows]
        right = [sum(f < (v, p) for f in row) for row, v, p in zip(first, values, places, strict=True)]
        assert found.tolist() == right


def test_measured_ratio_is_positive():
    assert _counting._most_to_scan(1 << 14) == _counting._keys_to_scan_ratio() > 0
    assert _counting._most_to_scan(100) > 0
