"""Checks on an accelerator: `pytest -m gpu`. Where there is none they are skipped, and say so."""

import pytest
import torch


@pytest.fixture
def cuda():
    """The device, its memory given back before and after."""
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    yield torch.device("cuda")
    torch.cuda.empty_cache()


@pytest.fixture
def refuse_waits():
    """A function that calls another, and is an error where the host waits for the device meanwhile."""

    def call(work):
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            return work()
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return call
