import itertools

import numpy as np
import pytest
import torch

from tapetum.evaluation import _counting


def expected(rows, values):
    below = (rows[:, :, None] < values[:, None, :]).sum(axis=1)
    return below, (rows[:, :, None] == values[:, None, :]).sum(axis=1)


@pytest.mark.parametrize("count", [_counting._by_scanning, _counting._by_sorting])
@pytest.mark.parametrize("width", [1, 7, 8, 100, 1024, 1025, 16384, 40000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_ways_count_exactly(count, width, dtype):
    rng = np.random.default_rng(width)
    rows = rng.integers(-5, 5, (3, width)).astype(dtype) / 4
    rows[:, :: max(1, width // 9)] = np.inf
    values = np.sort(rng.integers(-7, 7, (3, 4)).astype(dtype) / 4, axis=1)
    values[0, -1] = np.inf
    for found, right in zip(count(rows, values), expected(rows, values), strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("ratio", [0.0, 1e9])
@pytest.mark.parametrize("threads", [1, 2])
def test_chunks_and_threads_change_nothing(monkeypatch, ratio, threads):
    monkeypatch.setattr(_counting, "_sort_to_scan_ratio", lambda: ratio)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 9, (50, 31)).astype(np.float32)
    rows[40:] = np.inf  # a chunk without any finite value
    values = np.sort(rows[:, :3], axis=1)
    finite = values < np.inf
    for found, right in zip(
        _counting.count_below(torch.from_numpy(rows), values), expected(rows, values), strict=True
    ):
        np.testing.assert_array_equal(found[finite], right[finite])


def test_search_counts_as_scanning_does():
    """The way taken on an accelerator, run on the processor."""
    rows = torch.tensor([[3.0, 1.0, 1.0, float("inf")]])
    below, equal = _counting._search_on_device(rows, np.array([[1.0, 2.0, 3.0]], dtype=np.float32))
    assert below.tolist() == [[0, 2, 2]]
    assert equal.tolist() == [[2, 0, 1]]


def test_both_ways_count_people_alike():
    rng = np.random.default_rng(0)
    distance, starts = rng.random((6, 20)).astype(np.float32), np.array([0, 1, 5, 6, 13, 20])
    values = distance[:, 8].copy()
    people = [range(a, b) for a, b in itertools.pairwise(starts)]
    right = [sum(row[list(p)].min() < v for p in people) for row, v in zip(distance, values, strict=True)]
    tensor = torch.from_numpy(distance)
    assert _counting.count_people_below(tensor, starts, values).tolist() == right
    assert _counting._people_below_on_device(tensor, starts, values).tolist() == right


def test_measured_ratio_is_positive():
    assert _counting._sort_to_scan_ratio() > 0
