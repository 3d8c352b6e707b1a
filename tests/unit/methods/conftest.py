import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {"_local_scalar_dense", "nonzero", "_unique2", "masked_select"}


class Waits(TorchDispatchMode):
    """Names of the operators for which the host would wait on an accelerator."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in WAITING:
            self.found.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def host_waits():
    """A context whose `found` are the operators inside it for which the host would wait on an accelerator."""
    with Waits() as seen:
        torch.ones(2).sum().item()
    assert seen.found
    return Waits()
