import pytest
import torch
from pydantic import BaseModel

from tapetum.errors import ConfigError
from tapetum.methods._mun_config import MunConfig
from tapetum.methods._two_stream import TwoStreamConfig
from tapetum.types import Modality


@pytest.fixture
def observe(make_batch):
    """(method) -> what a configuration may change, after one update."""

    def look(method):
        (stage,) = method.stages()
        stage.step(make_batch(5))
        with torch.no_grad():
            for name, p in sorted(method.named_parameters()):
                p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(len(name))))
        losses = stage.step(make_batch(3))
        stage.total(losses).backward()
        body = method.network.body.layer2[0].conv1.weight.grad
        method.eval()
        with torch.no_grad():
            embedding = method.encode(make_batch().clips[:2], modality=Modality.VISIBLE)
        return {
            "losses": {n: round(stage.loss_weights.get(n, 1.0) * v.item(), 6) for n, v in losses.items()},
            "gradient": [round(x, 7) for x in body.flatten().tolist()],
            "parts": [(n, tuple(p.shape)) for n, p in method.named_parameters()],
            "embedding": [round(x, 5) for x in embedding.flatten().tolist()],
            "groups": [(g.name, len(g.parameters), g.lr, g.weight_decay) for g in stage.parameter_groups()],
            "settings": (stage.batches, stage.augment, stage.schedule, stage.optim),
        }

    return look


ASSIGNED = {"ma_reading": "assignments"}
SWITCHES = [
    *[({}, {"auxiliary": kind}, "losses gradient parts") for kind in ("pixels", "mmn")],
    ({"ma_pairs": "direct"}, {"auxiliary": "none"}, "losses gradient parts"),
    ({}, {"auxiliary_level": "feature"}, "losses gradient parts"),
    ({}, {"use_iml": False}, "losses gradient parts"),
    ({}, {"use_cml": False}, "losses gradient parts"),
    ({}, {"generator_width": 4}, "losses parts"),
    ({}, {"iml_kernels": (3, 5)}, "losses parts"),
    ({}, {"cml_grids": ((1, 1), (3, 3))}, "losses parts"),
    ({}, {"layer_scale": "scalar"}, "losses parts"),
    ({}, {"layer_scale_init": 0.5}, "losses gradient"),
    ({}, {"tie_layer_scales": True}, "losses parts"),
    ({}, {"pixel_skip": False}, "losses gradient"),
    ({}, {"own_stem": False}, "losses gradient parts"),
    ({}, {"ia_margin": 2.0}, "losses"),
    ({"ia_margin": 8.0}, {"ia_anchors": "auxiliary"}, "losses gradient"),
    ({}, {"triplet_unit": True}, "losses gradient"),
    ({}, {"triplet_on": "after"}, "losses gradient"),
    ({}, {"ma_reading": "moments"}, "losses gradient"),
    ({}, {"ma_reading": "assignments"}, "losses gradient"),
    ({}, {"ma_momentum": 0.0}, "losses gradient"),
    ({}, {"ma_momentum": 0.5}, "losses gradient"),
    ({}, {"ma_pairs": "direct"}, "losses gradient"),
    (ASSIGNED, {"ma_pairs": "direct"}, "losses gradient"),
    (ASSIGNED, {"ma_temperature": 0.5}, "losses gradient"),
    ({}, {"sample_triplet": True}, "losses gradient"),
    ({}, {"label_smooth": 0.2}, "losses gradient"),
    *[({}, {f"loss.{name}": 0.0}, "losses gradient") for name in ("id", "ia", "ma")],
    *[({}, {f"loss.{name}": 2.0}, "losses gradient") for name in ("id", "ia", "ma")],
    ({}, {"gem_p": 1.0}, "losses embedding"),
    ({}, {"neck_feature": "before"}, "embedding"),
    ({}, {"optim.generator_factor": 3.0}, "groups"),
    ({}, {"optim.backbone_factor": 1.0}, "groups"),
    ({}, {"optim.lr": 1.0}, "groups"),
    ({}, {"optim.weight_decay": 1.0}, "groups"),
    ({}, {"batches.tracklets": 3}, "settings"),
    ({}, {"augment.exchanged_view": True}, "settings"),
    ({}, {"schedule.milestones": None}, "settings"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "flipped", "expected"), SWITCHES, ids=lambda x: str(x) or "-")
