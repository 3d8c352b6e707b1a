from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tapetum.models import CLIP_RN50, ClipResNet, ClipResNetConfig
from tapetum.models.backbones.attention_pool import AttentionPool
from tapetum.models.backbones.clip_resnet import TINY_RESNET, ClipStem
from tapetum.models.streams import Segment

SMALL = ClipResNetConfig(
    layers=(2, 1, 1, 2), width=8, heads=4, output_dim=20, image_size=(96, 48), last_stride=1
)
TWO_STEMS = replace(SMALL, stems=2)
SEGMENTS = [Segment("visible", 2), Segment("infrared", 1), Segment("visible", 1)]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    return torch.randn(4, 3, 96, 48)


def make_tower(config=SMALL):
    """A tower in which every bottleneck adds something and stems differ."""
    tower = ClipResNet(config)
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    return tower


def test_rn50_has_the_published_size():
    with torch.device("meta"):
        tower = ClipResNet(CLIP_RN50)
    assert sum(p.numel() for p in tower.parameters()) == 38_316_896
    assert tower.grid == (7, 7)
    assert tower.config.feature_dim == 2048


def test_stem_quarters_the_frame():
    assert ClipStem(64)(torch.zeros(2, 3, 288, 144)).shape == (2, 64, 72, 36)


def test_rn50_at_the_size_of_re_identification():
    with torch.device("meta"):
        tower = ClipResNet(replace(CLIP_RN50, image_size=(288, 144), last_stride=1))
        feature_map = tower.compute_map(torch.zeros(2, 3, 288, 144))
        assert feature_map.shape == (2, 2048, 18, 9)
        assert tower.pool(feature_map).shape == (2, 1024)
    assert tower.attnpool.positional_embedding.shape == (1 + 162, 2048)


@pytest.mark.parametrize("size", [(96, 48), (33, 47), (31, 64), (63, 65), (100, 50)])
@pytest.mark.parametrize("last_stride", [1, 2])
def test_grid_is_that_of_the_map(size, last_stride):
    config = replace(TINY_RESNET, width=2, heads=1, image_size=size, last_stride=last_stride)
    tower = ClipResNet(config).eval()
    assert tower.compute_map(torch.zeros(1, 3, *size)).shape == (1, 64, *config.grid)


def test_single_relu_stem_by_hand():
    """Without ReLUs between, the convolutions see negative values."""
    stem = ClipStem(8, relus=1).eval()
    frames = torch.randn(2, 3, 16, 8)
    x = stem.bn1(F.conv2d(frames, stem.conv1.weight, stride=2, padding=1))
    x = stem.bn2(F.conv2d(x, stem.conv2.weight, padding=1))
    x = stem.bn3(F.conv2d(x, stem.conv3.weight, padding=1)).clamp(min=0)
    torch.testing.assert_close(stem(frames), x.view(2, 8, 4, 2, 2, 2).mean((3, 5)))
    stem.relus = 3
    assert not torch.allclose(stem(frames), x.view(2, 8, 4, 2, 2, 2).mean((3, 5)))


def test_attention_pool_by_hand():
    """One head, two places: scores of the mean's query, softmax, mean of the values."""
    pool = AttentionPool(4, 1, 3, (1, 2)).double()
    pool.reset_parameters()
    maps = torch.randn(1, 4, 1, 2, dtype=torch.double)
    left, right = maps[0, :, 0, 0], maps[0, :, 0, 1]
    tokens = torch.stack([(left + right) / 2, left, right]) + pool.positional_embedding
    keys, values = pool.k_proj(tokens), pool.v_proj(tokens)
    scores = torch.stack([key @ pool.q_proj(tokens[0]) / 2 for key in keys])
    weights = scores.exp() / scores.exp().sum()
    expected = pool.c_proj(sum(w * v for w, v in zip(weights, values, strict=True)))
    torch.testing.assert_close(pool(maps)[0], expected)


@pytest.mark.parametrize("heads", [1, 4, 16])
def test_folded_query_equals_the_full_attention(heads):
    pool = AttentionPool(32, heads, 12, (3, 5)).double()
    pool.reset_parameters()
    maps = torch.randn(2, 32, 3, 5, dtype=torch.double)
    x = maps.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(1, keepdim=True), x], 1) + pool.positional_embedding
    layers = (pool.q_proj, pool.k_proj, pool.v_proj)
    q, k, v = (layer(x).view(2, 16, heads, -1).transpose(1, 2) for layer in layers)
    full = pool.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(pool(maps), full[:, 0], atol=1e-12, rtol=1e-12)


def test_every_row_passes_the_stem_of_its_stream(images):
    tower = make_tower(TWO_STEMS).eval()
    found = tower(images, SEGMENTS)
    for row, name in enumerate(("visible", "visible", "infrared", "visible")):
        alone = tower(images[row : row + 1], [Segment(name, 1)])
        torch.testing.assert_close(found[row : row + 1], alone, atol=1e-5, rtol=1e-5)
    others = [Segment("infrared", 2), Segment("visible", 1), Segment("infrared", 1)]
    assert not torch.allclose(tower(images, others), found, atol=1e-2)


