import copy

import pytest
import torch
from torch import nn

from tapetum.models.backbones.non_local import NonLocal
from tapetum.models.backbones.resnet import RESNET_50, Bottleneck, ResNet, ResNetConfig

SMALL = {"layers": (1, 2, 1, 1), "width": 4}


def make_network(seed=0, **changes):
    torch.manual_seed(seed)
    return ResNet(ResNetConfig(**{**SMALL, **changes}))


def make_images(rows=2, height=40, width=24, seed=1):
    return torch.randn(rows, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_shapes_of_resnet_50_at_288_by_144():
    with torch.device("meta"):
        network, x = ResNet(), torch.empty(2, 3, 288, 144)
    shapes = [tuple((x := network.stem(x)).shape)]
    for layer in (network.body.layer1, network.body.layer2, network.body.layer3, network.body.layer4):
        shapes.append(tuple((x := layer(x)).shape))
    assert shapes == [
        (2, 64, 72, 36),
        (2, 256, 72, 36),
        (2, 512, 36, 18),
        (2, 1024, 18, 9),
        (2, 2048, 18, 9),
    ]
    assert RESNET_50.output_dim == 2048
    assert sum(p.numel() for p in network.parameters()) == 25_557_032 - 2_049_000  # without the classifier


def test_the_last_stride_is_that_of_the_last_layer():
    for stride, size in ((1, (3, 2)), (2, (2, 1))):
        network = make_network(last_stride=stride)
        assert network(make_images()).shape == (2, 128, *size)
        first = network.body.layer4[0]
        assert (first.conv2.stride, first.downsample[0].stride) == ((stride, stride), (stride, stride))


def test_convolutions_start_as_published():
    weight = ResNet().body.layer2[0].conv2.weight  # 128 of 128 x 3 x 3, fan out 1152
    assert weight.std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.02)


def test_other_numbers_of_channels():
    assert make_network(channels=1)(torch.randn(2, 1, 32, 16)).shape == (2, 128, 2, 1)


def test_a_bottleneck_projects_only_where_shapes_differ():
    assert isinstance(Bottleneck(16, 4).downsample, nn.Identity)
    assert not isinstance(Bottleneck(16, 4, stride=2).downsample, nn.Identity)
    assert not isinstance(Bottleneck(8, 4).downsample, nn.Identity)


@pytest.mark.parametrize("non_local", [(0, 0, 0, 0), (0, 1, 1, 0)])
def test_checkpointing_changes_neither_gradients_nor_statistics(non_local):
    plain = make_network(non_local=non_local)
    saving = copy.deepcopy(plain)
    saving.body.gradient_checkpointing = True
    for network in (plain, saving):
        for _ in range(2):
            network(make_images()).square().mean().backward()
    for (name, one), two in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad), name
    for (name, one), two in zip(plain.named_buffers(), saving.buffers(), strict=True):
        assert torch.equal(one, two), name
    assert saving.body.layer1[0].bn1.num_batches_tracked == 2
    assert all(m.momentum == 0.1 for m in saving.modules() if isinstance(m, nn.BatchNorm2d))


def test_checkpointing_keeps_fewer_tensors():
    kept = {}
    for saving in (False, True):
        network = make_network(non_local=(0, 1, 1, 0))
        network.body.gradient_checkpointing = saving
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t
        ):
            network(make_images())
        kept[saving] = sum(sizes)
    assert kept[True] < kept[False] / 2


def test_channels_last_gives_the_same_maps_and_stays():
    network = make_network(non_local=(0, 1, 1, 0)).eval()
    nn.init.ones_(network.body.non_local["layer2"][0].norm.weight)
    expected = network(make_images())
    found = network.to(memory_format=torch.channels_last)(
        make_images().contiguous(memory_format=torch.channels_last)
    )
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found, expected, atol=1e-5)


def test_bfloat16_is_near_float32():
    network = make_network(non_local=(0, 1, 1, 0)).eval()
    expected = network(make_images())
    with torch.autocast("cpu", torch.bfloat16):
        found = network(make_images())
    assert found.dtype is torch.bfloat16
    assert (found.float() - expected).abs().max() < 0.05 * expected.abs().max()


def test_a_non_local_block_changes_nothing_at_first_but_learns():
    torch.manual_seed(0)
    part, maps = NonLocal(8), torch.randn(2, 8, 4, 3)
    changed = part(maps)
    assert torch.equal(changed, maps)
    changed.square().sum().backward()
    assert part.norm.weight.grad.abs().sum() > 0
    assert part.inner == 4
    assert NonLocal(8, 1).project.weight.shape == (3, 8, 1, 1)


def test_non_local_blocks_have_the_width_that_is_asked_for():
    blocks = make_network(non_local=(0, 2, 1, 0), non_local_inner=3).body.non_local
    assert {name: [b.inner for b in some] for name, some in blocks.items()} == {
        "layer2": [3, 3],
        "layer3": [3],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": (1, 0, 1, 1)}, "expected at least one block in each"),
        ({"layers": (1, 1, 1)}, "layers"),
        ({"non_local": (0, 3, 0, 0)}, "expected 0 up to the blocks"),
        ({"non_local": (0, -1, 0, 0)}, "expected 0 up to the blocks"),
        ({"last_stride": 3}, "last_stride"),
        ({"width": 0}, "width"),
        ({"depth": 50}, "depth"),
    ],
)
def test_shapes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ResNetConfig(**{**SMALL, **changes})
