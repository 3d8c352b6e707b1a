"""The `--device` option of all commands."""

from __future__ import annotations

from typing import Annotated

import typer


def usable(device: str) -> str:
    """`device`, where something can be put on it; a processor is always there, and needs no torch.

    Raises:
        ValueError: There is no such device on this machine.
    """
    if device == "cpu":
        return device
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {device!r} cannot be used on this machine: {reason}") from None
    return device


Device = Annotated[str, typer.Option(help="cpu, cuda, ...", callback=usable)]
