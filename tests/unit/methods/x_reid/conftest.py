import pytest
import torch

from tapetum.methods._base import StageContext, create_method
from tapetum.types import Batch

FRAMES, PEOPLE, CAMERAS = 3, 6, 3
SMALL = {
    "weights": "none",
    "height": 24,
    "width": 16,
    "frames": FRAMES,
    "vision": {
        "width": 32,
        "layers": 3,
        "heads": 2,
        "patch_size": 8,
        "image_size": (24, 16),
        "output_dim": 16,
    },
    "memory_precision": "32",
}
LABELS = torch.tensor([4, 4, 1, 1, 0, 0])


@pytest.fixture
def make_method():
    """(overrides) -> X-ReID for six people, in small."""

    def make(seed=0, preset="paper", cameras=CAMERAS, **overrides):
        torch.manual_seed(seed)
        settings = {**SMALL, **overrides}
        return create_method("x-reid", num_identities=PEOPLE, num_cameras=cameras, preset=preset, **settings)

    return make


@pytest.fixture
def make_batch():
    """() -> two tracklets in each modality of three people, infrared ones behind."""

    def make(seed=0, frames=FRAMES):
        generator = torch.Generator().manual_seed(seed)
        clips = torch.randn(12, frames, 3, 24, 16, generator=generator)
        cameras = torch.tensor([0, 2, 0, 2, 0, 2, 1, 1, 1, 1, 1, 1])
        return Batch(clips, torch.cat([LABELS, LABELS]), torch.arange(12) >= 6, cameras, seed=seed)

    return make


@pytest.fixture
def training_set():
    """(share) -> everybody in both modalities, in batches of five tracklets; a share is the first of them."""

    def iterate(share=1.0):
        generator = torch.Generator().manual_seed(9)
        clips = torch.randn(24, FRAMES, 3, 24, 16, generator=generator)
        labels, infrared = torch.arange(PEOPLE).repeat(4), torch.arange(24) % 12 >= 6
        for rows in torch.arange(12 if share < 1 else 24).split(5):
            yield Batch(clips[rows], labels[rows], infrared[rows], labels[rows] % 3)

    return iterate


@pytest.fixture
def prepare(training_set):
    """(method) -> its stage after its hooks, in training mode."""

    def run_hooks(method):
        context = StageContext(iterate_training_set=training_set)
        stage = method.stages()[0]
        method.train()
        stage.before_stage(context)
        stage.before_epoch(0, context)
        return stage

    return run_hooks


@pytest.fixture
def run_step(prepare, make_batch):
    """(method) -> its stage, and the losses of a step."""

    def run(method):
        stage = prepare(method)
        return stage, stage.step(make_batch())

    return run
