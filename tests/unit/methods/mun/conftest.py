import pytest
import torch

from tapetum.methods._base import create_method
from tapetum.types import Batch

PEOPLE, HEIGHT, WIDTH = 5, 32, 16
SMALL = {
    "height": HEIGHT,
    "width": WIDTH,
    "resnet": {"layers": (1, 1, 1, 1), "width": 8, "non_local": (0, 0, 0, 0)},
    "generator_width": 8,
    "weights": "none",
}
LABELS = torch.tensor([4, 4, 1, 1, 0, 0])


@pytest.fixture
def make_method():
    """(overrides) -> MUN for five people, in small, in training mode."""

    def make(seed=0, preset="paper", **overrides):
        torch.manual_seed(seed)
        settings = {**SMALL, **overrides}
        return create_method("mun", num_identities=PEOPLE, num_cameras=1, preset=preset, **settings).train()

    return make


@pytest.fixture
def make_batch():
    """() -> two clips in each modality of three people: visible, infrared, and views where asked for."""

    def make(seed=0, frames=1, views=False, labels=LABELS):
        half = len(labels)
        rows = half * (3 if views else 2)
        clips = torch.randn(rows, frames, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
        infrared = torch.arange(rows) // half == 1
        return Batch(
            clips,
            labels.repeat(rows // half),
            infrared,
            labels.repeat(rows // half),
            seed,
            views=rows - 2 * half,
        )

    return make


@pytest.fixture
def run_steps(make_batch):
    """(method, batches) -> its stage, and the losses of the last step."""

    def run(method, *batches):
        (stage,) = method.stages()
        for batch in batches or (make_batch(),):
            losses = stage.step(batch)
        return stage, losses

    return run
