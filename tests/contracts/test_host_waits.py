"""No step of any method makes the host wait for its device; tests/gpu asks CUDA itself."""

import pytest

from tapetum.benchmarking.host_waits import HostWaits
from tapetum.benchmarking.steps import stepper
from tapetum.methods import create_method, method_names

SMALL = {"batches.identities": 2, "batches.tracklets": 2}


def stages_of(name):
    method = create_method(name, num_identities=4, num_cameras=2, preset="tiny", weights="none")
    return [stage.name for stage in method.stages() if stage.reads_frames]


@pytest.mark.parametrize("name", method_names())
def test_a_step_with_its_optimiser_never_waits(name):
    for stage in stages_of(name):
        with stepper(name, preset="tiny", stage=stage, overrides=SMALL) as made, HostWaits() as seen:
            made.step()
        assert not seen.found, stage
