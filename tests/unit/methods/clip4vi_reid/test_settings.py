"""CLIP4VI-ReID: presets hold the documented numbers, the page names every switch."""

from pathlib import Path

import pytest

from tapetum.config import build_config
from tapetum.methods._clip4vi_config import Clip4ViReidConfig
from tapetum.methods.clip4vi_reid import CSDN, PAPER_VIT, Clip4ViReid

PAGE = Path(__file__).parents[4] / "docs" / "methods" / "clip4vi-reid.md"


def numbers(schedule):
    return (
        schedule.epochs,
        schedule.steps_per_epoch,
        schedule.warmup_epochs,
        pytest.approx(schedule.warmup_start),
        pytest.approx(schedule.final),
        schedule.milestones,
    )


def test_rn50_defaults_are_those_of_csdn_s_code():
    config = Clip4ViReidConfig()
    assert (config.height, config.width, config.frames) == (288, 144, 1)
    assert (config.prompt, config.prompt_tokens, config.pixel_norm) == (
        "A photo of a {} person.",
        4,
        "imagenet",
    )
    assert (config.tsg.optim.lr, config.tsg.optim.weight_decay, config.tsg.batch_size) == (3e-4, 1e-4, 64)
    assert numbers(config.tsg.schedule) == (60, "from-data", 5, 1e-5 / 3e-4, 1e-6 / 3e-4, None)
    assert (config.ife.optim.lr, config.ife.optim.weight_decay) == (3e-5, 1e-4)
    assert numbers(config.ife.schedule) == (20, "from-data", 2, 0.1, 1e-7 / 3e-5, None)
    assert (config.ife.batches.identities, config.ife.batches.tracklets) == (8, 8)
    optim = config.optim
    rates = [round(optim.lr * f, 9) for f in (1, optim.head_factor, optim.prompt_factor, optim.bias_factor)]
    assert (rates, optim.weight_decay) == ([3e-4, 6e-4, 3e-5, 3e-4], 5e-4)
    schedule = config.schedule
    assert (schedule.epochs, schedule.warmup_epochs, schedule.warmup_start) == (120, 10, 0.01)
    assert (schedule.milestones, schedule.decay, schedule.steps_per_epoch) == ((40, 70), 0.1, "from-data")
    assert (config.batches.identities, config.batches.tracklets) == (8, 4)
    assert (config.augment.exchanged_view, config.augment.pad, config.augment.erase) == (True, 10, 0.5)
    assert {o.algorithm for o in (optim, config.tsg.optim, config.ife.optim)} == {"adam"}
    assert (config.test_feature, config.normalise_parts) == (("bn_g", "f"), True)
    assert config.loss.model_dump() == {
        "id": 1,
        "msel": 1,
        "wrt": 0.15,
        "i2t_visible": 0.05,
        "i2t_infrared": 0.1,
        "contrast_visible": 0.05,
        "contrast_infrared": 0.1,
    }


def test_vit_numbers_are_those_of_clip_reid_s_code():
    config = build_config(Clip4ViReidConfig, PAPER_VIT)
    assert (config.backbone, config.pixel_norm, config.modality_stems) == ("ViT-B/16", "half", False)
    assert config.tsg.optim.lr == 3.5e-4
    assert numbers(config.tsg.schedule) == (120, "from-data", 5, 1e-5 / 3.5e-4, 1e-6 / 3.5e-4, None)
    assert config.ife.optim.lr == 5e-6
    assert numbers(config.ife.schedule) == (20, "from-data", 2, 0.1, 1e-7 / 5e-6, None)
    optim = config.optim
    rates = [round(optim.lr * f, 9) for f in (1, optim.head_factor, optim.prompt_factor, optim.bias_factor)]
    assert (rates, optim.weight_decay) == ([5e-6, 3.5e-4, 3.5e-5, 1e-5], 1e-4)
    schedule = config.schedule
    assert (schedule.epochs, schedule.warmup_epochs, schedule.warmup_start) == (60, 10, 0.1)
    assert schedule.milestones == (30, 50)
    assert (config.wrt_on, config.test_feature) == (("last", "g", "f"), ("g", "f"))
    assert not config.normalise_parts


def test_the_rival_has_two_learners_and_fixed_text_in_the_last_stage():
    config = build_config(Clip4ViReidConfig, CSDN)
    assert (config.text_from, config.use_ife, config.tunes_prompts) == ("bimodal", False, False)
    assert config.loss.contrast_visible == config.loss.contrast_infrared == 0
    assert config.csdn_stem
    assert config.neck_bias


def test_documentation_names_every_switch_and_preset():
    text = PAGE.read_text(encoding="utf-8")
    own = set(Clip4ViReidConfig.model_fields) - {"height", "width", "vision", "text", "template"}
    assert [name for name in sorted(own) if f"`{name}" not in text] == []
    for group in ("loss", "optim"):
        fields = Clip4ViReidConfig.model_fields[group].annotation.__annotations__
        assert [name for name in fields if f"`{group}.{name}`" not in text] == []
    assert [name for name in Clip4ViReid.presets if f"`{name}`" not in text] == []
