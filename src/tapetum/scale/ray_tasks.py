"""Shards as tasks of Ray: on this machine, or on a cluster whose machines share the extraction's place.

Tasks, not actors, and each asks for a part of a processor: an actor that asks for a whole one on a small
machine waits for ever for what its driver holds. Whether the cluster starts a task at all is tried first.
"""

from __future__ import annotations

import importlib
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tapetum.errors import MissingExtraError
from tapetum.scale.ledger import Ledger
from tapetum.scale.shards import Shard
from tapetum.scale.worker import Job, Outcome, ShardWorker, failed

LOCAL = "local"
"""Address of a cluster that begins and ends with the extraction, on this machine."""

RETRIES = 2
"""How often a task whose process or machine is lost is begun again."""

_START_S = 120.0
_LISTEN_S = 10.0
_WAIT_S = 5.0
_workers: dict[Job, ShardWorker] = {}
"""In a process of Ray, which is used for many tasks: the model, loaded once."""


def run_under_ray(job: Job, shards: Sequence[Shard], address: str, at_once: int, ledger: Ledger) -> None:
    """Work on shards as tasks, at most `at_once` of them begun, and note what becomes of each.

    Args:
        job: What workers must know; paths in it are those of the cluster's machines.
        shards: What to do.
        address: "local", "auto" for a cluster that runs here, or HOST:PORT of a cluster.
        at_once: Tasks at a time; 0: as many as the cluster has processors, or devices where the job uses one.
        ledger: Where outcomes are noted.

    Raises:
        MissingExtraError: The package `ray` is not installed.
        ConnectionError: There is no such cluster, or it starts no task.
    """
    ray = _library()
    with _connected(ray, address):
        share = _share(ray, job, at_once)
        job = replace(job, compute_threads=job.compute_threads or int(share["threads"]))
        task = ray.remote(_work).options(
            max_retries=RETRIES, scheduling_strategy="SPREAD", num_cpus=share["CPU"], num_gpus=share["GPU"]
        )
        _refuse_standstill(ray, share)
        _run(ray, task, job, shards, int(share["tasks"]), ledger)


def _run(ray: Any, task: Any, job: Job, shards: Sequence[Shard], most: int, ledger: Ledger) -> None:
    waiting = deque(shards)
    begun: dict[Any, Shard] = {}
    while begun or (waiting and not ledger.is_over):
        while waiting and len(begun) < most and not ledger.is_over:
            shard = waiting.popleft()
            begun[task.remote(job, shard)] = shard
        ready, _ = ray.wait(list(begun), num_returns=1, timeout=_WAIT_S)
        for one in ready:
            ledger.note(_outcome(ray, one, begun.pop(one)))


def _outcome(ray: Any, task: Any, shard: Shard) -> Outcome:
    try:
        found: Outcome = ray.get(task)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        return failed(shard, f"Ray: {type(error).__name__}: {reason}")
    return found


def _work(job: Job, shard: Shard) -> Outcome:
    """In a process of Ray: work on a shard with the model that was loaded for the first one."""
    if job not in _workers:
        _workers.clear()
        try:
            _workers[job] = ShardWorker(job)
        except Exception as error:
            return failed(shard, str(error) or type(error).__name__, is_hopeless=True)
    return _workers[job].work(shard)


def _share(ray: Any, job: Job, at_once: int) -> dict[str, float]:
    """How many tasks at a time, and what each asks for: half of what would fill the cluster."""
    found = ray.cluster_resources()
    processors, devices = float(found.get("CPU", 0)), float(found.get("GPU", 0))
    uses_device = job.device != "cpu" and devices > 0
    most = at_once or int(devices if uses_device else processors) or 1
    return {
        "tasks": float(most),
        "threads": float(max(1, int(processors / most))),
        "CPU": max(0.01, round(min(1.0, processors / most) / 2, 2)),
        "GPU": round(min(1.0, devices / most), 2) if uses_device else 0.0,
    }


def _refuse_standstill(ray: Any, share: dict[str, float]) -> None:
    """Nothing, or an error where the cluster starts no task of this size.

    Raises:
        ConnectionError: It starts none.
    """
    probe = ray.remote(_nothing).options(num_cpus=share["CPU"], num_gpus=share["GPU"], max_retries=0)
    try:
        ray.get(probe.remote(), timeout=_START_S)
    except ray.exceptions.GetTimeoutError:
        has = ", ".join(f"{name} {count:g}" for name, count in sorted(ray.available_resources().items()))
        raise ConnectionError(
            f"Ray starts no task of {share['CPU']:g} CPU and {share['GPU']:g} GPU within {_START_S:.0f} s; "
            f"free: {has or 'nothing'}"
        ) from None


def _nothing() -> None:
    return


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Connected to a cluster; one that was begun here ends with this."""
    if ray.is_initialized():
        yield
        return
    options = {"include_dashboard": False} if address == LOCAL else {}
    _refuse_silence(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConnectionError(f"Ray at {address!r}: {str(error).partition(chr(10))[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_silence(address: str) -> None:
    """Nothing, or an error where nobody listens at HOST:PORT: Ray itself would wait for minutes.

    Raises:
        ConnectionError: Nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_LISTEN_S).close()
    except OSError as error:
        raise ConnectionError(f"Ray at {address!r}: nobody answers: {error.strerror or error}") from None


def _library() -> Any:
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError:
        raise MissingExtraError("ray", "scale") from None