def test_every_switch_acts(make_method, observe, base, flipped, expected):
    first, second = make_method(**base), make_method(seed=1, **{**base, **flipped})
    weights, own = first.state_dict(), second.state_dict()
    shared = {n: weights[n] for n, w in own.items() if n in weights and weights[n].shape == w.shape}
    if "layer_scale_init" in flipped:
        shared = {n: w for n, w in shared.items() if "scales" not in n}
    second.load_state_dict(shared, strict=False)
    before, after = observe(first), observe(second)
    for what in expected.split():
        assert before[what] != after[what], what


def test_the_table_of_switches_is_complete():
    shared = set(TwoStreamConfig.model_fields) - {"optim", "batches", "augment", "schedule"}
    flipped = {key.split(".")[0] for _, change, _ in SWITCHES for key in change}
    assert set(MunConfig.model_fields) - shared - flipped == set()
    nested = MunConfig.model_fields["loss"].annotation
    assert issubclass(nested, BaseModel)
    assert {key for _, change, _ in SWITCHES for key in change if key.startswith("loss.")} == {
        f"loss.{name}" for name in nested.model_fields
    }


ABLATIONS = {
    "baseline": (
        {"auxiliary": "none", "loss.ia": 0, "loss.ma": 0, "sample_triplet": True},
        {"id", "triplet"},
    ),
    "pixels": (
        {"auxiliary": "pixels", "loss.ia": 0, "loss.ma": 0, "sample_triplet": True},
        {"id", "triplet"},
    ),
    "iml": ({"use_cml": False, "loss.ia": 0, "loss.ma": 0, "sample_triplet": True}, {"id", "triplet"}),
    "cml": ({"use_iml": False, "loss.ia": 0, "loss.ma": 0, "sample_triplet": True}, {"id", "triplet"}),
    "both": ({"loss.ia": 0, "loss.ma": 0, "sample_triplet": True}, {"id", "triplet"}),
    "with L_ia": ({"loss.ma": 0}, {"id", "ia"}),
    "with L_ma": ({"loss.ia": 0, "sample_triplet": True}, {"id", "ma", "triplet"}),
    "full": ({}, {"id", "ia", "ma"}),
    "MMN": ({"auxiliary": "mmn"}, {"id", "ia", "ma"}),
    "no accumulation": ({"ma_momentum": 0}, {"id", "ia", "ma"}),
    "no bridge": ({"ma_pairs": "direct"}, {"id", "ia", "ma"}),
}


def test_every_row_of_the_ablation_runs_and_differs(make_method, run_steps, make_batch):
    seen = set()
    for name, (changes, losses) in ABLATIONS.items():
        method = make_method(**changes)
        stage, found = run_steps(method, make_batch(0), make_batch(1))
        assert set(found) == losses, name
        total = stage.total(found)
        total.backward()
        assert all(p.grad is not None for p in method.parameters() if p.requires_grad), name
        seen.add(round(total.item(), 6))
    assert len(seen) == len(ABLATIONS)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"use_iml": False, "use_cml": False}, "without use_iml and use_cml learns nothing"),
        ({"auxiliary": "mmn", "auxiliary_level": "feature"}, "auxiliary=mmn makes pictures"),
        ({"auxiliary": "none"}, r"there is no bridge: set ma_pairs=direct or loss\.ma=0"),
        ({"auxiliary": "none", "loss.ma": 0, "ia_anchors": "auxiliary"}, "it has no centres"),
        ({"ma_momentum": 1.0}, "ma_momentum"),
        ({"ma_tau": 1.0}, "unknown key 'ma_tau'"),
        ({"weights": "stand-in"}, "small CLIP"),
    ],
)
def test_contradictions_are_refused(make_method, overrides, message):
    with pytest.raises(ConfigError, match=message):
        make_method(**overrides)
