import json

import pytest

from tapetum.benchmarking import Limit, Row
from tapetum.benchmarking.measuring import Timing
from tapetum.benchmarking.rows import rate_row, time_row

TIMING = Timing("work", wall_s=2.0, cpu_s=4.0, best_wall_s=1.5, best_cpu_s=3.0, spread=0.25, rounds=3)
USUAL = Timing("usual", wall_s=10.0, cpu_s=10.0, best_wall_s=10.0, best_cpu_s=10.0, spread=0, rounds=1)


def test_of_a_time_less_is_better():
    row = time_row(TIMING, Limit("best", 0.5, 2.0), usual=USUAL)
    assert (row.value, row.limit, row.limit_of, row.unit) == (2.0, 0.5, "best", "s")
    assert (row.ratio, row.cpu_ratio, row.gain) == (0.25, 0.5, 5.0)
    assert (row.spread, row.rounds, row.is_time) == (0.25, 3, True)


def test_milliseconds_are_scaled_and_ratios_are_not():
    row = time_row(TIMING, Limit("best", 0.5), unit="ms a question")
    assert (row.value, row.limit, row.ratio, row.cpu_ratio) == (2000, 500, 0.25, None)


def test_of_a_rate_more_is_better():
    row = rate_row(TIMING, 8, "frames/s", Limit("best", 1.0, 1.0), usual=USUAL)
    assert (row.value, row.limit, row.ratio, row.cpu_ratio) == (4.0, 8.0, 0.5, 0.25)
    assert row.gain == 5.0
    assert not row.is_time


def test_rates_that_begin_with_an_s_are_no_times():
    assert not Row("x", 1.0, "steps/s").is_time


def test_without_a_limit_there_is_no_ratio():
    row = rate_row(TIMING, 8, "frames/s")
    assert (row.limit, row.ratio, row.cpu_ratio, row.gain) == (None, None, None, None)
    assert Row("x", 0.0, "s", limit=1.0).ratio is None


def test_rows_go_through_json():
    row = time_row(TIMING, Limit("best", 0.5, 2.0), usual=USUAL, memory_mib=3.0, facts={"n": 2, "by": "x"})
    content = json.loads(json.dumps(row.to_json()))
    assert (content["ratio"], content["gain"]) == (0.25, 5.0)
    assert Row.from_json(content) == row
    with pytest.raises(TypeError):
        Row.from_json({"what": "x"})


def test_a_limit_is_the_best_that_was_seen():
    assert Limit.of(TIMING) == Limit("work", 1.5, 3.0)
