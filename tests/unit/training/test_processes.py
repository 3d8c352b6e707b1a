"""Several processes share a run: one writes, all agree, and a resumed run is the run that never stopped.

Without dropout all processes see and keep the same; what a stage keeps on one process alone is not saved.
"""

import json
import os
import subprocess
import sys

import pytest

from tapetum.methods._checkpoint import read_header
from tapetum.training.run_log import read_log

SETTINGS = {"devices": 2, "checkpoint_every_steps": 4, "validation_identities": 1, "validate_every": 2}


def launch(program, out, training, *options, **environment):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    return subprocess.run(
        [*torchrun, str(program), str(out), json.dumps({"training": training, "dropout": 0}), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_two_processes_resume_exactly(toy_program, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = launch(toy_program, whole, SETTINGS)
    assert done.returncode == 0, done.stderr
    assert launch(toy_program, killed, SETTINGS, TOY_DIE_AT="10").returncode != 0
    assert not (killed / "model.safetensors").exists()
    done = launch(toy_program, killed, SETTINGS, "resume")
    assert done.returncode == 0, done.stderr
    one, other = (
        [(r["step"], r.get("losses")) for r in read_log(f / "metrics.jsonl")] for f in (whole, killed)
    )
    assert one == other
    assert one[-1][0] == 26
    names = [read_header(folder / "model.safetensors")["fingerprint"] for folder in (whole, killed)]
    assert names[0] == names[1]