def test_streams_do_not_share_the_statistics_of_their_stems(images):
    tower = ClipResNet(TWO_STEMS)
    tower(images, [Segment("visible", 4)])
    stems = tower.stem.stems
    assert stems["visible"].bn1.num_batches_tracked == 1
    assert stems["infrared"].bn1.num_batches_tracked == 0
    tower(images, SEGMENTS)
    assert tower.layer1[0].bn1.num_batches_tracked == 2


def test_one_stem_takes_rows_of_both_streams(images):
    tower = make_tower().eval()
    assert torch.equal(tower(images, SEGMENTS), tower(images))


@pytest.mark.parametrize("config", [SMALL, TWO_STEMS], ids=["one stem", "two stems"])
def test_gradient_checkpointing_changes_neither_gradients_nor_statistics(config, images):
    towers = make_tower(config), ClipResNet(config)
    towers[1].load_state_dict(towers[0].state_dict())
    towers[1].gradient_checkpointing = True
    for tower in towers:
        for _ in range(2):
            tower(images, SEGMENTS).square().sum().backward()
    for (name, plain), saving in zip(towers[0].named_parameters(), towers[1].parameters(), strict=True):
        if name != "attnpool.k_proj.bias":
            assert torch.equal(plain.grad, saving.grad), name
    for (name, plain), saving in zip(towers[0].named_buffers(), towers[1].buffers(), strict=True):
        assert torch.equal(plain, saving), name


def test_gradient_checkpointing_keeps_fewer_tensors(images):
    kept = []
    for is_on in (False, True):
        tower, sizes = ClipResNet(SMALL), []
        tower.gradient_checkpointing = is_on
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t
        ):
            tower(images)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


@torch.no_grad()
def test_bfloat16_autocast_stays_close(images):
    tower = make_tower().eval()
    expected = tower(images)
    with torch.autocast("cpu", torch.bfloat16):
        found = tower(images)
    assert F.cosine_similarity(expected, found.float()).min() > 0.999
    half = tower.bfloat16()(images.bfloat16())
    assert half.dtype is torch.bfloat16
    assert F.cosine_similarity(expected, half.float()).min() > 0.998


def test_maps_lie_channels_last(images):
    feature_map = make_tower()(images)
    assert feature_map.shape == (4, 20)
    assert make_tower().compute_map(images).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resized_positions(mode):
    tower = ClipResNet(replace(SMALL, image_size=(112, 112)))
    before = tower.attnpool.positional_embedding.detach().clone()
    tower.attnpool.positional_embedding.requires_grad_(False)
    tower.resize_positions(288, 144, mode=mode)
    after = tower.attnpool.positional_embedding
    grid = before[1:, 5].reshape(1, 1, 7, 7)
    expected = F.interpolate(grid, size=(18, 9), mode=mode, align_corners=False)
    torch.testing.assert_close(after[1:, 5], expected.flatten())
    assert torch.equal(after[0], before[0])
    assert not after.requires_grad
    assert tower.grid == (18, 9)
    assert tower(torch.randn(1, 3, 288, 144)).shape == (1, 20)


def test_bilinear_resize_worked_by_hand():
    """Two rows of two to four: output centres lie at -1/4, 1/4, 3/4 and 5/4 of the way between rows."""
    tower = ClipResNet(replace(SMALL, image_size=(32, 32)))
    with torch.no_grad():
        tower.attnpool.positional_embedding[1:] = torch.tensor([[0.0], [8.0], [4.0], [12.0]])
    tower.resize_positions(64, 32)
    assert tower.attnpool.positional_embedding[1:, 0].tolist() == [0, 8, 1, 9, 3, 11, 4, 12]


def test_same_size_keeps_the_parameter():
    tower = ClipResNet(SMALL)
    before = tower.attnpool.positional_embedding
    tower.resize_positions(96, 48)
    assert tower.attnpool.positional_embedding is before


def test_wrong_frames_and_modes(images):
    tower = ClipResNet(TWO_STEMS)
    with pytest.raises(ValueError, match=r"frames of 48x96 .* 96x48"):
        tower(images.transpose(2, 3))
    with pytest.raises(ValueError, match="a stem each"):
        tower(images)
    with pytest.raises(ValueError, match="unknown stream 'mixed'"):
        tower(images, [Segment("mixed", 4)])
    with pytest.raises(ValueError, match="'nearest'; known: bilinear, bicubic"):
        tower.resize_positions(96, 48, mode="nearest")
    with pytest.raises(ValueError, match=r"\(8, 48\).* too small"):
        tower.resize_positions(8, 48)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": (1, 1, 1)}, "four numbers"),
        ({"layers": (1, 0, 1, 1)}, "four numbers"),
        ({"width": 7}, "width 7"),
        ({"heads": 3}, "heads 3 do not divide the 256 channels"),
        ({"last_stride": 3}, "last_stride 3: expected 1 or 2"),
        ({"stems": 3}, "stems 3: expected 1 or 2"),
        ({"stem_relus": 2}, "stem_relus 2: expected 1 or 3"),
        ({"image_size": (96, 12)}, "too small"),
    ],
)
def test_configs_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
