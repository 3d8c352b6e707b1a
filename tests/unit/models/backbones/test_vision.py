from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tapetum.models import VIT_B_16, VisionConfig, VisionTransformer

PATCH = VisionConfig(width=32, layers=3, heads=4, patch_size=8, image_size=(48, 24), output_dim=20)
CONV = replace(PATCH, stem="conv", stem_channels=(8, 12), stem_depth=1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    return torch.randn(3, 3, 48, 24)


@pytest.fixture(params=[PATCH, CONV], ids=["patch", "conv"])
def tower(request):
    return VisionTransformer(request.param)


def test_vit_b_16_has_the_published_size():
    with torch.device("meta"):
        tower = VisionTransformer(VIT_B_16)
    assert sum(p.numel() for p in tower.parameters()) == 86_192_640
    assert tower.grid == (14, 14)


def test_tokens_are_class_then_patches_row_by_row(images):
    tower = VisionTransformer(PATCH)
    tokens = tower.embed(images)
    assert tokens.shape == (3, 1 + 6 * 3, 32)
    row, column = 4, 2
    pixels = images[1, :, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
    place = 1 + row * 3 + column
    patch = (tower.stem.projection.weight * pixels).sum((1, 2, 3)) + tower.positional_embedding[place]
    torch.testing.assert_close(tokens[1, place], tower.ln_pre(patch))
    start = tower.class_embedding + tower.positional_embedding[0]
    torch.testing.assert_close(tokens[1, 0], tower.ln_pre(start))


def test_forward_equals_all_tokens_in_all_blocks(tower, images):
    x = tower.embed(images)
    for block in tower.blocks:
        x = block(x)
    feature, joint = tower.finish(x[:, 0])
    torch.testing.assert_close(feature, tower.ln_post(x[:, 0]))
    torch.testing.assert_close(tower(images), joint, atol=1e-6, rtol=1e-5)


def test_patterns_and_extra_tokens_reach_the_blocks(images):
    tower = VisionTransformer(PATCH)
    tokens = torch.cat([tower.embed(images), torch.randn(3, 5, 32)], dim=1)
    lengths = []

    def pattern(q, k, v):
        lengths.append((q.shape[1], k.shape[1]))
        return v[:, : q.shape[1]]

    assert tower.run_block(0, tokens, pattern).shape == tokens.shape
    assert tower.run_block(1, tokens, pattern, queries=1).shape == (3, 1, 32)
    assert lengths == [(24, 24), (1, 24)]


@pytest.mark.parametrize("training", [True, False])
def test_rows_do_not_depend_on_each_other(tower, images, training):
    tower.train(training)
    together, alone = tower(images), torch.cat([tower(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_gradient_checkpointing_gives_equal_gradients(tower, images):
    def gradients():
        return torch.autograd.grad(tower(images).square().sum(), list(tower.parameters()))

    expected = gradients()
    tower.gradient_checkpointing = True
    for found, wanted in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_bfloat16_autocast_stays_close(tower, images):
    expected = tower(images)
    with torch.autocast("cpu", torch.bfloat16):
        found = tower(images)
    assert F.cosine_similarity(expected, found.float()).min() > 0.999


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(96, 48), (32, 64)])
def test_resized_positions(mode, size):
    tower = VisionTransformer(PATCH)
    before = tower.positional_embedding.detach().clone()
    tower.positional_embedding.requires_grad_(False)
    tower.resize_positions(*size, mode=mode)
    rows, columns = size[0] // 8, size[1] // 8
    for channel in (0, 17):
        grid = before[1:, channel].reshape(1, 1, 6, 3)
        expected = F.interpolate(grid, size=(rows, columns), mode=mode, align_corners=False)
        torch.testing.assert_close(tower.positional_embedding[1:, channel], expected.flatten())
    assert torch.equal(tower.positional_embedding[0], before[0])
    assert not tower.positional_embedding.requires_grad
    assert tower.grid == (rows, columns)
    assert tower(torch.randn(1, 3, *size)).shape == (1, 20)


def test_bilinear_resize_worked_by_hand():
    """Two values doubled: output centres lie at -1/4, 1/4, 3/4 and 5/4 of the way between them."""
    tower = VisionTransformer(replace(PATCH, image_size=(8, 16)))
    with torch.no_grad():
        tower.positional_embedding[1:] = torch.tensor([[0.0], [4.0]])
    tower.resize_positions(8, 32)
    assert tower.positional_embedding[1:, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


def test_same_size_keeps_the_parameter():
    tower = VisionTransformer(PATCH)
    before = tower.positional_embedding
    tower.resize_positions(48, 24)
    assert tower.positional_embedding is before


def test_wrong_sizes_and_modes(images):
    tower = VisionTransformer(PATCH)
    with pytest.raises(ValueError, match=r"frames of 24x48 .* 48x24"):
        tower.embed(images.transpose(2, 3))
    with pytest.raises(ValueError, match="'nearest'; known: bilinear, bicubic"):
        tower.resize_positions(96, 48, mode="nearest")
    with pytest.raises(ValueError, match=r"\(96, 50\).*multiples of patch_size 8"):
        tower.resize_positions(96, 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem": "fourier"}, "unknown stem 'fourier'"),
        ({"stem_channels": (8,)}, "belong to stem='conv'"),
        ({"stem": "conv"}, "at least one level"),
        ({"stem": "conv", "stem_channels": (8, 8, 8, 8)}, "divide patch_size 8"),
        ({"image_size": (48, 4)}, "multiples of patch_size 8"),
    ],
)
def test_configs_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PATCH, **change)


@pytest.mark.parametrize("channels", [(8,), (8, 12), (5, 7, 8)])
def test_conv_stem_has_the_stride_of_a_patch(channels):
    tower = VisionTransformer(replace(CONV, stem_channels=channels))
    assert tower.stem(torch.randn(2, 3, 48, 24)).shape == (2, 32, 6, 3)


def test_conv_stem_by_hand(images):
    """One level, as functions: halve, normalise, rectify, add a refinement, project."""
    tower = VisionTransformer(replace(CONV, stem_channels=(8,)))
    level, stem = tower.stem.levels[0], tower.stem
    x = F.conv2d(images, level.down.weight, stride=2, padding=1)
    x = F.relu(F.group_norm(x, 8, level.norm.weight, level.norm.bias))
    refine, norm = level.refine[0]
    x = F.relu(x + F.group_norm(F.conv2d(x, refine.weight, padding=1), 8, norm.weight, norm.bias))
    expected = F.conv2d(x, stem.projection.weight, stem.projection.bias, stride=4)
    torch.testing.assert_close(stem(images), expected)
