from pathlib import Path

from tapetum.methods._x_reid_config import XReidConfig


def test_paper_defaults():
    config = XReidConfig()
    assert (config.backbone, config.height, config.width, config.frames) == ("ViT-B/16", 288, 144, 10)
    assert (config.memory_update, config.memory_momentum, config.temperature) == ("cross", 0.2, 0.05)
    assert (config.rebuild_memory_each_epoch, config.collaboration) == (False, "both")
    assert (config.sii_depth, config.sii_stride, config.lii_stride) == (2, 1, 2)
    assert (config.use_sii, config.use_lii, config.use_cii, config.mii_detach) == (True,) * 4
    assert (config.camera_embedding, config.freeze_patch_embed) == (True, True)
    assert (config.optim.algorithm, config.optim.lr, config.optim.weight_decay) == ("adam", 5e-6, 1e-4)
    assert (config.schedule.epochs, config.schedule.steps_per_epoch) == (60, 300)
    assert (config.schedule.milestones, config.schedule.decay) == ((30, 50), 0.1)
    assert (config.schedule.warmup_epochs, config.schedule.warmup_start) == (10, 0.1)
    assert (config.batches.identities, config.batches.tracklets) == (4, 2)
    assert (config.augment.pad, config.augment.erase_area, config.augment.channels) == (
        10,
        (0.02, 0.2),
        False,
    )
    assert config.loss.model_dump() == {"cpc": 1, "triplet": 1, "id": 0.25, "frame": 1, "cmcl": 1}
    assert (config.test_feature, config.test_sampling) == (("g", "p", "o"), "dense")


def test_the_released_preset_does_what_the_code_does(make_method):
    config = make_method(preset="released").config
    assert (config.memory_update, config.memory_momentum) == ("all", 0.1)
    assert (config.rebuild_memory_each_epoch, config.use_sii, config.use_lii, config.use_cii) == (
        *(True, True, False, False),
    )
    assert (config.schedule.epochs, config.schedule.milestones) == (30, (30, 50, 70))
    assert (config.optim.mii_classifier_factor, config.augment.pad) == (100, 0)
    paper = XReidConfig()
    assert config.schedule == paper.schedule.model_copy(update={"epochs": 30, "milestones": (30, 50, 70)})
    assert config.augment == paper.augment.model_copy(update={"pad": 0})
    assert (config.optim.lr, config.batches, config.loss) == (paper.optim.lr, paper.batches, paper.loss)


def test_documentation_names_every_switch():
    text = (Path(__file__).parents[4] / "docs" / "methods" / "x-reid.md").read_text(encoding="utf-8")
    own = set(XReidConfig.model_fields) - {"height", "width", "vision"}
    assert [name for name in sorted(own) if f"`{name}" not in text] == []
    for block in ("loss", "optim"):
        fields = XReidConfig.model_fields[block].annotation.model_fields
        assert [name for name in fields if name not in text] == []
