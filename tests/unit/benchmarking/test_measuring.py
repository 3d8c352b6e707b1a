import sys
import time
from functools import partial

import numpy as np
import pytest
import torch

from tapetum.benchmarking import measuring
from tapetum.benchmarking.measuring import Case, Timing, measure, several, table, take_turns


@pytest.fixture
def clock(monkeypatch):
    """A clock that work moves by hand: [by the clock, of the processor]."""
    now = [0.0, 0.0]
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(measuring.time, "process_time", lambda: now[1])
    return now


def test_cases_run_in_turn_and_the_first_round_does_not_count(clock):
    order = []

    def work(name, seconds):
        order.append(name)
        took = seconds.pop(0)
        clock[0] += took
        clock[1] += 2 * took

    cases = {
        "a": Case(lambda: work("a", [100.0] if not order else a)),
        "b": Case(lambda: work("b", b), scale=10, rounds=2),
    }
    a, b = [1.0, 4.0, 2.0], [50.0, 3.0]
    found = take_turns(cases, 3)
    assert "".join(order) == "ababaa"
    assert found["a"] == Timing("a", 2.0, 4.0, 1.0, 2.0, 1.5, 3)
    assert found["b"] == Timing("b", 30.0, 60.0, 30.0, 60.0, 0.0, 1)


def test_a_case_that_runs_once_counts_though_nothing_warmed_up(clock):
    def work():
        clock[0] += 5

    assert take_turns({"a": Case(work, rounds=1)}, 3)["a"].wall_s == 5


def test_waiting_for_a_device_is_part_of_the_time(clock):
    def wait():
        clock[0] += 1

    assert take_turns({"a": Case(lambda: None)}, 2, warm_up=0, wait=wait)["a"].wall_s == 1


def test_each_of_several_runs_in_a_round_counts(clock):
    seconds = [100.0, 100.0, 1.0, 5.0, 2.0, 3.0]

    def work():
        clock[0] += seconds.pop(0)

    found = take_turns({"a": Case(work, repeats=2)}, 2)["a"]
    assert (found.rounds, found.best_wall_s, found.wall_s) == (4, 1.0, 2.5)


def test_short_work_is_done_several_times_and_counts_once(clock):
    def work():
        clock[0] += 1

    assert take_turns({"a": several(work, 4)}, 1)["a"].wall_s == 1
    assert clock[0] == 8


def cases_of_memory():
    return {"large": Case(partial(np.ones, 8 << 20)), "none": Case(partial(time.sleep, 0))}


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own():
    large, none = measure(cases_of_memory, 1, without_memory=["none"])
    assert large.added_mib == pytest.approx(64, abs=16) or large.added_mib is None
    assert none.added_mib is None
    assert [t.added_mib for t in measure(cases_of_memory, 1, memory=False)] == [None, None]


def test_the_highest_memory_is_not_below_what_is_held():
    measuring.forget_peak()
    kept = np.ones(4 << 20)
    assert measuring.memory_mib(highest=True) >= measuring.memory_mib(highest=False) - 1 > 32
    assert kept.all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems tell no present memory")
def test_free_memory_goes_back_to_the_system():
    measuring.give_back_memory()  # of tests before this one, which the pieces would fill
    before = measuring.memory_mib(highest=False)
    kept = [np.ones(12_000) for _ in range(1000)]  # small pieces, which a process keeps when they are free
    assert measuring.memory_mib(highest=False) > before + 80
    del kept
    measuring.give_back_memory()
    assert measuring.memory_mib(highest=False) < before + 40


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with measuring.computing_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_only_cuda_is_waited_for():
    assert measuring.waiting_for("cpu") is None
    assert measuring.waiting_for("cuda:1") is torch.cuda.synchronize


def test_text_of_timings():
    one, two = Timing("one", 2.0, 3.0, 2.0, 3.0, 0.0, 1), Timing("two", 4.0, 3.0, 4.0, 3.0, 0.0, 1, 12.4)
    head, first, second = table([one, two], one, "share").splitlines()
    assert head.split() == ["wall", "s", "cpu", "s", "share", "added", "MiB"]
    assert first.split() == ["one", "2.000", "3.000", "1.00", "-"]
    assert second.split() == ["two", "4.000", "3.000", "2.00", "12"]
    assert two.to_json()["added_mib"] == 12.4
