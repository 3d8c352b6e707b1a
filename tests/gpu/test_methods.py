"""Each method on CUDA, tiny and at its paper's size: number types agree, no step waits, memory is noted."""

import pytest
import torch

from tapetum.benchmarking.steps import find_stage, stepper
from tapetum.methods import create_method
from tapetum.types import Modality

METHODS = ("lsmrl", "x-reid", "clip4vi-reid", "mun", "clip-baseline", "agw", "small-cnn")
PRESETS = ("tiny", pytest.param("paper", marks=pytest.mark.slow))
STAGES = {"clip4vi-reid": "hsa"}
BATCH = {"batches.identities": 4, "batches.tracklets": 2}

pytestmark = pytest.mark.gpu
each = pytest.mark.parametrize("name", METHODS)
sizes = pytest.mark.parametrize("preset", PRESETS)


def build(name, preset):
    torch.manual_seed(0)
    return create_method(name, num_identities=8, num_cameras=2, preset=preset, weights="none").eval()


@torch.inference_mode()
def embed(method, clips, half=False):
    with torch.autocast(clips.device.type, torch.bfloat16, enabled=half):
        modality = [list(Modality)[row % 2] for row in range(len(clips))]
        return method.encode(clips, modality=modality, camera_ids=[0, 1] * (len(clips) // 2))


def clips_of(method, rows=4):
    size = method.preprocessing
    shape = (rows, size.frames, 3, size.height, size.width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@each
def test_embeddings_are_those_of_the_processor(name, cuda):
    method = build(name, "tiny")
    clips = clips_of(method)
    here = embed(method, clips)
    there = embed(method.to(cuda), clips.to(cuda)).cpu()
    assert (here * there).sum(1).min() > 0.99999


@each
@sizes
def test_bfloat16_embeddings_are_near_those_in_float32(name, preset, cuda, record_property):
    method = build(name, preset).to(cuda)
    clips = clips_of(method).to(cuda)
    plain, half = embed(method, clips), embed(method, clips, half=True)
    assert half.dtype is torch.float32
    cosine = (plain * half).sum(1).min().item()
    record_property("least cosine", cosine)
    assert cosine > 0.999


def first_losses(name, preset, precision):
    torch.manual_seed(0)
    with stepper(
        name, preset=preset, stage=STAGES.get(name), device="cuda", precision=precision, overrides=BATCH
    ) as made:
        return {loss: value.item() for loss, value in made.step().items()}


@each
@sizes
def test_bfloat16_losses_are_near_those_in_float32(name, preset, cuda):
    plain, half = (first_losses(name, preset, precision) for precision in ("float32", "bfloat16"))
    assert half == pytest.approx(plain, rel=0.1, abs=0.05)


@each
@sizes
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_never_waits_and_its_memory_is_noted(
    name, preset, precision, cuda, refuse_waits, record_property
):
    with stepper(
        name, preset=preset, stage=STAGES.get(name), device="cuda", precision=precision, overrides=BATCH
    ) as made:
        made.step()
        made.step()
        torch.cuda.reset_peak_memory_stats()
        for _ in range(2):
            losses = refuse_waits(made.step)
        peak = torch.cuda.max_memory_allocated() / 2**20
        weights = sum(p.numel() * p.element_size() for p in made.method.parameters()) / 2**20
    record_property("peak MiB", peak)
    assert peak > weights
    assert all(torch.isfinite(value) for value in losses.values())


def test_pixels_are_normalised_as_on_the_processor_and_nobody_waits(cuda, refuse_waits):
    size = build("small-cnn", "tiny").preprocessing
    pixels = torch.randint(0, 256, (2, 2, 3, size.height, size.width), dtype=torch.uint8)
    there = pixels.to(cuda)
    found = refuse_waits(lambda: size.normalise(there))
    torch.testing.assert_close(found.cpu(), size.normalise(pixels), rtol=1e-6, atol=1e-6)


def test_a_wait_would_be_seen(cuda, refuse_waits):
    numbers = torch.ones(4, device=cuda)
    with pytest.raises(RuntimeError, match="synchroniz"):
        refuse_waits(lambda: numbers.sum().item())


def test_the_stages_are_there():
    """Runs without a device, so that a renamed stage is noticed everywhere."""
    for name in METHODS:
        assert find_stage(build(name, "tiny"), STAGES.get(name)).reads_frames
