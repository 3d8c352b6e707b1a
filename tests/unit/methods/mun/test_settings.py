from pathlib import Path

import pytest

from tapetum.methods import create_method
from tapetum.methods._mun_config import MunConfig, MunLossConfig, MunOptimConfig
from tapetum.methods._two_stream import TwoStreamConfig, TwoStreamOptimConfig
from tapetum.training.schedule import rate_factor


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_recipe():
    config = MunConfig()
    assert (config.height, config.width, config.frames) == (288, 144, 1)
    assert (config.resnet.layers, config.resnet.last_stride) == ((3, 4, 6, 3), 1)
    assert config.resnet.non_local == (0, 0, 0, 0)
    assert (config.gem_p, config.gem_trains, config.neck_feature) == (3, False, "after")
    assert (config.batches.identities, config.batches.tracklets) == (8, 4)
    optim = config.optim
    assert (optim.algorithm, optim.momentum, optim.nesterov, optim.weight_decay) == ("sgd", 0.9, True, 5e-4)
    assert (optim.lr, optim.backbone_factor, optim.generator_factor) == (0.1, 0.1, 1)
    augment = config.augment
    assert (augment.pad, augment.flip, augment.erase, augment.erase_area) == (10, 0.5, 0.5, (0.02, 0.4))
    assert (augment.channels, augment.exchanged_view, augment.erase_colour) == (True, False, "mean")
    assert config.loss.model_dump() == {"id": 1, "ia": 1, "ma": 0.5}
    assert (config.ia_margin, config.ma_momentum, config.layer_scale_init) == (0.3, 0.9, 0.1)
    assert (config.schedule.epochs, config.schedule.steps_per_epoch) == (100, "from-data")


def test_rates_rise_over_ten_epochs_and_fall_twice():
    schedule = MunConfig().schedule.model_copy(update={"steps_per_epoch": 2})
    for epoch in range(100):
        expected = (epoch + 1) / 10 if epoch < 10 else 1 if epoch < 20 else 0.1 if epoch < 50 else 0.01
        assert rate_factor(schedule, 2 * epoch + 1, 200) == pytest.approx(expected), epoch


def test_groups_of_parameters_and_what_does_not_decay():
    method = create_method("mun", num_identities=4, num_cameras=1, preset="tiny")
    method.config = MunConfig(**{**method.config.model_dump(), "optim": {}})
    (stage,) = method.stages()
    groups = {group.name: group for group in stage.parameter_groups()}
    rates = {name: (group.lr, group.weight_decay) for name, group in groups.items()}
    assert rates == {
        "neck": (0.1, 5e-4),
        "backbone": (pytest.approx(0.01), 5e-4),
        "generator": (0.1, 5e-4),
        "layer_scales": (0.1, 0.0),
    }
    assert {id(p) for p in groups["layer_scales"].parameters} == {
        id(p) for p in method.generator.scales.parameters()
    }
    declared = sum(p.numel() for group in groups.values() for p in group.parameters)
    assert declared == count(method) - method.network.neck.norm.bias.numel()


def test_the_generator_s_size_and_the_baseline_s_network():
    method = create_method("mun", num_identities=4, num_cameras=1, preset="tiny")
    agw = create_method("agw", num_identities=4, num_cameras=1, preset="tiny")
    assert count(method.generator) == 13_315
    third = count(method.network.stems.stems["auxiliary"])
    assert count(method) - 13_315 - third == count(agw)
    assert method.config.batches == agw.config.batches
    assert method.config.schedule == agw.config.schedule


def test_documentation_names_every_switch():
    text = (Path(__file__).parents[4] / "docs" / "methods" / "mun.md").read_text(encoding="utf-8")
    own = set(MunConfig.model_fields) - set(TwoStreamConfig.model_fields)
    assert [name for name in sorted(own) if f"`{name}" not in text] == []
    nested = {"loss": MunLossConfig, "optim": MunOptimConfig}
    for block, kind in nested.items():
        fields = set(kind.model_fields) - set(TwoStreamOptimConfig.model_fields)
        assert [name for name in sorted(fields) if f"`{block}.{name}`" not in text] == []
