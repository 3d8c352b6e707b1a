from dataclasses import replace

import pytest
import torch

from tapetum.models import ClipResNet, ClipResNetConfig
from tapetum.models.backbones.clip_resnet_variants import vary
from tapetum.models.backbones.positions import resize_grid
from tapetum.models.streams import Segment

CONFIG = ClipResNetConfig(layers=(1, 1, 1, 1), width=8, heads=4, output_dim=12, image_size=(64, 64))


@pytest.fixture
def tower():
    torch.manual_seed(0)
    return ClipResNet(CONFIG).eval()


def test_another_last_stride_and_size_interpolate_the_positions_once(tower):
    before = tower.attnpool.positional_embedding.detach()
    made = vary(tower, image_size=(96, 48), last_stride=1)
    assert made.config == replace(CONFIG, image_size=(96, 48), last_stride=1)
    assert torch.equal(made.attnpool.positional_embedding, resize_grid(before, (2, 2), (6, 3), "bilinear"))
    assert made(torch.randn(1, 3, 96, 48)).shape == (1, 12)
    assert not made.training


def test_last_stride_alone_keeps_the_frames(tower):
    made = vary(tower, last_stride=1, resize="bicubic")
    assert (made.config.image_size, made.grid) == ((64, 64), (4, 4))
    before = tower.attnpool.positional_embedding.detach()
    assert torch.equal(made.attnpool.positional_embedding, resize_grid(before, (2, 2), (4, 4), "bicubic"))


def test_two_stems_are_equal_and_independent(tower):
    frames = torch.randn(2, 3, 64, 64)
    expected = tower(frames)
    made = vary(tower, stems=2)
    found = [made(frames, [Segment(name, 2)]) for name in ("visible", "infrared")]
    assert torch.equal(found[0], expected)
    assert torch.equal(found[1], expected)
    with torch.no_grad():
        made.stem.stems["visible"].conv1.weight.zero_()
        made.stem.stems["visible"].bn1.running_mean.fill_(3)
    assert torch.equal(made(frames, [Segment("infrared", 2)]), expected)
    assert all(p.requires_grad for p in made.parameters())


def test_nothing_changed_is_the_same_tower(tower):
    frames = torch.randn(2, 3, 64, 64)
    tower.gradient_checkpointing = True
    made = vary(tower.train())
    assert made.config == CONFIG
    assert made.training
    assert made.gradient_checkpointing
    assert torch.equal(made.eval()(frames), tower.eval()(frames))


def test_a_stem_without_its_relus_gives_other_numbers(tower):
    frames = torch.randn(2, 3, 64, 64)
    assert not torch.allclose(vary(tower, stem_relus=1)(frames), tower(frames), atol=1e-4)


def test_what_cannot_be(tower):
    with pytest.raises(ValueError, match="stems = 1"):
        vary(vary(tower, stems=2), stems=1)
    with pytest.raises(ValueError, match="'nearest'"):
        vary(tower, resize="nearest")
    with pytest.raises(ValueError, match="last_stride 4"):
        vary(tower, last_stride=4)
    with pytest.raises(ValueError, match="too small"):
        vary(tower, image_size=(16, 16))
