"""Operators for which the host would wait on an accelerator; a training step should have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

WAITING = frozenset({"_local_scalar_dense", "nonzero", "_unique2", "masked_select"})
"""They bring a number, or the size of their result, to the host: `.item()`, indexing by a mask, `unique`."""


class HostWaits(TorchDispatchMode):
    """Inside, such operators are noted by name; on a processor too, where nobody waits for them.

    Attributes:
        found: Their names, in order.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Note the operator, and run it."""
        name: str = func.overloadpacket.__name__
        if name in WAITING:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def count_host_waits(call: Callable[[], object]) -> int:
    """How often the host would wait on an accelerator while `call` runs.

    >>> import torch
    >>> count_host_waits(lambda: torch.ones(3).sum().item())
    1
    """
    with HostWaits() as seen:
        call()
    return len(seen.found)
