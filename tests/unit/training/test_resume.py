"""Whole processes, really killed: the log of the resumed run is that of one that never stopped."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tapetum.methods._checkpoint import read_header
from tapetum.training.run_log import read_log

SETTINGS = json.dumps({"training": {"checkpoint_every_steps": 3, "log_every": 2, "ema": 0.8}})


@pytest.fixture
def run_toy(toy_program):
    def start(out, *options, **environment):
        program = [sys.executable, "-W", "error", str(toy_program), str(out), SETTINGS, *options]
        return subprocess.Popen(
            program,
            env={**os.environ, **{k: str(v) for k, v in environment.items()}},
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finish(process):
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def losses(folder):
    return [(r["stage"], r["step"], r["losses"]) for r in read_log(folder / "metrics.jsonl")]


def wait_for_lines(folder, count):
    for _ in range(2000):
        log = folder / "metrics.jsonl"
        if log.is_file() and log.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise TimeoutError(f"no {count} lines in {folder}")


@pytest.mark.slow
def test_killed_runs_resume_bit_for_bit(run_toy, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(run_toy(whole)) == (0, "")
    assert finish(run_toy(killed, TOY_DIE_AT=8))[0] == -signal.SIGKILL

    process = run_toy(killed, "resume", TOY_SLOW_S=0.02)
    wait_for_lines(killed, 6)
    time.sleep(random.uniform(0, 0.1))
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL

    assert finish(run_toy(killed, "resume")) == (0, "")
    assert losses(killed) == losses(whole)
    one, other = (read_header(folder / "model.safetensors") for folder in (whole, killed))
    assert one["fingerprint"] == other["fingerprint"]


@pytest.mark.slow
def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(run_toy, tmp_path):
    process = run_toy(tmp_path, TOY_SLOW_S=0.02)
    wait_for_lines(tmp_path, 1)
    process.send_signal(signal.SIGINT)
    code, errors = finish(process)
    assert code == -signal.SIGINT
    assert f"to go on, resume the run in {tmp_path}" in errors
    step = int(errors.rpartition("stopped after step ")[2].partition(";")[0])
    assert (tmp_path / "checkpoints" / f"step-{step:09d}.safetensors").is_file()
