"""Real methods on real files, killed and resumed: the log is that of a run that never stopped."""

import json
import signal
import subprocess
import sys

import pytest

from tapetum.methods._checkpoint import read_header
from tapetum.training.run_log import read_log

PROGRAM = """
import json, os, signal, sys
from tapetum.training import resolve_run, train
from tapetum.training.learner import Learner


data, method, out, overrides, die_at = sys.argv[1:6]
real, made = Learner.step, [0]

def step(self, *args, **options):
    made[0] += 1
    if made[0] == int(die_at):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *args, **options)

Learner.step = step
run = resolve_run(method, data, preset="tiny", overrides=json.loads(overrides))
train(run, out, resume="resume" in sys.argv)
"""

COMMON = {
    "batches": {"identities": 2, "tracklets": 2},
    "height": 48,
    "width": 32,
    "frames": 3,
    "schedule": {"epochs": 2, "steps_per_epoch": 4, "warmup_epochs": 1},
    "training": {
        "device": "cpu",
        "log_every": 1,
        "checkpoint_every_steps": 3,
        "validate_every": 1,
        "validation_identities": 2,
        "ema": 0.9,
        "tensorboard": False,
    },
}
LSMRL = {
    **COMMON,
    "weights": "none",
    "prompt_stage": "two-stage",
    "prompt_learning": {"schedule": {"epochs": 1, "steps_per_epoch": 4, "warmup_epochs": 0}},
}
X_REID = {**COMMON, "weights": "none"}
VIEWS = {
    **COMMON,
    "augment": {"exchanged_view": True},
    "optim": {"algorithm": "sgd", "lr": 0.01},
    "schedule": {"epochs": 2, "steps_per_epoch": "from-data", "warmup_epochs": 1},
}
SHORT = {"schedule": {"epochs": 1, "steps_per_epoch": 4, "warmup_epochs": 0}}
CLIP4VI = {
    **COMMON,
    "weights": "none",
    "tsg": {**SHORT, "batch_size": 8},
    "ife": {**SHORT, "batches": {"identities": 2, "tracklets": 2}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    from tapetum.data.synthetic import WalkerOptions, write_hitsz_vcm

    root = tmp_path_factory.mktemp("walkers") / "set"
    write_hitsz_vcm(root, identities=10, seed=0, options=WalkerOptions(frame_size=(64, 32)))
    return f"hitsz-vcm:{root}"


def run(data, method, out, overrides, *options, die_at=-1):
    arguments = [data, method, str(out), json.dumps(overrides), str(die_at), *options]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=240, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "overrides", "deaths"),
    [
        ("small-cnn", COMMON, [5]),
        ("small-cnn", VIEWS, [5]),
        ("agw", {**VIEWS, "gradient_checkpointing": True}, [5]),
        ("mun", VIEWS, [5]),
        ("lsmrl", LSMRL, [3, 5]),
        ("x-reid", X_REID, [5]),
        ("x-reid", {**X_REID, "rebuild_memory_each_epoch": True}, [6]),
        ("clip4vi-reid", CLIP4VI, [4, 5, 7]),  # inside each of its stages: at steps 4, 8 and 13
    ],
)
def test_killed_and_resumed(data, tmp_path, method, overrides, deaths):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(data, method, whole, overrides)[0] == 0
    for die_at in deaths:
        assert run(data, method, killed, overrides, "resume", die_at=die_at)[0] == -signal.SIGKILL
    code, errors = run(data, method, killed, overrides, "resume")
    assert code == 0, errors
    logs = [
        [
            (r["step"], r.get("losses"), r.get("validation"), r.get("monitors"))
            for r in read_log(folder / "metrics.jsonl")
        ]
        for folder in (whole, killed)
    ]
    assert logs[0] == logs[1]
    one, other = (read_header(folder / "model.safetensors")["fingerprint"] for folder in (whole, killed))
    assert one == other
