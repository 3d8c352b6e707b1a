import logging
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tapetum.errors import ConfigError
from tapetum.losses import batch_hard_triplet, weighted_regularised_triplet
from tapetum.methods import create_method
from tapetum.methods._base import StageContext
from tapetum.methods._checkpoint import load_method, save_method
from tapetum.models.streams import Segment
from tapetum.training.schedule import rate_factor
from tapetum.types import Batch, Modality

LABELS = torch.tensor([0, 0, 3, 3])
SMALL = {"height": 32, "width": 16, "triplet_on": "before", "triplet_unit": False}


def make_method(seed=0, preset="tiny", **changes):
    torch.manual_seed(seed)
    method = create_method("agw", num_identities=4, num_cameras=1, preset=preset, **{**SMALL, **changes})
    return method.train()


def make_batch(views=False, frames=1, seed=0):
    rows = 12 if views else 8
    clips = torch.randn(rows, frames, 3, 32, 16, generator=torch.Generator().manual_seed(seed))
    labels, infrared = LABELS.repeat(rows // 4), torch.arange(rows) // 4 == 1
    return Batch(clips, labels, infrared, labels, seed=seed, views=4 if views else 0)


def losses_of(method, batch=None):
    (stage,) = method.stages()
    return stage.step(batch or make_batch())


def test_losses_are_those_of_the_pooled_and_the_normed_feature():
    method, batch = make_method(**{"loss.hard": 1.0}), make_batch(frames=2)
    losses = losses_of(method, batch)
    network = make_method(**{"loss.hard": 1.0}).network
    f = network(batch.clips.flatten(0, 1), [Segment("visible", 8), Segment("infrared", 8)])
    f = torch.stack([(f[2 * i] + f[2 * i + 1]) / 2 for i in range(8)])
    z = (f - f.mean(0)) / (f.var(0, correction=0) + 1e-5).sqrt()
    expected = {
        "id": F.cross_entropy(z @ network.neck.classifier.weight.t(), batch.labels),
        "wrt": weighted_regularised_triplet(f, batch.labels),
        "hard": batch_hard_triplet(f, batch.labels, 0.3),
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(losses[name], value, rtol=1e-4), name


@pytest.mark.parametrize("on", ["before", "after"])
@pytest.mark.parametrize("unit", [False, True])
def test_triplets_read_the_feature_that_is_asked_for(on, unit):
    changes = {"loss.hard": 1.0, "triplet_on": on, "triplet_unit": unit}
    batch = make_batch()
    losses = losses_of(make_method(**changes), batch)
    f = make_method().network(batch.clips[:, 0], [Segment("visible", 4), Segment("infrared", 4)])
    if on == "after":
        f = (f - f.mean(0)) / (f.var(0, correction=0) + 1e-5).sqrt()
    if unit:
        f = f / f.norm(dim=1, keepdim=True)
    assert torch.allclose(losses["wrt"], weighted_regularised_triplet(f, batch.labels), rtol=1e-4)
    assert torch.allclose(losses["hard"], batch_hard_triplet(f, batch.labels, 0.3), rtol=1e-4)


def test_exchanged_views_count_in_every_loss_and_pass_the_visible_stem():
    plain, shown = make_method(), make_method()
    batch = make_batch(views=True)
    losses = losses_of(shown, batch)
    assert losses.keys() == {"id", "wrt"}
    assert shown.network.stems.stems["visible"].bn1.num_batches_tracked == 1
    segments = [Segment("visible", 4), Segment("infrared", 4), Segment("visible", 4)]
    features = plain.network(batch.clips[:, 0], segments)
    assert torch.allclose(losses["wrt"], weighted_regularised_triplet(features, batch.labels), rtol=1e-4)
    assert not torch.allclose(losses["wrt"], losses_of(make_method(), batch.without_views())["wrt"])


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {"id", "wrt"}),
        ({"loss.wrt": 0, "loss.hard": 1}, {"id", "hard"}),
        ({"loss.id": 0}, {"wrt"}),
    ],
)
def test_losses_are_those_with_a_weight(changes, names):
    (stage,) = make_method(**changes).stages()
    losses = stage.step(make_batch())
    assert set(losses) == names
    assert all(stage.loss_weights[name] > 0 for name in names)


@pytest.mark.parametrize(
    "changes",
    [
        {"label_smooth": 0.3},
        {"wrt_squared": True},
        {"wrt_compat": True},
        {"hard_margin": None},
        {"triplet_on": "after"},
        {"triplet_unit": True},
        {"gem_p": 1.0},
        {"resnet.last_stride": 2},
        {"resnet.width": 8},
    ],
)
def test_every_switch_acts(changes):
    base = {"loss.hard": 1.0, "wrt_squared": False}
    values = []
    for change in ({}, changes):
        method = make_method(**{**base, **change})
        batch = make_batch()
        values.append(losses_of(method, replace(batch, clips=batch.clips * 3)))
    assert any(not torch.equal(values[0][name], values[1][name]) for name in values[0])


