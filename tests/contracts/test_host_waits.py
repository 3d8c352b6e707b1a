"""No step of any method makes the host wait for its device; tests/gpu asks CUDA itself."""

from contextlib import nullcontext

import pytest
import torch

from tapetum.benchmarking.host_waits import HostWaits
from tapetum.benchmarking.steps import make_batches, stepper
from tapetum.methods import create_method, method_names

SMALL = {"batches.identities": 2, "batches.tracklets": 2}
LEARNT = [name for name in method_names() if name not in ("raw-pixels", "colour-histogram")]


def build(name, **overrides):
    return create_method(name, num_identities=4, num_cameras=2, preset="tiny", weights="none", **overrides)


def stages_of(method):
    return [stage for stage in method.stages() if stage.reads_frames]


@pytest.mark.parametrize("name", LEARNT)
def test_a_step_with_its_optimiser_never_waits(name):
    for stage in stages_of(build(name)):
        with stepper(name, preset="tiny", stage=stage.name, overrides=SMALL) as made, HostWaits() as seen:
            made.step()
        assert not seen.found, stage.name


@pytest.mark.parametrize("name", LEARNT)
def test_nothing_goes_between_host_and_device_in_a_step(name, monkeypatch):
    """On a device that computes nothing, where copies to it are seen all the same; step 2 has its tables."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # which it does not know
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *args: False)
    method = build(name, **SMALL).to("meta").train()
    for stage in stages_of(method):
        first, second = (b.to(torch.device("meta"), non_blocking=True) for b in make_batches(stage, method))
        stage.total(stage.step(first.normalised(method.preprocessing))).backward()
        with HostWaits() as seen:
            stage.total(stage.step(second.normalised(method.preprocessing))).backward()
        assert not seen.found, stage.name
