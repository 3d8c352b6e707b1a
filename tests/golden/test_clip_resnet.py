"""CLIP's ResNet against a plain one: OpenAI's modules and names, keys and values of every token, float64."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tapetum.models import ClipResNet, ClipResNetConfig, load_clip

RN50 = ClipResNetConfig(image_size=(64, 64))
SMALL = ClipResNetConfig(layers=(2, 1, 2, 1), width=16, heads=8, output_dim=24, image_size=(96, 96))
TOLERANCE = 1e-5


class PlainBottleneck(nn.Module):
    def __init__(self, inplanes, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu2 = nn.ReLU()
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.relu3 = nn.ReLU()
        self.downsample = None
        if stride > 1 or inplanes != 4 * planes:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", nn.Conv2d(inplanes, 4 * planes, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(4 * planes))

    def forward(self, x):
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.avgpool(self.relu2(self.bn2(self.conv2(y))))
        y = self.bn3(self.conv3(y))
        return self.relu3(y + (x if self.downsample is None else self.downsample(x)))


class PlainPool(nn.Module):
    def __init__(self, places, dim, heads, output_dim):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(places + 1, dim) / dim**0.5)
        self.k_proj, self.q_proj, self.v_proj = (nn.Linear(dim, dim) for _ in range(3))
        self.c_proj = nn.Linear(dim, output_dim)
        self.heads = heads

    def forward(self, x):
        x = x.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(dim=0, keepdim=True), x], dim=0) + self.positional_embedding[:, None]
        pooled, _ = F.multi_head_attention_forward(
            x,
            x,
            x,
            x.shape[-1],
            self.heads,
            in_proj_weight=None,
            in_proj_bias=torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=self.c_proj.weight,
            out_proj_bias=self.c_proj.bias,
            use_separate_proj_weight=True,
            training=self.training,
            need_weights=False,
            q_proj_weight=self.q_proj.weight,
            k_proj_weight=self.k_proj.weight,
            v_proj_weight=self.v_proj.weight,
        )
        return pooled[0]


class PlainResNet(nn.Module):
    """Of the shape of a configuration with one stem."""

    def __init__(self, config):
        super().__init__()
        width = config.width
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.relus = config.stem_relus
        inplanes, strides = width, (1, 2, 2, config.last_stride)
        for number, (blocks, stride) in enumerate(zip(config.layers, strides, strict=True)):
            planes = width * 2**number
            layer = [PlainBottleneck(inplanes, planes, stride)]
            inplanes = 4 * planes
            layer += [PlainBottleneck(inplanes, planes, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{number + 1}", nn.Sequential(*layer))
        height, side = (size // (16 * config.last_stride) for size in config.image_size)
        self.attnpool = PlainPool(height * side, inplanes, config.heads, config.output_dim)
        for name, tensor in self.state_dict().items():  # every tensor must matter, and none may explode
            if ".bn" in f".{name}" or "downsample.1" in name:
                if name.endswith(("weight", "running_var")):
                    tensor.uniform_(0.5, 1.5)
                elif name.endswith(("bias", "running_mean")):
                    tensor.normal_(std=0.3)
                else:
                    tensor.fill_(7)

    def maps(self, x):
        for number in (1, 2, 3):
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))
            if self.relus == 3 or number == 3:
                x = F.relu(x)
        return self.layer4(self.layer3(self.layer2(self.layer1(F.avg_pool2d(x, 2)))))

    def forward(self, x):
        return self.attnpool(self.maps(x))


class PlainClip(nn.Module):
    """The image tower of a file, without text."""

    def __init__(self, config):
        super().__init__()
        self.visual = PlainResNet(config)

    def forward(self, images):
        return self.visual(images)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def tower_of(plain, config):
    """Our tower with the tensors of the plain one."""
    tower = ClipResNet(config)
    stem = ("conv", "bn")
    state = {f"stem.{n}" if n.startswith(stem) else n: t for n, t in plain.state_dict().items()}
    tower.load_state_dict(state)
    return tower


@pytest.mark.parametrize("config", [RN50, SMALL], ids=["RN50", "small"])
@torch.no_grad()
def test_maps_and_joint_embeddings(config):
    plain = PlainResNet(config).eval()
    tower, images = tower_of(plain, config).eval(), torch.randn(2, 3, *config.image_size)
    expected_maps = plain.double().maps(images.double())
    expected = plain.attnpool(expected_maps)
    found_maps = tower.compute_map(images)
    for found, wanted in ((found_maps, expected_maps), (tower.pool(found_maps), expected)):
        scale = wanted.abs().max()
        torch.testing.assert_close(found.double() / scale, wanted / scale, atol=TOLERANCE, rtol=0)
    tower.double()
    torch.testing.assert_close(tower(images.double()), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("last_stride", [1, 2])
@pytest.mark.parametrize("stem_relus", [1, 3])
def test_gradients_and_statistics_in_training(last_stride, stem_relus):
    """The folded query has the gradients of the full attention; the key bias, which drops out, has none."""
    config = ClipResNetConfig(
        **{**SMALL.__dict__, "image_size": (64, 32), "last_stride": last_stride, "stem_relus": stem_relus}
    )
    plain = PlainResNet(config).double()
    tower, images = tower_of(plain, config).double(), torch.randn(4, 3, 64, 32, dtype=torch.double)
    slope = torch.randn(4, config.output_dim, dtype=torch.double)
    for network in (plain, tower):
        (network(images) * slope).sum().backward()
    ours = {name.removeprefix("stem."): tensor for name, tensor in tower.named_parameters()}
    assert ours.pop("attnpool.k_proj.bias").grad is None
    for name, tensor in plain.named_parameters():
        if name == "attnpool.k_proj.bias":
            assert tensor.grad.abs().max() < 1e-12
        else:
            torch.testing.assert_close(ours.pop(name).grad, tensor.grad, atol=1e-9, rtol=1e-7, msg=name)
    assert not ours
    buffers = {name.removeprefix("stem."): tensor for name, tensor in tower.named_buffers()}
    for name, tensor in plain.named_buffers():
        torch.testing.assert_close(buffers.pop(name), tensor, msg=name)
    assert not buffers


@pytest.mark.parametrize("kind", ["archive", "state dict", "half"])
@torch.no_grad()
def test_files_give_the_same_embeddings(tmp_path, kind):
    plain, path = PlainClip(SMALL).eval(), tmp_path / "RN.pt"
    images = torch.randn(2, 3, 96, 96)
    if kind == "half":  # as OpenAI's: convolutions and linear layers, not batch norms
        state = {n: t.half() if t.ndim > 1 else t for n, t in plain.state_dict().items()}
        torch.save(state, path)
        plain.load_state_dict(state)
    elif kind == "archive":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is on its way out and says so
            torch.jit.save(torch.jit.trace(plain, (images,)), path)
    else:
        torch.save(plain.state_dict(), path)
    clip = load_clip(path)
    assert clip.visual.config == SMALL
    assert {t.dtype for t in clip.parameters()} == {torch.float32}
    assert clip.visual.stem.bn1.num_batches_tracked.item() == 7
    expected = plain.double()(images.double())
    torch.testing.assert_close(clip.encode_image(images).double(), expected, atol=TOLERANCE, rtol=TOLERANCE)
