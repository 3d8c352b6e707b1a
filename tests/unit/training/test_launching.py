"""How many processes there are, who started them, and which one speaks for all."""

import subprocess
import sys
import threading

import pytest

from tapetum.config import build_config
from tapetum.errors import ConfigError
from tapetum.training import launching
from tapetum.training.config import TrainingConfig
from tapetum.training.devices import create_fabric
from tapetum.training.launching import World, leads, start_processes

VARIABLES = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID"),
    *("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"),
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No traces of a launcher; what a test sets is forgotten."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def config(**values):
    return build_config(TrainingConfig, {"device": "cpu", **values})


def test_the_world_is_as_configured():
    assert World.of(config()) == World(1, 1)
    assert World.of(config(devices=4, nodes=2)).size == 8


def test_torchrun_says_how_many_there_are(environment):
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("WORLD_SIZE", "6"), ("LOCAL_WORLD_SIZE", "3")):
        environment.setenv(name, value)
    assert World.of(config()) == World(3, 2)
    assert World.of(config(devices=3, nodes=2)) == World(3, 2)
    with pytest.raises(ConfigError, match=r"devices x training\.nodes = 2 x 1, but torchrun started 6"):
        World.of(config(devices=2))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_one_process_leads(environment, variables, expected):
    for name, value in variables.items():
        environment.setenv(name, value)
    assert leads() is expected


def test_several_machines_must_know_of_each_other():
    with pytest.raises(ConfigError, match="MASTER_ADDR, MASTER_PORT, NODE_RANK must say where the first"):
        start_processes(World(1, 2))


def test_processes_that_torchrun_started_start_no_others(environment):
    environment.setenv("LOCAL_RANK", "1")
    environment.setattr(launching, "_own_command", lambda: pytest.fail("a process was started"))
    assert not start_processes(World(2, 1)).is_set()


def test_a_process_that_ends_before_all_have_met_ends_the_one_that_waits(environment):
    met, codes = threading.Event(), []
    environment.setattr(launching.os, "_exit", lambda code: codes.append(code) or met.set())
    other = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    watch = threading.Thread(target=launching._watch, args=([other], met))
    watch.start()
    watch.join(20)
    assert codes == [1]
    assert other.returncode == 3


def test_the_command_of_this_process_is_run_again(environment):
    environment.setattr(sys, "argv", ["train.py", "--devices", "2"])
    command = launching._own_command()
    assert command[0] == sys.executable
    assert command[-2:] == ["--devices", "2"]


def test_one_named_device_cannot_be_several():
    with pytest.raises(ValueError, match=r"'cuda:0' is one device, but training\.devices = 2"):
        create_fabric(config(device="cuda:0", devices=2))
    with pytest.raises(ValueError, match=r"'cuda' and training\.devices = 99: this machine has"):
        create_fabric(config(device="cuda", devices=99))
