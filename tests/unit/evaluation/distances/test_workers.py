import threading

import pytest
import torch

from tapetum.evaluation.distances.workers import map_on_cores


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_and_products_stay_on_one_core(two_threads):
    together = threading.Barrier(2, timeout=30)

    def work(part):
        together.wait()  # passes only where two parts are worked on at a time
        return part, torch.get_num_threads()

    assert map_on_cores(work, range(6), 9) == [(part, 1) for part in range(6)]
    assert torch.get_num_threads() == 2


def test_no_more_parts_at_a_time_than_allowed(two_threads):
    here = threading.get_ident()
    assert map_on_cores(lambda _: threading.get_ident(), range(3), 1) == [here] * 3
    assert map_on_cores(lambda _: threading.get_ident(), range(3), 0) == [here] * 3


def test_an_error_comes_out_and_nothing_stays_changed(two_threads):
    def work(part):
        raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 0"):
        map_on_cores(work, range(50), 9)
    assert torch.get_num_threads() == 2