def test_presets_hold_what_their_code_does():
    configs = {name: make_method(preset=name).config for name in ("paper", "caj")}
    for config in configs.values():
        assert config.resnet.layers == (3, 4, 6, 3)
        assert config.resnet.non_local == (0, 2, 3, 0)
        assert (config.resnet.last_stride, config.gem_p) == (1, 3)
        assert (config.batches.identities, config.batches.tracklets, config.frames) == (8, 4, 1)
        assert (config.optim.algorithm, config.optim.lr, config.optim.backbone_factor) == ("sgd", 0.1, 0.1)
        assert (config.optim.momentum, config.optim.nesterov, config.optim.weight_decay) == (0.9, True, 5e-4)
        assert config.schedule.steps_per_epoch == "from-data"
    paper, caj = configs["paper"], configs["caj"]
    assert (paper.schedule.epochs, caj.schedule.epochs) == (81, 100)
    assert (paper.augment.erase, paper.augment.channels, paper.augment.exchanged_view) == (0, False, False)
    assert (caj.augment.erase, caj.augment.channels, caj.augment.exchanged_view) == (0.5, True, True)
    assert (paper.wrt_squared, caj.wrt_squared) == (False, True)


def test_rates_are_those_of_the_code():
    """lr (epoch + 1) / 10 below epoch 10, lr to epoch 20, a tenth to epoch 50, a hundredth after it."""
    schedule = make_method(preset="caj").config.schedule.model_copy(update={"steps_per_epoch": 3})
    for epoch in range(100):
        expected = (epoch + 1) / 10 if epoch < 10 else 1 if epoch < 20 else 0.1 if epoch < 50 else 0.01
        assert rate_factor(schedule, 3 * epoch + 2, 300) == pytest.approx(expected), epoch


def test_batches_of_one_modality_are_refused():
    assert make_method().stages()[0].takes_modalities == ("both",)
    batch = make_batch()
    odd = Batch(batch.clips[:7], batch.labels[:7], batch.infrared[:7], batch.cameras[:7])
    with pytest.raises(ValueError, match="the rest is no two halves"):
        losses_of(make_method(), odd)


def test_neither_a_step_nor_encoding_waits_for_the_device(host_waits):
    method, batch = (
        make_method(**{"loss.hard": 1.0, "resnet.non_local": (0, 1, 1, 0)}),
        make_batch(views=True),
    )
    (stage,) = method.stages()
    with host_waits as seen:
        stage.total(stage.step(batch)).backward()
        method.eval().encode(batch.clips, modality=[Modality.VISIBLE, Modality.INFRARED] * 6)
    assert not seen.found


def test_training_lowers_the_loss():
    method = make_method()
    (stage,) = method.stages()
    optimiser = torch.optim.AdamW([{"params": g.parameters, "lr": g.lr} for g in stage.parameter_groups()])
    history = []
    for _ in range(8):
        loss = stage.total(stage.step(make_batch(views=True)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0]


def test_a_stored_method_encodes_as_before_without_its_weight_file(tmp_path):
    method = make_method().eval()
    method.config = method.config.model_copy(update={"weights": "/nowhere/resnet50.pth"})
    save_method(method, tmp_path / "model.safetensors")
    loaded = load_method(tmp_path / "model.safetensors").method
    clips = make_batch().clips
    with torch.inference_mode():
        for modality in Modality:
            assert torch.equal(
                loaded.encode(clips, modality=modality), method.encode(clips, modality=modality)
            )


@pytest.mark.parametrize(
    ("changes", "resumed", "warns"),
    [
        ({}, False, False),
        ({"resnet.width": 64}, False, True),
        ({"resnet.width": 64}, True, False),
    ],
)
def test_a_full_size_network_without_weights_says_so(changes, resumed, warns, caplog):
    (stage,) = make_method(**changes).stages()
    with caplog.at_level(logging.WARNING):
        stage.before_stage(StageContext(resumed=resumed))
    assert ("RANDOM WEIGHTS" in caplog.text) == warns


@pytest.mark.parametrize(
    "changes", [{"resnet.depth": 50}, {"resnet.non_local": (2, 0, 0, 0)}, {"loss.tri": 1}]
)
def test_unknown_and_impossible_settings_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes)).split(".")[0]):
        make_method(**changes)
