"""Every switch acts."""

import pytest
import torch
from pydantic import BaseModel

from tapetum.errors import ConfigError
from tapetum.methods._x_reid_config import XReidConfig


@pytest.fixture
def observe(run_step, make_batch):
    """(method) -> what a configuration may change: losses, gradients, memories, embeddings, settings."""

    def look(method):
        stage, losses = run_step(method)
        stage.total(losses).backward()
        memory = method.network.memory
        tower = method.network.visual.blocks[0].mlp.expand.weight.grad
        method.eval()
        with torch.no_grad():
            embedding = method.encode(make_batch().clips[:4], camera_ids=[0, 1, 2, 0])
        frozen = [n for n, p in method.named_parameters() if not p.requires_grad]
        return {
            "losses": {n: round(stage.loss_weights[n] * v.item(), 6) for n, v in losses.items()},
            "tower": [round(x, 6) for x in tower.flatten().tolist()],
            "memories": [] if memory is None else [b.sum().item() for b in memory.buffers()],
            "embedding": [round(x, 5) for x in embedding.flatten().tolist()],
            "groups": [(g.name, len(g.parameters), g.lr, g.weight_decay) for g in stage.parameter_groups()],
            "settings": (stage.batches, stage.augment, stage.schedule, stage.optim),
            "frozen": frozen,
            "checkpointing": method.network.visual.gradient_checkpointing,
        }

    return look


@pytest.fixture
def twins(make_method):
    """(settings, changes) -> two methods that differ in these alone; weights that both have are equal."""

    def make(base, flipped):
        first, second = make_method(**base), make_method(seed=1, **{**base, **flipped})
        weights = first.state_dict()
        shared = {
            n: weights[n]
            for n, w in second.state_dict().items()
            if n in weights and weights[n].shape == w.shape
        }
        second.load_state_dict(shared, strict=False)
        return first, second

    return make


FREE = {"mii_detach": False}
SWITCHES = [
    ({}, {"freeze_patch_embed": False}, "frozen groups"),
    ({}, {"gradient_checkpointing": True}, "checkpointing"),
    ({}, {"camera_embedding": False}, "losses embedding"),
    ({}, {"memory_feature": "projected"}, "losses memories"),
    ({}, {"memory_update": "all"}, "memories"),
    ({}, {"memory_update": "intra"}, "memories"),
    ({}, {"memory_momentum": 0.7}, "memories"),
    ({}, {"memory_share": 0.5}, "losses memories"),
    ({}, {"memory_precision": "bf16"}, "memories"),
    ({}, {"collaboration": "own"}, "losses tower"),
    ({}, {"temperature": 0.1}, "losses tower"),
    ({}, {"use_sii": False}, "losses embedding"),
    ({}, {"sii_depth": 1}, "losses embedding"),
    ({}, {"sii_stride": 2}, "losses embedding"),
    ({}, {"use_lii": False}, "losses embedding"),
    ({}, {"lii_stride": 1}, "losses embedding"),
    ({}, {"use_cii": False}, "losses"),
    ({}, {"mii_detach": False}, "tower"),
    ({"use_sii": False, "use_lii": False, **FREE}, {"use_cii": False}, "losses tower"),
    ({}, {"triplet_margin": None}, "losses"),
    *[({}, {f"loss.{name}": 0.0}, "losses tower") for name in ("cpc", "triplet", "id", "frame")],
    *[({}, {f"loss.{name}": 2.0}, "losses tower") for name in ("cpc", "triplet", "id", "frame")],
    (FREE, {"loss.cmcl": 0.5}, "losses tower"),
    ({}, {"test_feature": ("g", "o")}, "embedding"),
    ({}, {"optim.lr": 1.0}, "groups"),
    ({}, {"optim.weight_decay": 1.0}, "groups"),
    *[({}, {f"optim.{name}_factor": 3.0}, "groups") for name in ("mii_classifier", "classifier", "bias")],
    *[({}, {f"optim.{name}_factor": 3.0}, "groups") for name in ("mii_bias", "mii")],
    ({}, {"optim.algorithm": "adamw"}, "settings"),
    ({}, {"optim.momentum": 0.5}, "settings"),
    ({}, {"optim.nesterov": False}, "settings"),
    ({}, {"optim.betas": (0.8, 0.9)}, "settings"),
    ({}, {"optim.grad_clip": 1.0}, "settings"),
    ({}, {"batches.tracklets": 3}, "settings"),
    ({}, {"augment.erase_colour": "mean"}, "settings"),
    ({}, {"schedule.milestones": None}, "settings"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "flipped", "expected"), SWITCHES, ids=lambda x: str(x) or "-")
def test_every_switch_acts(observe, twins, base, flipped, expected):
    first, second = twins(base, flipped)
    before, after = observe(first), observe(second)
    for what in expected.split():
        assert before[what] != after[what], what
    if flipped in ({"gradient_checkpointing": True}, {"freeze_patch_embed": False}):
        assert before["losses"] == after["losses"]
        assert before["tower"] == after["tower"]


def test_the_table_of_switches_is_complete():
    elsewhere = {"height", "width", "frames", "test_sampling", "weights", "backbone", "vision"}
    own_tests = {"unknown_camera", "rebuild_memory_each_epoch"}
    flipped = {key.split(".")[0] for _, change, _ in SWITCHES for key in change}
    assert set(XReidConfig.model_fields) - elsewhere - own_tests == flipped
    for block in ("loss", "optim"):
        nested = XReidConfig.model_fields[block].annotation
        assert issubclass(nested, BaseModel)
        named = {
            key.split(".")[1] for _, change, _ in SWITCHES for key in change if key.startswith(f"{block}.")
        }
        assert set(nested.model_fields) == named


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"loss": {"cmcl": 0}}, r"use_cii acts through loss\.cmcl alone"),
        ({"use_sii": False, "use_lii": False}, "would train nothing but itself: set mii_detach=false"),
        (
            {"use_sii": False, "use_lii": False, "use_cii": False, "test_feature": ("o",)},
            r"test_feature=\[o\] needs use_sii or use_lii",
        ),
        ({"memory_updat": "all"}, "did you mean 'memory_update'"),
        ({"memory_share": 0}, "memory_share"),
        ({"prompt": "a {}"}, "unknown key 'prompt'"),
    ],
)
def test_contradictions_are_refused(make_method, overrides, message):
    with pytest.raises(ConfigError, match=message):
        make_method(**overrides)


def test_a_camera_embedding_needs_cameras(make_method):
    with pytest.raises(ConfigError, match="camera_embedding needs known cameras"):
        make_method(cameras=0)
    make_method(cameras=0, camera_embedding=False)
