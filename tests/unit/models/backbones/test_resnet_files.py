import logging
import re

import pytest
import torch
from safetensors.torch import save_file

from tapetum.errors import CheckpointError
from tapetum.models.backbones.resnet import ResNet, ResNetConfig
from tapetum.models.backbones.resnet_files import load_resnet

SHAPE = ResNetConfig(layers=(1, 2, 1, 1), width=4)


def published(seed=3, config=SHAPE):
    """A state dict as torchvision publishes it, with ImageNet's classifier."""
    torch.manual_seed(seed)
    network = ResNet(config)
    state = {
        re.sub(r"^(stem|body)\.", "", n): torch.randn_like(t.float()) for n, t in network.state_dict().items()
    }
    for name in state:
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + torch.rand_like(state[name])
    return state | {"fc.weight": torch.randn(10, config.output_dim), "fc.bias": torch.randn(10)}


@pytest.fixture
def file_of(tmp_path):
    def write(state, name="resnet.pth"):
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return write


def assert_holds(network, state):
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[re.sub(r"^(stem|body)\.", "", name)].to(tensor.dtype)), name


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": {f"module.{n}": t for n, t in s.items()}}]
)
def test_every_tensor_of_a_published_file_is_taken(file_of, wrap):
    state = published()
    assert_holds(load_resnet(file_of(wrap(state)), SHAPE), state)


def test_safetensors_are_taken_too(tmp_path):
    state = published()
    save_file(state, tmp_path / "resnet.safetensors")
    assert_holds(load_resnet(str(tmp_path / "resnet.safetensors"), SHAPE), state)


def test_the_classifier_is_named_as_unused(file_of, caplog):
    with caplog.at_level(logging.INFO):
        load_resnet(file_of(published()), SHAPE)
    assert "resnet.pth: not used: fc.bias, fc.weight" in caplog.text


def test_older_files_without_counters_and_without_classifier(file_of, caplog):
    state = {n: t for n, t in published().items() if "num_batches" not in n and not n.startswith("fc.")}
    with caplog.at_level(logging.INFO):
        network = load_resnet(file_of(state), SHAPE)
    assert network.stem.bn1.num_batches_tracked == 0
    assert torch.equal(network.stem.conv1.weight, state["conv1.weight"])
    assert not caplog.text


def test_half_precision_becomes_float32(file_of):
    state = {n: t.half() if t.is_floating_point() else t for n, t in published().items()}
    network = load_resnet(file_of(state), SHAPE)
    assert network.body.layer4[0].conv1.weight.dtype is torch.float32
    assert_holds(network, {n: t.float() for n, t in state.items()})


def test_non_local_blocks_and_last_stride_need_no_tensors(file_of):
    config = ResNetConfig(layers=(1, 2, 1, 1), width=4, non_local=(0, 1, 1, 0), last_stride=2)
    path = file_of(published())
    plain = load_resnet(path, ResNetConfig(layers=(1, 2, 1, 1), width=4, last_stride=2)).eval()
    images = torch.randn(2, 3, 32, 16)
    assert torch.equal(load_resnet(path, config).eval()(images), plain(images))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("layer2.1.bn2.bias"), "missing tensors: layer2.1.bn2.bias"),
        (lambda s: s.update({"layer2.1.se.weight": torch.ones(1)}), "unexpected tensors: layer2.1.se.weight"),
        (
            lambda s: s.update({"conv1.weight": torch.ones(4, 1, 7, 7)}),
            r"tensors of another shape: conv1.weight \(4, 1, 7, 7\) \(expected \(4, 3, 7, 7\)\)",
        ),
        (
            lambda s: [s.pop(f"layer1.0.bn{i}.{k}") for i in (1, 2, 3) for k in ("weight", "bias")],
            r"missing tensors: layer1.0.bn1.weight, .* and 2 more",
        ),
        (
            lambda s: s.update({"layer2.2.conv1.weight": torch.ones(1)}),
            r"expected \(1, 2, 1, 1\) blocks in the layers, found \(1, 3, 1, 1\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(file_of, spoil, message):
    state = published()
    spoil(state)
    with pytest.raises(CheckpointError, match=rf"resnet\.pth: {message}"):
        load_resnet(file_of(state), SHAPE)


def test_another_width_is_refused(file_of):
    with pytest.raises(CheckpointError, match=r"conv1.weight \(4, 3, 7, 7\) \(expected \(8, 3, 7, 7\)\)"):
        load_resnet(file_of(published()), ResNetConfig(layers=(1, 2, 1, 1), width=8))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["visual.conv1.weight", "visual.layer1.0.conv1.weight", "logit_scale"], r"CLIP \(visual"),
        (["embedder.embedder.convolution.weight"], "transformers' ResNetModel"),
        (["resnet.encoder.stages.0.layers.0.layer.0.convolution.weight"], "transformers' ResNetModel"),
        (["visible_module.visible.conv1.weight"], "two-stream network of AGW"),
        (["conv1.0.weight", "layer1.0.conv1.weight"], "a stem of several convolutions"),
        (["conv1.weight", "layer1.0.conv1.weight", "attnpool.c_proj.weight"], "image tower alone"),
        (["conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight"], "basic blocks"),
        (["backbone.conv1.weight"], "backbone"),
        (["stem.conv1.weight", "res2.0.conv1.weight"], "detectron2 or timm"),
        (["blocks.0.attn.qkv.weight", "cls_token"], "vision transformer"),
        (["network.body.layer1.0.conv1.weight"], "a method of this package"),
        (["a", "b", "c", "d"], r"4 tensors named a, b, c, \.\.\."),
    ],
)
def test_other_layouts_are_named(file_of, names, found):
    with pytest.raises(CheckpointError, match=rf"resnet\.pth: expected .*found .*{found}"):
        load_resnet(file_of({name: torch.ones(1) for name in names}), SHAPE)


def test_a_missing_and_a_damaged_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth: no such weight file"):
        load_resnet(tmp_path / "none.pth", SHAPE)
    (tmp_path / "bad.pth").write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=r"bad\.pth: cannot be read"):
        load_resnet(tmp_path / "bad.pth", SHAPE)
