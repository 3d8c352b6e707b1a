"""CLIP4VI-ReID on CLIP's ResNet: what is pooled, whose statistics move, which stem a row passes."""

import pytest
import torch
import torch.nn.functional as F

from tapetum.errors import ConfigError
from tapetum.methods import create_method
from tapetum.models.backbones.clip_resnet import ClipResNetConfig
from tapetum.models.streams import segments_of
from tapetum.types import Modality

SMALL = {
    "backbone": "tiny-RN",
    "height": 32,
    "width": 16,
    "vision": ClipResNetConfig(layers=(1, 1, 1, 2), width=4, heads=4, output_dim=16),
}


@pytest.fixture
def resnet(small):
    """(overrides) -> the small method on a ResNet whose last batch norms act."""

    def make(**overrides):
        method = small.make_method(preset="paper", **{**SMALL, **overrides})
        for name, parameter in method.network.images.visual.named_parameters():
            if name.endswith("bn3.weight"):
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
        return method

    return make


@pytest.fixture
def batches(small, monkeypatch):
    """Batches of this tower's frames."""
    monkeypatch.setattr(small, "HEIGHT", SMALL["height"])
    monkeypatch.setattr(small, "WIDTH", SMALL["width"])
    return small


def buffers(module):
    return {name: value.clone() for name, value in module.named_buffers() if "num_batches" not in name}


def moved(before, after):
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_the_paper_s_sizes():
    with torch.device("meta"):
        method = create_method("clip4vi-reid", num_identities=395, num_cameras=6)
    network = method.network
    assert (network.dims, method.embedding_dim) == ({"g": 2048, "f": 1024}, 3072)
    assert network.images.visual.attnpool.positional_embedding.shape == (1 + 18 * 9, 2048)
    assert network.prompts["shared"].tokens.numel() == 808_960
    template = method.config.template
    assert (len(template.ids), template.first, template.ids[11]) == (12, 5, 49407)
    assert network.text_bank.shape == (395, 1024)
    assert set(network.images.visual.stem.stems) == {"visible", "infrared"}
    groups = {g.name: g for g in method.stages()[2].parameter_groups()}
    assert {name: round(g.lr, 9) for name, g in groups.items()} == {
        "prompts": 3e-5,
        "heads": 6e-4,
        "biases": 3e-4,
        "tower": 3e-4,
    }
    assert len(groups["heads"].parameters) == 5  # the pooling's exponent, two norms, two classifiers


@torch.no_grad()
def test_g_is_the_generalised_mean_of_the_map_and_f_its_attention_pooling(batches, resnet):
    network = resnet(modality_stems=False).eval().network
    network.images.pooling.p.fill_(2.5)
    clips = batches.make_batch(frames=2).clips
    maps = network.images.visual.compute_map(clips.flatten(0, 1)).double()
    mean = maps.clamp(min=1e-6).pow(2.5).flatten(2).mean(2).pow(1 / 2.5)
    found = network.encode_clips(clips)
    torch.testing.assert_close(found.g.double(), mean.view(18, 2, -1).mean(1), rtol=1e-5, atol=1e-6)
    pooled = network.images.visual.pool(maps.float()).view(18, 2, -1).mean(1)
    torch.testing.assert_close(found.f, pooled)
    assert found.last is None


