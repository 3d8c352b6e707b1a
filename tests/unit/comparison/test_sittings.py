import json
from types import SimpleNamespace

import pytest

from tapetum.comparison import sittings
from tapetum.comparison.sittings import sitting, time_taken


def test_time_of_all_sittings(tmp_path, monkeypatch):
    file, clock = tmp_path / "t.json", [100.0, 103.0, 200.0, 204.5]
    cpu = [1.0, 2.0, 5.0, 8.0]
    clocks = SimpleNamespace(monotonic=lambda: clock.pop(0), process_time=lambda: cpu.pop(0))
    monkeypatch.setattr(sittings, "time", clocks)  # not the clocks of all threads
    with sitting(file):
        pass
    with pytest.raises(KeyboardInterrupt), sitting(file):
        raise KeyboardInterrupt
    taken = time_taken(file)
    assert (taken.sittings, taken.wall_s, taken.cpu_s) == (2, 3.0 + 4.5, 1.0 + 3.0)


def test_the_time_of_a_killed_sitting_is_not_known(tmp_path):
    file = tmp_path / "t.json"
    with sitting(file):
        during = file.read_text()
    assert json.loads(during) == [None]
    file.write_text(during)  # as a killed process leaves it
    with sitting(file):
        pass
    taken = time_taken(file)
    assert (taken.sittings, taken.wall_s, taken.cpu_s) == (2, None, None)


def test_no_sitting_yet(tmp_path):
    assert time_taken(tmp_path / "t.json").wall_s == 0
