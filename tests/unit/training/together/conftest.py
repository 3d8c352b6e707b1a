"""Scenarios of processes that train together, all forked from one process, once for all tests."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def tasks():
    """What the processes do, for one process to do likewise."""
    spec = importlib.util.spec_from_file_location("tapetum_test_tasks", HERE / "tasks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scenarios(tasks):
    run = {"task": "whole_run", "processes": 2}
    stop = {"process": 1, "step": 4, "signal_name": "SIGKILL"}
    return [
        {"name": "parts2", "task": "parts", "processes": 2},
        {"name": "parts3", "task": "parts", "processes": 3},
        {"name": "steps2", "task": "steps", "processes": 2, "cases": list(tasks.CASES)},
        {"name": "steps3", "task": "steps", "processes": 3, "cases": ["lsmrl, prompts first", "small-cnn"]},
        {"name": "shards", "task": "steps", "processes": 2, "strategy": "fsdp2", "cases": ["x-reid"]},
        {**run, "name": "whole", "out": "whole"},
        {**run, "name": "killed", "out": "killed", "stop": stop},
        {**run, "name": "resumed", "out": "killed", "resume": True},
        {**run, "name": "first killed", "out": "first", "stop": {**stop, "process": 0}},
        {**run, "name": "failed", "out": "failed", "stop": {**stop, "signal_name": "raise"}},
        {
            **run,
            "name": "silent",
            "out": "silent",
            "stop": {**stop, "process": 0, "signal_name": "SIGSTOP"},
            "training": {"timeout_s": 2},
        },
        {**run, "name": "cut killed", "out": "cut", "stop": stop, "training": {"strategy": "fsdp2"}},
        {**run, "name": "cut resumed", "out": "cut", "resume": True, "training": {"strategy": "fsdp2"}},
        {**run, "name": "uneven", "out": "uneven", "people": 5},
    ]


@pytest.fixture(scope="session")
def forked(tasks, tmp_path_factory) -> Path:
    """The folder in which all scenarios left what they found."""
    folder = tmp_path_factory.mktemp("together")
    tasks.make_dataset(folder)
    (folder / "scenarios.json").write_text(json.dumps(scenarios(tasks)))
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, str(HERE / "forking.py"), str(folder)],
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def outcome(forked):
    """Exit codes and stderr of a scenario's processes."""
    return lambda name: json.loads((forked / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def tensors(forked, outcome):
    """What each process of a scenario kept of a case."""

    def load(name, case):
        found = outcome(name)
        assert set(found["codes"]) == {0}, "\n".join(found["said"])
        return [
            load_file(forked / f"{name}-{case}.{rank}.safetensors") for rank in range(len(found["codes"]))
        ]

    return load
