import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tapetum.errors import CheckpointError
from tapetum.training.run_log import RunLog, read_log


def test_lines_come_back_and_sizes_are_told(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with RunLog(path) as log:
        log.write({"step": 1, "losses": {"total": 0.1}})
        size = log.sync()
        assert size == path.stat().st_size
        log.write({"step": 2, "name": "straße"})
    assert read_log(path) == [{"step": 1, "losses": {"total": 0.1}}, {"step": 2, "name": "straße"}]
    with RunLog(path, size) as log:
        assert read_log(path) == [{"step": 1, "losses": {"total": 0.1}}]
        log.write({"step": 2})
    assert [r["step"] for r in read_log(path)] == [1, 2]


def test_an_unfinished_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo')
    assert read_log(path) == [{"step": 1}]


def test_a_log_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl has 12 bytes"):
        RunLog(path, 500)


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    with RunLog(tmp_path / "a.jsonl") as log, pytest.raises(ValueError):
        log.write({"step": 1, "loss": math.nan})


def test_a_full_disk_names_the_file(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    log = RunLog(tmp_path / "a.jsonl")
    log._file.close()
    log._file = full.open("ab", buffering=0)
    with pytest.raises(OSError, match="cannot write") as caught:
        log.write({"step": 1})
    assert caught.value.filename == str(tmp_path / "a.jsonl")
    log.close()


def test_tensorboard_gets_the_same_numbers_and_forgets_repeated_steps(tmp_path):
    board = tmp_path / "tensorboard"
    record = {"step": 3, "losses": {"id": 0.5}, "lr": {"head": 0.1}, "grad_norm": 2.0, "stage": "x"}
    for start in (0, 3):
        with RunLog(tmp_path / "a.jsonl", tensorboard=board, step=start) as log:
            log.write(record)
            log.write({"step": 3, "validation": {"a-to-b": {"mAP": 0.25}}})
    events = EventAccumulator(str(board))
    events.Reload()
    tags = events.Tags()["scalars"]
    found = {tag: [(e.step, round(e.value, 6)) for e in events.Scalars(tag)] for tag in tags}
    assert found == {
        "losses/id": [(3, 0.5)],
        "lr/head": [(3, 0.1)],
        "grad_norm": [(3, 2.0)],
        "validation/a-to-b/mAP": [(3, 0.25)],
    }
