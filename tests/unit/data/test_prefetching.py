import importlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import pytest
import torch

from tapetum.data.prefetching import Prefetcher


@dataclass
class Item:
    value: object
    pinned: bool = False

    def pin_memory(self):
        return Item(self.value, pinned=True)


def data_threads():
    return [t for t in threading.enumerate() if t.name.startswith("tapetum-data")]


def test_items_keep_order_and_the_thread_stays_a_little_ahead():
    started = []
    stream = Prefetcher(lambda key: started.append(key) or Item(key * 10)).stream(range(6))
    assert next(stream).value == 0
    time.sleep(0.05)
    assert started == [0, 1, 2]
    assert [item.value for item in stream] == [10, 20, 30, 40, 50]
    assert not data_threads()


def test_pinning_happens_in_order_too():
    items = list(Prefetcher(Item, pin=True).stream(range(5)))
    assert items == [Item(i, pinned=True) for i in range(5)]
    assert not data_threads()


@pytest.mark.parametrize("pin", [False, True])
def test_closing_stops_the_thread(pin):
    started = []
    stream = Prefetcher(lambda key: started.append(key) or Item(key), pin=pin).stream(range(100))
    next(stream)
    stream.close()
    assert len(started) <= 3
    assert not data_threads()


@pytest.mark.parametrize("pin", [False, True])
def test_an_error_reaches_the_consumer_and_stops_the_thread(pin):
    def make(key):
        return Item(1 // (key - 2))

    stream = Prefetcher(make, pin=pin).stream(range(100))
    assert [next(stream).value, next(stream).value] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(stream)
    assert not data_threads()


def test_no_keys_give_no_items():
    assert list(Prefetcher(Item).stream([])) == []


def test_negative_workers_are_refused():
    with pytest.raises(ValueError, match="workers must be 0 or more, found -1"):
        Prefetcher(Item, workers=-1)


MAKER = """
import os
import torch

def make(key):
    if key == 3:
        raise LookupError("no item 3")
    if key == 13:
        os._exit(1)
    return torch.tensor([key, torch.get_num_threads(), os.getpid()])
"""


@pytest.fixture
def makers(tmp_path, monkeypatch):
    """A prefetcher of two processes; what it makes items with lies in a file that they can import."""
    (tmp_path / "items_of_a_worker.py").write_text(MAKER)
    monkeypatch.syspath_prepend(tmp_path)
    made = Prefetcher(importlib.import_module("items_of_a_worker").make, workers=2)
    yield made
    made.close()


def test_processes_make_items_in_order_live_on_and_pass_errors(makers):
    first = torch.stack(list(makers.stream([0, 1, 2, 4, 5])))
    assert first[:, 0].tolist() == [0, 1, 2, 4, 5]
    assert first[:, 1].tolist() == [1] * 5
    with pytest.raises(LookupError, match="no item 3"):
        list(makers.stream([2, 3, 4]))
    early = makers.stream(range(4, 12))
    known = {int(p) for p in first[:, 2]} | {int(next(early)[2])}
    early.close()
    assert len(known) <= 2
    assert os.getpid() not in known
    makers.close()
    assert not any(is_running(process) for process in known)


def test_a_process_that_dies_is_an_error_that_says_what_to_do(makers):
    with pytest.raises(RuntimeError, match=r"ended abruptly.*workers=0"):
        list(makers.stream([13, 0]))
    assert [int(item[0]) for item in makers.stream([1])] == [1]


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


ORPHAN = """
import os
import torch
from tapetum.data.prefetching import Prefetcher

class Worker:
    def __call__(self, key):
        return torch.tensor([os.getpid()])

if __name__ == "__main__":
    stream = Prefetcher(Worker(), workers=1).stream(range(3))
    print(int(next(stream)[0]), flush=True)
    os.kill(os.getpid(), 9)
"""


def test_worker_processes_do_not_outlive_a_killed_parent(tmp_path):
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    ended = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, timeout=60, check=False)
    assert ended.returncode == -9
    worker = int(ended.stdout)
    for _ in range(200):
        if not is_running(worker):
            return
        time.sleep(0.05)
    pytest.fail(f"worker {worker} still runs")
