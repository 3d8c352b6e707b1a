import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tapetum.scale import extract, read_plan
from tapetum.scale.collecting import results_of
from tapetum.scale.ledger import Ledger
from tapetum.scale.pool import ATTEMPTS, _Pool, _Seat, run_in_pool
from tapetum.scale.shards import Shard
from tapetum.scale.worker import Job


def names(store):
    return [t.tracklet_id for r in results_of(store, read_plan(store).shards) for t in r.tracklets]


@pytest.mark.slow
def test_a_killed_worker_loses_and_doubles_nothing(planned, model_file, tmp_path):
    store, plan = planned(12, shard_size=1)
    killed = []

    def kill_one(report):
        if not killed:
            (victim, *_) = multiprocessing.active_children()
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    report = extract(store.address, str(model_file), workers=2, progress=kill_one)
    assert len(killed) == 1
    assert (report.done, report.failed, report.stopped) == (len(plan.shards), {}, "")
    assert names(store) == [f"c/{n:03}" for n in range(12)]
    assert not list((tmp_path / "out").rglob(".*"))
    alone, _ = planned(12, shard_size=1, out="alone")
    extract(alone.address, str(model_file))
    for mine, theirs in zip(
        results_of(store, plan.shards), results_of(alone, read_plan(alone).shards), strict=True
    ):
        np.testing.assert_allclose(mine.vectors, theirs.vectors, atol=1e-6)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_killed_head_leaves_whole_files_and_no_processes(planned, model_file, tmp_path):
    store, _ = planned(16, shard_size=1)
    code = (
        "import sys; from tapetum.scale import extract\n"
        "if __name__ == '__main__':\n"
        "    extract(sys.argv[1], sys.argv[2], workers=1, progress=lambda r: print(r.done, flush=True))\n"
    )
    script = tmp_path / "head.py"
    script.write_text(code)
    head = subprocess.Popen(
        [sys.executable, str(script), store.address, str(model_file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    with head:
        assert head.stdout is not None
        head.stdout.readline()
        workers = children_of(head.pid)
        os.kill(head.pid, signal.SIGKILL)
    for pid in workers:
        wait_for_end(pid)
    found = names(store)
    assert 1 <= len(found) == len(set(found))
    report = extract(store.address, str(model_file))
    assert (report.skipped, report.rows) == (len(found), 16)
    assert names(store) == [f"c/{n:03}" for n in range(16)]


def children_of(pid):
    """Processes that a process has started."""
    return [
        int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal() and status(p.name)[1] == str(pid)
    ]


def status(pid):
    """State of a process, and the number of the one that started it; "Z" where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return ["Z", ""]


def wait_for_end(pid):
    for _ in range(300):
        if status(pid)[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail(f"process {pid} did not end with the one that had started it")


@pytest.mark.slow
def test_workers_that_cannot_begin_stop_everything(tmp_path):
    shards = [Shard("k" * 32, "rows", "c/000", 1)]
    ledger = Ledger(shards)
    run_in_pool(Job(str(tmp_path), ""), shards, 1, ledger)
    assert (ledger.report.done, ledger.report.failed) == (0, {})
    assert "plan first" in ledger.report.stopped
    with pytest.raises(ValueError, match="workers is 0"):
        run_in_pool(Job(str(tmp_path), ""), shards, 0, ledger)


def test_a_shard_that_kills_its_processes_is_given_up_by_name():
    shard = Shard("k" * 32, "rows", "c/000", 1)
    ledger = Ledger([shard])
    pool = _Pool(Job("/nowhere", ""), [shard], 1, ledger)

    class Dead:
        exitcode, pid, sentinel = -signal.SIGKILL, None, -1

        def join(self, timeout):
            return None

    for _ in range(ATTEMPTS):
        here, there = multiprocessing.get_context("spawn").Pipe()
        there.close()
        pool._waiting.clear()
        pool._seats[0] = _Seat(Dead(), here, is_ready=True, shard=shard)
        pool._bury(0)
    assert ledger.report.failed == {
        f"{shard.key} (c/000)": f"its process ended {ATTEMPTS} times, at last by signal SIGKILL"
    }
