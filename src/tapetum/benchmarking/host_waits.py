"""Operators for which the host would wait on an accelerator; a training step should have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = frozenset(
    {
        *("_local_scalar_dense", "equal", "nonzero", "masked_select", "bincount"),
        *("_unique", "_unique2", "unique_dim", "unique_consecutive"),
    }
)
"""They bring a number, or the size of their result, to the host."""

_MASKS = (torch.bool, torch.uint8)

MAKERS = frozenset({"tensor", "new_tensor", "as_tensor", "asarray"})
"""They make a tensor of numbers of the host; on an accelerator the host waits until they are there."""


class HostWaits:
    """Inside, what the host would wait for is noted by name: operators, and copies that are not asynchronous.

    The operators are noted on a processor too, where nobody waits for them; copies only where there are two
    devices, for which PyTorch's "meta" will do.

    Attributes:
        found: Names, in order.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._stack = ExitStack()

    def __enter__(self) -> HostWaits:
        self._stack.enter_context(_Makers(self.found))
        self._stack.enter_context(_Operators(self.found))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


class _Operators(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name: str = func.overloadpacket.__name__
        out = func(*args, **(kwargs or {}))
        if name in WAITING or _waits(name, args, kwargs or {}, out):
            self._found.append(name)
        return out


class _Makers(TorchFunctionMode):
    """What is made of numbers of the host reaches its device below the dispatcher."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in MAKERS and isinstance(out, Tensor) and out.device.type != "cpu":
            self._found.append(name)
        return out


def _waits(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> bool:
    """Whether the host waits for an operator that it waits for at times."""
    if name == "_to_copy":
        return bool(args[0].device != out.device and not kwargs.get("non_blocking", False))
    if name == "copy_":  # target, source, whether it is asynchronous
        return bool(args[1].device != out.device and not (len(args) > 2 and args[2]))
    if name in ("index", "index_put", "index_put_", "_unsafe_index"):
        is_filled = name.startswith("index_put") and args[2].numel() == 1  # which needs no places
        return not is_filled and any(x is not None and x.dtype in _MASKS for x in args[1])
    return name == "repeat_interleave" and kwargs.get("output_size") is None


def count_host_waits(call: Callable[[], object]) -> int:
    """How often the host would wait on an accelerator while `call` runs.

    >>> count_host_waits(lambda: torch.ones(3).sum().item())
    1
    """
    with HostWaits() as seen:
        call()
    return len(seen.found)
