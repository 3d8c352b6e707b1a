"""Ctrl-C and a full disk, by the system's own signals and limits: nothing is left half-written."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start what is behind & without it
from tapetum.cli import main
sys.exit(main())
"""


def interrupt(command, ready, timeout=120):
    """Run a command, press Ctrl-C as soon as `ready()`, and give its exit code and stderr."""
    words = [sys.executable, "-c", PROGRAM, *map(str, command)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        end = time.monotonic() + timeout
        while not ready():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=timeout)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, errors


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_in_synth_leaves_nothing(tmp_path, workers):
    command = ["synth", tmp_path / "out", "--identities", 60, "--workers", workers]
    code, errors = interrupt(command, lambda: next(tmp_path.rglob("*.jpg"), None) is not None)
    assert code == 130
    assert "error: interrupted" in errors
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_train_writes_a_checkpoint_and_says_how_to_go_on(data, small, tmp_path):
    out = tmp_path / "run"
    command = ["train", "small-cnn", "--preset", "tiny", "--data", data, "--out", out, *small]
    log = out / "metrics.jsonl"
    code, errors = interrupt(
        [*command, "--set", "training.log_every=1", "--set", "schedule.steps_per_epoch=1000"],
        lambda: log.is_file() and '"step": 3' in log.read_text(),
    )
    assert code == 130
    step = re.search(r"error: .* step (\d+).*resume", errors)
    assert step, errors
    files = [path.name for path in (out / "checkpoints").iterdir()]
    assert files == [f"step-{int(step[1]):09d}.safetensors"]
    assert not (out / "model.safetensors").exists()
    assert not list(out.rglob(".*"))


@contextmanager
def largest_file(size):
    """No file may grow beyond `size` bytes; the kernel refuses the write as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


REASON = os.strerror(errno.EFBIG)


def test_synth_on_a_full_disk(ask, tmp_path):
    with largest_file(800):
        refused = ask("synth", tmp_path / "out", "--identities", 4, "--workers", 1)
    assert (refused.code, f": {REASON}" in refused.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_train_on_a_full_disk(ask, data, small, tmp_path):
    out = tmp_path / "run"
    with largest_file(8000):
        refused = ask("train", "small-cnn", "--data", data, "--out", out, "--max-steps", 1, *small)
    assert refused.code == 1
    assert re.search(rf"error: {out}/\S+safetensors: cannot write .*{REASON}", refused.err), refused.err
    assert not list(out.rglob("*.safetensors"))
    assert not list(out.rglob(".*"))


def test_embed_and_index_on_a_full_disk(ask, data, run, gallery, tmp_path):
    for place, command in (
        ("embeddings", ["embed", run, "--data", data, "--out", tmp_path / "embeddings"]),
        ("gallery", ["index", run, "--data", data, "--gallery", tmp_path / "gallery"]),
    ):
        with largest_file(8000):
            refused = ask(*command)
        assert refused.code == 1
        assert str(tmp_path / place) in refused.err
        assert REASON in refused.err
        left = [path.name for path in (tmp_path / place).rglob("*")]
        assert left in ([], [".lock"])  # of a gallery's writers, who may wait for it
        assert not list(tmp_path.glob(".*"))
        assert ask(*command).code == 0
