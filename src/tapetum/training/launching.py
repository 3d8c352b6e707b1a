"""How many processes train together, and who starts them: torchrun, a batch system, or this one."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tapetum.errors import ConfigError
from tapetum.training.config import TrainingConfig

_log = logging.getLogger(__name__)

_MEETING_POINT = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""What a process must know of the others where several machines train together."""

_PARTING_S = 10.0
"""Seconds that started processes have to end after the one that started them."""


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train together.

    Attributes:
        devices: Processes on each machine.
        nodes: Machines.
    """

    devices: int
    nodes: int

    @property
    def size(self) -> int:
        """All of them."""
        return self.devices * self.nodes

    @classmethod
    def of(cls, config: TrainingConfig) -> World:
        """As configured; where nothing is, as many as torchrun started.

        Raises:
            ConfigError: torchrun started another number than is configured.
        """
        asked = cls(config.devices, config.nodes)
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return asked
        started, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        if asked.size == 1:
            return cls(here, started // here)
        if asked.size != started:
            raise ConfigError(
                f"training.devices x training.nodes = {asked.devices} x {asked.nodes}, but torchrun started "
                f"{started} processes: leave both out, or let torchrun start {asked.size}"
            )
        return asked


def leads() -> bool:
    """Whether this process, as it was started, is the one that writes and speaks for all."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"]) == 0
    if "LOCAL_RANK" in os.environ:
        return all(int(os.environ.get(name, 0)) == 0 for name in ("NODE_RANK", "LOCAL_RANK"))
    return int(os.environ.get("SLURM_PROCID", 0)) == 0


def start_processes(world: World) -> threading.Event:
    """Start the other processes of this machine by the same command; nothing where somebody has done so.

    Returns:
        What to set once all processes have met: until then, one that ends takes this one with it.

    Raises:
        ConfigError: There are several machines, and this one was not told where the others are.
    """
    met = threading.Event()
    if _is_started_by_others():
        return met
    missing = [name for name in _MEETING_POINT if name not in os.environ]
    if world.nodes > 1 and missing:
        raise ConfigError(
            f"training.nodes = {world.nodes}: {', '.join(missing)} must say where the first machine is and "
            "which one this is; torchrun sets them (see docs/distributed.md)"
        )
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(_free_port()))
    os.environ.setdefault("NODE_RANK", "0")
    os.environ["LOCAL_RANK"] = "0"
    others = [
        subprocess.Popen(_own_command(), env={**os.environ, "LOCAL_RANK": str(number)})
        for number in range(1, world.devices)
    ]
    atexit.register(_part, others)
    threading.Thread(target=_watch, args=(others, met), name="tapetum-start", daemon=True).start()
    return met


def _is_started_by_others() -> bool:
    from lightning_fabric.plugins import environments

    names = ("TorchElasticEnvironment", "SLURMEnvironment", "LSFEnvironment", "MPIEnvironment")
    return "LOCAL_RANK" in os.environ or any(getattr(environments, name).detect() for name in names)


def _own_command() -> list[str]:
    """The command that started this process."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    start = [str(Path(sys.argv[0]).absolute())] if spec is None else ["-m", spec.name]
    return [sys.executable, *start, *sys.argv[1:]]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _watch(others: Sequence[subprocess.Popen[bytes]], met: threading.Event) -> None:
    """End this process, which waits for the others, where one of them ends before all have met."""
    while not met.wait(0.2):
        for number, other in enumerate(others, start=1):
            if other.poll() is not None:
                _log.critical("process %d ended with code %d before training began", number, other.returncode)
                _end(others)
                os._exit(1)


def _part(others: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for the processes that this one started; end those that stay."""
    for other in others:
        try:
            other.wait(_PARTING_S)
        except subprocess.TimeoutExpired:
            _end([other])


def _end(others: Sequence[subprocess.Popen[bytes]]) -> None:
    for other in others:
        other.kill()
        other.wait()
