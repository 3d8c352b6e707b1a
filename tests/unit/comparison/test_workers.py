import io
import json
import os
import signal
import threading

import pytest

from tapetum.comparison import Cell, plan_cells
from tapetum.comparison import workers as pools
from tapetum.comparison.attempt import Task
from tapetum.comparison.worker import Reporter, serve
from tapetum.comparison.workers import WorkerPool

SCRIPT = """
import json, os, signal, sys, time
for line in sys.stdin:
    task = json.loads(line)
    seed = task["cell"]["seed"]
    print(json.dumps(["stage", ["network", 9, seed]]), flush=True)
    if seed == 13:
        os._exit(3)
    if seed == 99:
        signal.signal(signal.SIGTERM, lambda *a: (open(task["place"], "a").write("asked "), sys.exit(0)))
        open(task["place"], "a").write("ready ")
        time.sleep(60)
    answer = {"pid": os.getpid(), "seed": seed, "omp": os.environ["OMP_NUM_THREADS"]}
    print(json.dumps(["result", answer]), flush=True)
"""


@pytest.fixture
def pool(listener, monkeypatch, tmp_path):
    """Processes of a stand-in that answers at once, dies at seed 13 and waits at seed 99."""
    (tmp_path / "stand_in.py").write_text(SCRIPT)
    monkeypatch.setattr(pools, "_MODULE", "stand_in")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda jobs: WorkerPool(jobs, 1, listener.begin, listener.end)


def tasks(tmp_path, *seeds):
    return [Task(Cell("d", "r", seed), "", tmp_path / f"place-{seed}") for seed in seeds]


def test_cells_come_from_one_list(pool, listener, tmp_path):
    pool(2).work(tasks(tmp_path, *range(8)))
    results = listener.ended.values()
    assert sorted(result["seed"] for result in results) == list(range(8))
    assert {result["omp"] for result in results} == {"1"}
    assert 1 <= len({result["pid"] for result in results} - {os.getpid()}) <= 2
    assert sorted(done for _, _, done in listener.stages) == list(range(8))


def test_a_process_that_dies_is_replaced(pool, listener, tmp_path):
    pool(1).work(tasks(tmp_path, 1, 13, 2))
    assert listener.ended["d/r/seed-13"]["error"] == "its process ended with code 3"
    assert listener.ended["d/r/seed-13"]["status"] == "failed"
    first, last = (listener.ended[f"d/r/seed-{seed}"]["pid"] for seed in (1, 2))
    assert first != last


@pytest.fixture
def heeds_ctrl_c():
    """A shell may start what is behind & with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_asks_processes_to_stop(pool, listener, tmp_path):
    place = tmp_path / "place-99"

    def interrupt():
        while not place.exists() or place.read_text() != "ready ":
            waited.wait(0.05)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    waited = threading.Event()
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        pool(2).work(tasks(tmp_path, 99, *range(40)))
    assert place.read_text() == "ready asked "
    assert "d/r/seed-99" not in listener.ended


def test_an_error_of_keeping_results_stops_all(pool, listener, tmp_path):
    def refuse(cell, result):
        raise OSError("the disk is full")

    listener.end = refuse
    with pytest.raises(OSError, match="the disk is full"):
        pool(2).work(tasks(tmp_path, 0, 99, 1))


def test_a_worker_answers_in_lines(plan, folder, listener, tmp_path):
    cell = plan_cells(plan)[0]
    broken = Task(cell, f"hitsz-vcm:{tmp_path / 'none'}", tmp_path / "work")
    assert Task.from_json(json.loads(json.dumps(broken.to_json()))) == broken
    out = io.StringIO()
    serve(io.StringIO(json.dumps(broken.to_json()) + "\n"), out)
    ((kind, result),) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (kind, result["status"], result["row"]) == ("result", "failed", "pixels")
    assert "FileNotFoundError" in result["error"]


def test_nobody_listens_any_more(monkeypatch):
    class Deaf(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    raised = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    reporter = Reporter(Deaf())
    reporter.stage("network", 2, 0)
    reporter.advance(1, {"kind": "step"})
    reporter.note("x")
    assert raised == [signal.SIGTERM]
