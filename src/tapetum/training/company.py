"""What processes that train together owe one another: agreement before they start, a word when they leave."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tapetum import processes
from tapetum.errors import ConfigError, ProcessLostError
from tapetum.training.config import differences

_LOSS = re.compile(r"gloo|NCCL|Connection (closed|reset)|Broken pipe|[Tt]imed? ?out|Socket", re.IGNORECASE)
"""What the engine's errors say when another process is gone or silent."""

_TORCHRUN_S = 1.5
"""Seconds within which torchrun sends its signal to the processes that are left."""

_SOURCE = re.compile(r"^\[\S+:\d+\] ")
"""Where in its source the engine's errors begin by saying that they come from."""

_LAST_WORDS_S = 3.0
"""Seconds to wait for what other processes say as they leave."""

_OWN_MATTER = frozenset(
    {
        "data",
        "start.weights",
        "training.linears",
        "training.workers",
        "training.cache",
        "training.cache_gib",
        "training.tensorboard",
    }
)
"""Settings that may differ from process to process: where data lie and how they are read."""

_DRIFT = 1e-3
"""By how much what processes hold may differ, as a share of its size; rounding stays far below."""

_KEY = "tapetum/left/{}"


def check_agreement(told: Mapping[str, Any]) -> None:
    """Do nothing if all processes were told the same.

    Raises:
        ConfigError: On all of them; the first that differs is named with what differs.
    """
    said = json.loads(json.dumps(told, default=str))
    everyone = processes.share_objects((socket.gethostname(), said))
    for number, (host, other) in enumerate(everyone):
        found = {k: v for k, v in differences(everyone[0][1], other).items() if k not in _OWN_MATTER}
        if found:
            listed = "; ".join(f"{key}: {one!r} and {two!r}" for key, (one, two) in found.items())
            raise ConfigError(f"process 0 and process {number} (on {host}) were told otherwise: {listed}")


def check_shared(place: Path) -> None:
    """Do nothing if all processes see the file `place`, which the first one wrote.

    Raises:
        FileNotFoundError: On all of them; the first that does not see it is named.
    """
    for number, (host, sees) in enumerate(processes.share_objects((socket.gethostname(), place.is_file()))):
        if not sees:
            raise FileNotFoundError(
                f"{place.parent}: process {number} on {host} does not see what process 0 wrote there; a "
                "run's folder must lie where all machines see it"
            )


def check_in_step(tensors: Mapping[str, Tensor]) -> None:
    """Do nothing if all processes hold the same numbers, up to rounding; shares of cut weights are left out.

    Raises:
        RuntimeError: On all of them; the tensors that differ are named.
    """
    if processes.count() == 1:
        return
    held = {name: t.detach() for name, t in tensors.items() if t.numel() and not processes.is_sharded(t)}
    if not held:
        return
    own = torch.stack([_size_and_sum(tensor) for tensor in held.values()])
    differs = torch.zeros(len(held), dtype=torch.bool, device=own.device)
    for other in processes.gather(own[None])[0]:
        differs |= (other - own).abs().amax(1) > _DRIFT * own[:, 0] + _DRIFT
    found = [name for name, is_other in zip(held, differs.tolist(), strict=True) if is_other]
    told = sorted(set().union(*processes.share_objects(found)))
    if told:
        raise RuntimeError(f"the processes no longer hold the same numbers: {', '.join(told)}")


def _size_and_sum(tensor: Tensor) -> Tensor:
    """`[2]`: sums of the absolute numbers and of the numbers, in float64."""
    wide = torch.nan_to_num(tensor.double())
    return torch.stack([wide.abs().sum(), wide.sum()])


@contextmanager
def told_of_losses(timeout_s: float, advice: str) -> Iterator[None]:
    """Inside, the end of one process becomes one clear error on all others; nothing where there are none.

    Args:
        timeout_s: Seconds after which a silent process counts as lost, for the message.
        advice: What to do then.

    Raises:
        ProcessLostError: Another process ended or fell silent; which one and why, as far as it said so.
    """
    if processes.count() == 1:
        yield
        return
    number, size = processes.rank(), processes.count()
    try:
        yield
    except ProcessLostError:
        raise
    except BaseException as error:
        lost = _is_loss(error)
        with _deaf_to_termination():
            words = _last_words(number, size, "" if lost else _describe(error))
        if not lost:
            raise
        raise ProcessLostError(_message(number, size, words, timeout_s, error, advice)) from error


@contextmanager
def _deaf_to_termination() -> Iterator[None]:
    """Inside, torchrun's signal to end what is left of a run is not heard: the reason must be told first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_loss(error: BaseException) -> bool:
    """Whether the error is about the connection to other processes and not about this one."""
    known = isinstance(error, dist.DistError)
    return known or (isinstance(error, RuntimeError) and _LOSS.search(str(error)) is not None)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _last_words(number: int, size: int, own: str) -> dict[int, str]:
    """What other processes said as they left; "" of those that lost others themselves.

    Their meeting point may be on a machine that answers no more, so a thread asks, which may be left behind.
    """
    found: dict[int, str] = {}
    asking = threading.Thread(target=_exchange, args=(number, size, own, found), daemon=True)
    asking.start()
    asking.join(_LAST_WORDS_S + 1.0)
    return dict(found)


def _exchange(number: int, size: int, own: str, found: dict[int, str]) -> None:
    """Leave a word for the others, `own`, and put theirs into `found` as they come."""
    began, wait_s = time.monotonic(), 0.0 if own else _LAST_WORDS_S
    least_s = _TORCHRUN_S if "TORCHELASTIC_RUN_ID" in os.environ else 0.0
    try:
        store = dist.distributed_c10d._get_default_store()
        store.set(_KEY.format(number), own or " ")
        while True:
            for other in set(range(size)) - {number} - found.keys():
                if store.check([_KEY.format(other)]):
                    found[other] = store.get(_KEY.format(other)).decode().strip()
            passed = time.monotonic() - began
            if passed >= least_s and (len(found) == size - 1 or passed > wait_s):
                break
            time.sleep(0.05)
    except RuntimeError:  # the store is gone with the process that held it
        return


def _message(
    number: int, size: int, words: Mapping[int, str], timeout_s: float, error: BaseException, advice: str
) -> str:
    """One sentence on who is gone, then what to do."""
    reasons = [f"process {other} stopped ({word})" for other, word in sorted(words.items()) if word]
    silent = [other for other in range(size) if other not in words and other != number]
    if not reasons:
        who = " and ".join(f"process {other}" for other in silent) or "another process"
        reasons = [f"{who} ended without a word (killed?) or did not answer within {timeout_s:g} s"]
    reason = _SOURCE.sub("", str(error).partition("\n")[0]).partition(". This is")[0]
    return f"process {number} of {size} stops: {'; '.join(reasons)}. {advice} ({reason})"
