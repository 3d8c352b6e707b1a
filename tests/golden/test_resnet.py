"""ResNet and its non-local blocks against plain references on the same random weights."""

import re

import pytest
import torch
from torch.nn import functional as F

from tapetum.models.backbones.non_local import NonLocal
from tapetum.models.backbones.resnet import ResNet, ResNetConfig


def published_names(network):
    """The state dict under torchvision's names."""
    return {re.sub(r"^(stem|body)\.", "", name): t for name, t in network.state_dict().items()}


def make_network(seed=0, **changes):
    """A network whose batch norms have statistics, scales and shifts of their own."""
    torch.manual_seed(seed)
    network = ResNet(ResNetConfig(**changes))
    for name, tensor in network.state_dict().items():
        if "bn" in name or "downsample.1" in name or ".norm." in name:
            if name.endswith("running_var") or name.endswith("weight"):
                tensor.uniform_(0.5, 1.5)
            elif not name.endswith("num_batches_tracked"):
                tensor.normal_(std=0.2)
    return network.eval()


def batch_norm(x, state, name):
    shape = (1, -1, 1, 1)
    mean, var, weight, bias = (
        state[f"{name}.{part}"].view(shape) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def convolve(x, weight, stride, padding):
    """A convolution as a product with all patches."""
    rows, _, height, width = x.shape
    side = weight.shape[2]
    patches = F.unfold(x, side, padding=padding, stride=stride)
    out = weight.flatten(1) @ patches
    high, wide = ((size + 2 * padding - side) // stride + 1 for size in (height, width))
    return out.view(rows, -1, high, wide)


def pool(x):
    """The largest of each 3x3 neighbourhood, every second one; outside counts as nothing."""
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1), value=-torch.inf)
    lines = [
        [padded[:, :, i : i + 3, j : j + 3].amax((2, 3)) for j in range(0, width, 2)]
        for i in range(0, height, 2)
    ]
    return torch.stack([torch.stack(line, -1) for line in lines], -2)


def block(x, state, name, stride):
    y = batch_norm(convolve(x, state[f"{name}.conv1.weight"], 1, 0), state, f"{name}.bn1").clamp(min=0)
    y = batch_norm(convolve(y, state[f"{name}.conv2.weight"], stride, 1), state, f"{name}.bn2").clamp(min=0)
    y = batch_norm(convolve(y, state[f"{name}.conv3.weight"], 1, 0), state, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in state:
        x = convolve(x, state[f"{name}.downsample.0.weight"], stride, 0)
        x = batch_norm(x, state, f"{name}.downsample.1")
    return (x + y).clamp(min=0)


def non_local_by_loops(x, state, name):
    """Position by position, from the definition."""
    rows, _, height, width = x.shape
    flat = x.flatten(2)
    weight, bias = state[f"{name}.project.weight"].flatten(1), state[f"{name}.project.bias"]
    inner = weight.shape[0] // 3
    mixed = torch.zeros(rows, inner, height * width, dtype=x.dtype)
    for n in range(rows):
        projected = [weight @ flat[n, :, i] + bias for i in range(height * width)]
        theta, phi, g = ([p[k * inner : (k + 1) * inner] for p in projected] for k in range(3))
        for i in range(height * width):
            for j in range(height * width):
                mixed[n, :, i] += torch.dot(theta[i], phi[j]) / (height * width) * g[j]
    out = state[f"{name}.out.weight"].flatten(1) @ mixed + state[f"{name}.out.bias"][:, None]
    return x + batch_norm(out.view_as(x), state, f"{name}.norm")


def reference(images, state, layers, last_stride, non_local=(0, 0, 0, 0)):
    """All of ResNet from torchvision's tensors."""
    x = batch_norm(convolve(images, state["conv1.weight"], 2, 3), state, "bn1").clamp(min=0)
    x = pool(x)
    for number, (blocks, extra) in enumerate(zip(layers, non_local, strict=True), 1):
        stride = {1: 1, 4: last_stride}.get(number, 2)
        for index in range(blocks):
            x = block(x, state, f"layer{number}.{index}", stride if index == 0 else 1)
            if index >= blocks - extra:
                x = non_local_by_loops(x, state, f"non_local.layer{number}.{index - blocks + extra}")
    return x


def assert_close(found, expected, tolerance):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def test_resnet_50_equals_the_reference():
    network = make_network()
    images = torch.randn(1, 3, 35, 18)
    state = {name: t.double() for name, t in published_names(network).items()}
    with torch.inference_mode():
        expected = reference(images.double(), state, (3, 4, 6, 3), last_stride=1)
        assert_close(network(images), expected.float(), 1e-5)


@pytest.mark.parametrize("last_stride", [1, 2])
def test_small_networks_equal_the_reference_in_float64(last_stride):
    shape = {"layers": (1, 2, 1, 2), "width": 4}
    network = make_network(last_stride=last_stride, **shape).double()
    images = torch.randn(2, 3, 65, 34, dtype=torch.float64)
    with torch.inference_mode():
        expected = reference(images, published_names(network), shape["layers"], last_stride)
        assert_close(network(images), expected, 1e-12)


def test_non_local_blocks_stand_after_the_last_blocks_of_a_layer():
    shape = {"layers": (1, 2, 3, 1), "width": 4, "non_local": (0, 1, 2, 0)}
    network = make_network(1, **shape).double()
    images = torch.randn(2, 3, 40, 22, dtype=torch.float64)
    with torch.inference_mode():
        expected = reference(images, published_names(network), shape["layers"], 1, shape["non_local"])
        assert_close(network(images), expected, 1e-12)


@pytest.mark.parametrize("size", [(3, 4), (1, 2), (2, 2)])
def test_non_local_blocks_equal_loops_in_both_orders_of_the_sums(size):
    torch.manual_seed(0)
    part = NonLocal(8).double().eval()
    torch.nn.init.normal_(part.norm.weight)
    torch.nn.init.normal_(part.norm.running_mean)
    x = torch.randn(2, 8, *size, dtype=torch.float64)
    state = {f"block.{name}": t for name, t in part.state_dict().items()}
    assert_close(part(x), non_local_by_loops(x, state, "block"), 1e-12)


def transformers_name(name):
    """What transformers' ResNetModel calls a tensor of torchvision."""
    name = re.sub(r"^conv1\.", "embedder.embedder.convolution.", name)
    name = re.sub(r"^bn1\.", "embedder.embedder.normalization.", name)
    if match := re.match(r"layer(\d)\.(\d+)\.(.*)", name):
        layer, index, part = match.groups()
        part = re.sub(r"^downsample\.0", "shortcut.convolution", part)
        part = re.sub(r"^downsample\.1", "shortcut.normalization", part)
        part = re.sub(r"^conv(\d)", lambda m: f"layer.{int(m[1]) - 1}.convolution", part)
        part = re.sub(r"^bn(\d)", lambda m: f"layer.{int(m[1]) - 1}.normalization", part)
        name = f"encoder.stages.{int(layer) - 1}.layers.{index}.{part}"
    return name


def test_resnet_50_equals_that_of_transformers():
    transformers = pytest.importorskip("transformers")
    network = make_network(last_stride=2)
    shape = {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3]}
    theirs = transformers.ResNetModel(transformers.ResNetConfig(**shape)).eval()
    theirs.load_state_dict({transformers_name(n): t for n, t in published_names(network).items()})
    images = torch.randn(1, 3, 64, 32)
    with torch.inference_mode():
        assert_close(network(images), theirs(images).last_hidden_state, 1e-5)