@torch.no_grad()
def test_the_test_feature_is_both_parts_at_unit_length_g_behind_its_norm(batches, resnet):
    method = resnet().eval()
    norm = method.network.necks["g"].norm
    norm.running_mean.uniform_(0, 0.2)
    norm.running_var.uniform_(0.5, 2)
    clips = batches.make_batch().clips[:4]
    modality = [Modality.VISIBLE, Modality.INFRARED] * 2
    found = method.encode(clips, modality=modality)
    x = method.network.encode_clips(clips, segments_of(modality))
    g = (x.g - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight
    expected = torch.cat([F.normalize(g, dim=1), F.normalize(x.f, dim=1)], dim=1) / 2**0.5
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert method.mirror == "append"


def test_ife_trains_the_affine_part_of_batch_norms_and_leaves_their_statistics(batches, resnet):
    method = resnet()
    images = method.network.images
    stage = batches.begin(method, "ife")
    state = {name: value.clone() for name, value in images.state_dict().items()}
    for _ in range(2):
        batches.train_step(method, stage)
    changed = moved(state, images.state_dict())
    assert not {name for name in changed if "running_" in name or "num_batches" in name}
    assert {"visual.layer1.0.bn1.weight", "visual.layer4.1.bn3.bias"} <= changed
    assert not {name for name in changed if name.startswith("visual.stem.stems.visible.")}
    assert "visual.stem.stems.infrared.bn3.weight" in changed
    kept = set(state) - changed
    assert {"pooling.p", "visual.attnpool.k_proj.bias"} <= kept
    method.train()
    assert all(m.training for m in images.modules())


def test_hsa_statistics_are_common_to_both_modalities_and_all_views(batches, resnet):
    """The first shared norm sees the outputs of both stems; each stem's norms see their own rows."""
    method, batch = resnet(), batches.make_batch()
    visual = method.network.images.visual
    stage = batches.begin(method, "hsa")
    seen = {}
    for name in ("visible", "infrared"):
        norm = visual.stem.stems[name].bn1
        norm.register_forward_pre_hook(lambda m, args, name=name: seen.setdefault(name, args[0]))
    visual.layer1[0].bn1.register_forward_pre_hook(lambda m, args: seen.setdefault("shared", args[0]))
    batches.train_step(method, stage, batch)
    assert {name: len(x) for name, x in seen.items()} == {"visible": 12, "infrared": 6, "shared": 18}
    norms = {"shared": visual.layer1[0].bn1, **{n: s.bn1 for n, s in visual.stem.stems.items()}}
    for name, norm in norms.items():
        mean = seen[name].double().mean((0, 2, 3))
        torch.testing.assert_close(norm.running_mean.double(), 0.1 * mean, rtol=1e-4, atol=1e-6)


def test_tsg_encodes_without_moving_a_statistic(batches, resnet):
    method = resnet()
    before = buffers(method.network.images)
    stage = batches.begin(method, "tsg")
    batches.train_step(method, stage, batches.seeds(1))
    assert not moved(before, buffers(method.network.images))


@pytest.mark.parametrize("name", ["ife", "hsa"])
def test_recomputation_changes_neither_gradients_nor_statistics(batches, resnet, name):
    found = []
    for flag in (False, True):
        method = resnet(gradient_checkpointing=flag)
        stage = batches.begin(method, name)
        batches.train_step(method, stage)
        found.append(method.network.state_dict())
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, atol=1e-5, rtol=1e-4, msg=key)


def test_every_declared_parameter_gets_a_gradient(batches, resnet):
    method = resnet(neck_bias=True)
    for name in ("ife", "hsa"):
        stage = batches.begin(method, name)
        method.zero_grad()
        stage.total(stage.step(batches.batch_of(stage))).backward()
        parameters = [p for g in stage.parameter_groups() for p in g.parameters]
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in parameters)


def test_decay_spares_norms_and_the_exponent_where_asked(resnet):
    method = resnet(optim={"decay_norms": False})
    hsa = method.stages()[2]
    spared = {p for g in hsa.parameter_groups() if g.weight_decay == 0 for p in g.parameters}
    names = {n for n, p in method.network.named_parameters() if p in spared}
    assert {"images.pooling.p", "necks.g.norm.weight", "images.visual.layer1.0.bn1.bias"} <= names
    assert not {n for n in names if "conv" in n or "attnpool" in n or "classifier" in n or "prompts" in n}


@torch.no_grad()
def test_csdn_s_stem_has_one_relu(batches, resnet):
    clips = batches.make_batch().clips[:2]
    ours, theirs = (resnet(csdn_stem=flag).eval() for flag in (False, True))
    theirs.load_state_dict(ours.state_dict())
    one, other = (m.network.images.visual.stem.stems["visible"] for m in (ours, theirs))
    x = clips[:, 0]
    x = other.bn3(other.conv3(other.bn2(other.conv2(other.bn1(other.conv1(x))))))
    torch.testing.assert_close(other(clips[:, 0]), F.avg_pool2d(F.relu(x), 2))
    assert not torch.allclose(one(clips[:, 0]), other(clips[:, 0]), atol=1e-3)


def test_a_resnet_has_no_class_token(resnet):
    with pytest.raises(ConfigError, match="RN has no class token"):
        resnet(wrt_on=("last", "g"))
