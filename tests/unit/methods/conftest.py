import pytest
import torch

from tapetum.benchmarking.host_waits import HostWaits


@pytest.fixture
def host_waits():
    """A context whose `found` are the operators inside it for which the host would wait on an accelerator."""
    with HostWaits() as seen:
        torch.ones(2).sum().item()
    assert seen.found
    return HostWaits()
