"""`tapetum bench --device cuda` at its smallest; the figures themselves are no matter of tests."""

import numpy as np
import pytest
import torch

from tapetum.benchmarking import choose_config
from tapetum.benchmarking.stages import parts_of
from tapetum.benchmarking.steps import most_identities, stepper

pytestmark = pytest.mark.gpu

SMALL = {
    "rounds": 2,
    "layer": (512, 256, 512),
    "machine": {"product": 256, "copied_mib": 4},
    "training": {"methods": ("small-cnn",), "preset": "tiny"},
    "extraction": {"methods": ("small-cnn", "clip-baseline"), "preset": "tiny", "frames": 16},
    "rates": {"methods": ("small-cnn",), "preset": "tiny", "seconds": 0.05},
}


@pytest.mark.parametrize("stage", ["machine", "training", "pretraining", "extraction", "rates"])
def test_a_stage_gives_rows_on_the_device(stage, cuda, tmp_path):
    config = choose_config(SMALL, quick=True, device="cuda", threads=1)
    for part, run in parts_of(stage, config, tmp_path).items():
        for row in run():
            assert np.isfinite(row.value), part
            assert row.value > 0, part
            assert row.cpu_ratio is None, part


def test_a_step_tells_its_share_of_the_peak_its_memory_and_the_batch_that_fits(cuda, tmp_path):
    config = choose_config(SMALL, device="cuda", threads=1)
    (row,) = parts_of("training", config, tmp_path)["small-cnn, bfloat16"]()
    assert row.limit_of == "linear layer, bfloat16, torch"
    assert row.ratio > 0
    assert row.memory_mib > 1
    assert row.facts["frames/s"] > 0
    assert 1 <= row.facts["people of the largest batch"] <= 500


def test_a_batch_that_does_not_fit_leaves_the_device_usable(cuda):
    total = torch.cuda.mem_get_info()[1]
    with stepper("small-cnn", preset="tiny", device="cuda") as made:
        made.step()
        held = torch.cuda.memory_reserved()
        torch.cuda.set_per_process_memory_fraction(min(1.0, (held + (256 << 20)) / total))
        try:
            most = most_identities(made)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        assert most < 500
        made.step()
