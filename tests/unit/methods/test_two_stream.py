import logging
import re

import pytest
import torch
import torch.nn.functional as F

from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods import create_method
from tapetum.methods._two_stream import TwoStreamConfig, TwoStreamNetwork, TwoStreamOptimConfig
from tapetum.models.backbones.resnet import ResNet, ResNetConfig
from tapetum.models.streams import Segment
from tapetum.types import Modality

SHAPE = {"layers": (1, 1, 1, 1), "width": 4}
VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
BOTH = [Segment("visible", 2), Segment("infrared", 2)]


def make_network(seed=0, streams=("visible", "infrared"), **changes):
    torch.manual_seed(seed)
    return TwoStreamNetwork(TwoStreamConfig(**{"resnet": SHAPE, **changes}), 5, streams)


def make_method(**changes):
    """A method whose stems differ and whose norm has seen something."""
    torch.manual_seed(0)
    method = create_method("agw", num_identities=5, num_cameras=1, preset="tiny", **changes)
    method.network.stems.stems["infrared"].conv1.reset_parameters()
    method.train()
    method.network.neck.norm(torch.randn(8, method.embedding_dim) + 2)
    return method.eval()


def make_clips(rows=4, frames=1, seed=1):
    return torch.randn(rows, frames, 3, 32, 16, generator=torch.Generator().manual_seed(seed))


def test_features_are_what_the_parts_make_of_each_row():
    network = make_network(streams=("visible", "infrared", "auxiliary")).eval()
    network.stems.stems["infrared"].conv1.reset_parameters()
    images = make_clips(5)[:, 0]
    features = network(images, [*BOTH, Segment("auxiliary", 1)])
    assert features.shape == (5, 128)
    for row, name in enumerate(["visible", "visible", "infrared", "infrared", "auxiliary"]):
        maps = network.body(network.stems.stems[name](images[row : row + 1]))
        pooled = (maps.double().pow(3).mean((2, 3)) + 1e-12).pow(1 / 3)
        assert torch.allclose(features[row : row + 1].double(), pooled, rtol=1e-4), row


