from dataclasses import replace

import pytest
import torch

from tapetum.errors import ConfigError, DataError
from tapetum.training.config import TrainingConfig
from tapetum.training.devices import create_fabric
from tapetum.training.learner import Learner
from tapetum.training.optim import merge_groups
from tapetum.training.timing import StepTimer


@pytest.fixture
def make_learner(make_method):
    """(changes) -> a method, and what trains it."""

    def make(**changes):
        method = make_method(**changes)
        (stage,) = method.stages()
        groups = merge_groups(stage.parameter_groups(), stage.name)
        fabric = create_fabric(TrainingConfig(device="cpu", precision="32-true"))
        return method, Learner(fabric, method, stage, groups, 10)

    return make


def as_read(batch):
    """The batch as the loader gives it."""
    return replace(batch, clips=(batch.clips * 40 + 120).clamp(0, 255).byte())


def test_sgd_with_its_groups_makes_steps(make_learner, make_batch):
    method, learner = make_learner(**{"schedule.steps_per_epoch": 5})
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    for number in range(2):
        learner.step(as_read(make_batch(number)), number, StepTimer(), with_norm=True)
    assert torch.isfinite(learner.gradient_norm)
    still = [n for n, p in method.named_parameters() if torch.equal(p, before[n]) and p.requires_grad]
    assert still == []


def test_a_batch_that_does_not_pair_never_reaches_the_device(make_learner, make_batch):
    method, learner = make_learner()
    batch = as_read(make_batch())
    batch.labels[0] = 2
    before = [tensor.clone() for tensor in method.state_dict().values()]
    with pytest.raises(DataError, match=r"row 0 of the batch pairs label 2 \(visible\) with label 4"):
        learner.step(batch, 0, StepTimer(), with_norm=False)
    assert all(torch.equal(a, b) for a, b in zip(before, method.state_dict().values(), strict=True))


# --- deeper stems, as DNS has them


def test_layers_move_behind_each_stem(make_method, make_batch):
    shallow, deep = make_method(), make_method(stem_layers=2)
    stems = deep.network.stems.stems
    assert [name for name, _ in stems["auxiliary"].named_children()] == ["stem", "layer1", "layer2"]
    assert [name for name, _ in deep.network.body.named_children() if "layer" in name] == ["layer3", "layer4"]
    for name in ("stem", "layer1", "layer2"):
        source = (
            shallow.network.stems.stems["visible"] if name == "stem" else getattr(shallow.network.body, name)
        )
        for stem in stems.values():
            for p, q in zip(source.parameters(), stem.get_submodule(name).parameters(), strict=True):
                assert torch.equal(p, q)
    clips = make_batch().clips[:2]
    with torch.inference_mode():
        embeddings = [m.eval().encode(clips, modality="visible") for m in (shallow, deep)]
    torch.testing.assert_close(*embeddings)
    (stage,) = deep.train().stages()
    stage.total(stage.step(make_batch())).backward()
    assert all(p.grad is not None for p in deep.parameters() if p.requires_grad)
    assert deep.training_parts[-1] == "network.stems.stems.auxiliary"


def test_features_of_deeper_stems_are_fused_at_their_width(make_method, make_batch):
    method = make_method(stem_layers=1, auxiliary_level="feature")
    assert method.generator.width == method.config.stem_channels == 32
    (stage,) = method.stages()
    assert torch.isfinite(stage.total(stage.step(make_batch())))


def test_non_local_blocks_must_be_shared(make_method):
    resnet = {"layers": (1, 1, 1, 1), "width": 8, "non_local": (0, 1, 1, 0)}
    with pytest.raises(ConfigError, match="stem_layers = 2: non-local blocks belong to layers that all"):
        make_method(resnet=resnet, stem_layers=2)
    assert make_method(resnet=resnet, stem_layers=1).network.body.non_local.keys() == {"layer2", "layer3"}


def test_the_recipe_of_the_same_laboratory(make_method):
    method = make_method(preset="dns")
    config = method.config
    assert (config.stem_layers, config.batches.identities, config.batches.tracklets) == (2, 6, 4)
    groups = {group.name: group for group in method.stages()[0].parameter_groups()}
    rates = {name: round(group.lr, 6) for name, group in groups.items()}
    assert rates == {
        **{"neck": 0.2, "layer3": 0.04, "layer4": 0.05, "backbone": 0.02},
        **{"generator": 0.2, "layer_scales": 0.2},
    }
    assert {id(p) for p in groups["layer3"].parameters} == {
        id(p) for p in method.network.body.layer3.parameters()
    }
    schedule = config.schedule
    assert (schedule.warmup_epochs, schedule.fall, schedule.final, schedule.per_step) == (
        16,
        "linear",
        0,
        True,
    )
