"""Which part of the work is that of this process, where several were started that do not know each other."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PAIRS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))
"""Set by torchrun, and by srun."""


def part_of(text: str | None, environment: Mapping[str, str]) -> tuple[int, int]:
    """Number of this worker, from 0 on, and how many there are.

    Args:
        text: "RANK/WORLD"; "all" for the whole work; None: as the environment says, which torchrun, a Slurm
            array or srun has set (looked for in this order); the whole work where none has.
        environment: Variables.

    >>> part_of("2/8", {}), part_of(None, {"RANK": "1", "WORLD_SIZE": "4"}), part_of(None, {})
    ((2, 8), (1, 4), (0, 1))

    Raises:
        ValueError: It is of another form, or the number is not below the count.
    """
    if text == "all":
        return 0, 1
    if text is not None:
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None:
            raise ValueError(f"part {text!r} is not of the form RANK/WORLD, such as 0/8")
        return _checked(int(found[1]), int(found[2]), text)
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return _of_pair(environment, *_PAIRS[0])
    if "SLURM_ARRAY_TASK_ID" in environment:
        return _of_array(environment)
    if "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment:
        return _of_pair(environment, *_PAIRS[1])
    return 0, 1


def device_of(device: str, environment: Mapping[str, str]) -> str:
    """The device of this process: "cuda" becomes the one whose number the launcher gave.

    >>> device_of("cuda", {"LOCAL_RANK": "3"}), device_of("cpu", {"LOCAL_RANK": "3"})
    ('cuda:3', 'cpu')
    """
    local = environment.get("LOCAL_RANK", "")
    return f"cuda:{int(local)}" if device == "cuda" and local.isdecimal() else device


def _of_pair(environment: Mapping[str, str], rank: str, world: str) -> tuple[int, int]:
    return _checked(_number(environment, rank), _number(environment, world), f"{rank} and {world}")


def _of_array(environment: Mapping[str, str]) -> tuple[int, int]:
    first = _number(environment, "SLURM_ARRAY_TASK_MIN")
    step = _number(environment, "SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in environment else 1
    place, rest = divmod(_number(environment, "SLURM_ARRAY_TASK_ID") - first, max(1, step))
    if rest:
        raise ValueError("the Slurm array has uneven steps; give the part as RANK/WORLD")
    return _checked(place, _number(environment, "SLURM_ARRAY_TASK_COUNT"), "the Slurm array")


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdecimal():
        raise ValueError(f"{name} is {text!r}; expected a whole number")
    return int(text)


def _checked(rank: int, world: int, where: str) -> tuple[int, int]:
    if not 0 <= rank < world:
        raise ValueError(f"{where}: worker {rank} of {world}; expected 0 to {world - 1}")
    return rank, world