def test_all_stems_start_as_the_weight_file_says(tmp_path):
    torch.manual_seed(4)
    source = ResNet(ResNetConfig(**SHAPE))
    state = {re.sub(r"^(stem|body)\.", "", name): t for name, t in source.state_dict().items()}
    torch.save(state, tmp_path / "resnet.pth")
    network = make_network(weights=str(tmp_path / "resnet.pth"), streams=("visible", "infrared", "auxiliary"))
    for name in ("visible", "infrared", "auxiliary"):
        assert torch.equal(network.stems.stems[name].conv1.weight, state["conv1.weight"])
        assert torch.equal(network.stems.stems[name].bn1.running_var, state["bn1.running_var"])
    assert torch.equal(network.body.layer4[0].conv3.weight, state["layer4.0.conv3.weight"])


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save({"visual.conv1.weight": torch.ones(1)}, tmp_path / "clip.pt")
    with pytest.raises(CheckpointError, match=r"clip\.pt: .*found CLIP"):
        make_network(weights=str(tmp_path / "clip.pt"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "stand-in"}, "a small CLIP; expected 'none' or a ResNet's file"),
        ({"resnet": {**SHAPE, "channels": 1}}, "resnet.channels = 1: frames have 3 channels"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        make_network(**changes)


def test_parameter_groups_hold_every_trainable_parameter_once():
    optim = TwoStreamOptimConfig(lr=0.1, backbone_factor=0.2, weight_decay=1e-3)
    network = make_network(gem_trains=True)
    groups = {group.name: group for group in network.parameter_groups(optim)}
    assert {n: (g.lr, g.weight_decay) for n, g in groups.items()} == {
        "neck": (0.1, 1e-3),
        "backbone": (pytest.approx(0.02), 1e-3),
        "pooling": (pytest.approx(0.02), 0.0),
    }
    names = {id(p): name for name, p in network.named_parameters()}
    assert [names[id(p)] for p in groups["neck"].parameters] == ["neck.norm.weight", "neck.classifier.weight"]
    assert [names[id(p)] for p in groups["pooling"].parameters] == ["pool.p"]
    members = [id(p) for group in groups.values() for p in group.parameters]
    assert sorted(members) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    assert [n for n, p in network.named_parameters() if not p.requires_grad] == ["neck.norm.bias"]


def test_an_exponent_that_does_not_learn_is_in_no_group():
    groups = make_network().parameter_groups(TwoStreamOptimConfig())
    assert [group.name for group in groups] == ["neck", "backbone"]


@pytest.mark.parametrize("changes", [{"gem_p": 1.0}, {"gem_p": 6.0}, {"resnet": {**SHAPE, "last_stride": 2}}])
def test_switches_of_the_network_act(changes):
    images = make_clips()[:, 0]
    assert not torch.allclose(make_network(**changes)(images, BOTH), make_network()(images, BOTH), atol=1e-3)


def test_checkpointing_is_passed_on():
    assert make_network(gradient_checkpointing=True).body.gradient_checkpointing
    assert not make_network().body.gradient_checkpointing


def test_features_are_float32_under_autocast():
    network, images = make_network().eval(), make_clips()[:, 0]
    expected = network(images, BOTH)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(images, BOTH)
    assert found.dtype is torch.float32
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


# --- what an embedding is


@torch.inference_mode()
def test_embeddings_are_normed_features_of_the_clip_s_own_stem():
    method, clips = make_method(), make_clips(frames=3)
    order = [VISIBLE, INFRARED, INFRARED, VISIBLE]
    embeddings = method.encode(clips, modality=order)
    for row, modality in enumerate(order):
        images = clips[row]
        f = method.network(images, [Segment(modality.value, 3)]).mean(0, keepdim=True)
        z = F.normalize(method.network.neck.norm(f), dim=1)
        assert torch.allclose(embeddings[row : row + 1], z, atol=1e-5), row
    assert not torch.allclose(method.encode(clips, modality=VISIBLE), method.encode(clips, modality=INFRARED))
    assert torch.equal(
        method.encode(clips, modality="infrared"), method.encode(clips, modality=[INFRARED] * 4)
    )


@torch.inference_mode()
def test_clips_of_unknown_modality_get_the_mean_of_both():
    method, clips = make_method(), make_clips()
    both = method.encode(clips, modality=VISIBLE) + method.encode(clips, modality=INFRARED)
    assert torch.allclose(method.encode(clips), F.normalize(both, dim=1), atol=1e-6)


@torch.inference_mode()
def test_features_before_the_norm_on_request():
    method, clips = make_method(neck_feature="before"), make_clips()
    features = method.network(clips[:, 0], [Segment("visible", 4)])
    assert torch.allclose(method.encode(clips, modality=VISIBLE), F.normalize(features, dim=1), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "modality", "message"),
    [
        ({"unknown_modality": "error"}, None, "modality is unknown"),
        ({}, [VISIBLE] * 3, "3 modalities for 4 clips"),
        ({}, "thermal", "unknown stream 'thermal' of 4 rows; known: visible, infrared"),
        ({}, [VISIBLE, "depth", INFRARED, VISIBLE], "unknown stream 'depth' of 1 rows"),
    ],
)
def test_modalities_that_do_not_fit_are_refused(changes, modality, message):
    with pytest.raises(ValueError, match=message):
        make_method(**changes).encode(make_clips(), modality=modality)


@pytest.mark.parametrize("shape", [(2, 3, 32, 16), (2, 1, 1, 32, 16)])
def test_clips_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(f"clips of shape {list(shape)}")):
        make_method().encode(torch.zeros(shape), modality=VISIBLE)


def test_building_says_which_tensors_of_a_file_are_not_used(tmp_path, caplog):
    state = {
        re.sub(r"^(stem|body)\.", "", name): t
        for name, t in ResNet(ResNetConfig(**SHAPE)).state_dict().items()
    }
    torch.save(state | {"fc.weight": torch.ones(2)}, tmp_path / "a.pth")
    with caplog.at_level(logging.INFO):
        make_network(weights=str(tmp_path / "a.pth"))
    assert "not used: fc.weight" in caplog.text
