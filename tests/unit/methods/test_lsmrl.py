from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from tapetum.errors import ConfigError
from tapetum.methods._base import StageContext, create_method
from tapetum.methods._lsmrl_config import LsmrlConfig
from tapetum.types import Batch

SMALL = {
    "weights": "none",
    "height": 48,
    "width": 24,
    "frames": 4,
    "vision": {
        "width": 32,
        "layers": 4,
        "heads": 2,
        "patch_size": 8,
        "image_size": (48, 24),
        "output_dim": 16,
    },
    "text": {"vocab_size": 20, "context_length": 12, "width": 16, "layers": 2, "heads": 2},
    "stfl_split": (1, 1, 2),
    "stg_groups": 3,
    "stg_frame_groups": 2,
}
LABELS = torch.tensor([4, 4, 1, 1, 0, 0])


def make_method(name="lsmrl", seed=0, **overrides):
    torch.manual_seed(seed)
    return create_method(
        name,
        num_identities=6,
        num_cameras=2,
        preset="paper",
        **{**SMALL, "prompt": "a {} person", **overrides},
    )


def make_batch(seed=0, frames=4):
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(12, frames, 3, 48, 24, generator=generator)
    cameras = torch.zeros(12, dtype=torch.long)
    return Batch(clips, torch.cat([LABELS, LABELS]), torch.arange(12) >= 6, cameras, seed=seed)


def training_set():
    batch = make_batch(seed=5)
    yield from (
        replace(batch, clips=batch.clips[rows], labels=batch.labels[rows])
        for rows in torch.arange(12).split(5)
    )


CONTEXT = StageContext(iterate_training_set=training_set)


def run_step(method, stage=None, batch=None):
    stage = stage or method.stages()[-1]
    method.train()
    return stage, stage.step(batch or make_batch())


# --- what a step does


def test_one_step_gives_every_trainable_parameter_a_finite_gradient_and_the_text_tower_none():
    method = make_method()
    stage, losses = run_step(method)
    stage.total(losses).backward()
    trained = [p for group in stage.parameter_groups() for p in group.parameters]
    assert len({id(p) for p in trained}) == len(trained)
    assert {id(p) for p in trained} == {id(p) for p in method.parameters() if p.requires_grad}
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)
    assert method.network.prompts.tokens.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in method.network.text.parameters())


def test_losses_are_float32_scalars_with_the_documented_weights():
    stage, losses = run_step(make_method())
    assert {name: stage.loss_weights[name] for name in losses} == {
        **dict.fromkeys(["id_f", "id_f_p", "id_g", "wrt_f_last", "wrt_f", "wrt_f_p", "wrt_g"], 1.0),
        "v2t": 0.08,
        "msel_g": 0.5,
        "dcl_g": 0.5,
    }
    assert all(v.shape == () and v.dtype is torch.float32 for v in losses.values())


def test_losses_stay_float32_and_close_under_autocast():
    method = make_method()
    plain = run_step(method)[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run_step(method)[1]
    for name, value in plain.items():
        assert half[name].dtype is torch.float32
        assert half[name].item() == pytest.approx(value.item(), rel=0.1, abs=0.02)


def test_parameter_groups_have_the_factors_of_the_predecessor_s_code():
    method = make_method(optim={"lr": 1e-5, "head_factor": 25, "bias_factor": 25, "module_factor": 10})
    groups = {group.name: group for group in method.stages()[0].parameter_groups()}
    assert {name: round(group.lr / 1e-5) for name, group in groups.items()} == {
        "heads": 25,
        "biases": 25,
        "modules": 10,
        "tower": 1,
    }
    names = {id(p): name for name, p in method.named_parameters()}
    members = {kind: [names[id(p)] for p in group.parameters] for kind, group in groups.items()}
    assert "network.prompts.tokens" in members["heads"]
    assert sum("classifier" in name for name in members["heads"]) == 3
    assert all("bias" in name for name in members["biases"])
    assert "network.encoder.visual.blocks.0.attn.out.bias" in members["biases"]
    assert all(name.startswith(("network.diffusion", "network.interaction")) for name in members["modules"])
    assert all(name.startswith("network.encoder") for name in members["tower"])


def test_a_step_is_a_function_of_the_batch_s_seed():
    method = make_method()
    stage = method.stages()[0]
    first, again = (run_step(method, stage, make_batch())[1] for _ in range(2))
    other = run_step(method, stage, replace(make_batch(), seed=99))[1]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["wrt_g"], other["wrt_g"])


def test_training_lowers_the_loss():
    method = make_method()
    stage = method.stages()[0]
    optimiser = torch.optim.AdamW(
        [{"params": g.parameters, "lr": g.lr * 10} for g in stage.parameter_groups()]
    )
    history = []
    for _ in range(12):
        loss = stage.total(run_step(method, stage)[1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < 0.8 * history[0]


def test_swapping_the_modalities_swaps_the_interacted_features():
    network = make_method().eval().network
    batch = make_batch()
    with torch.no_grad():
        tokens = network.diffuse(network.encode_frames(batch.clips), network.text_bank)
        visible, infrared = tokens[:6], tokens[6:]
        one = network.interact(torch.cat([visible, infrared]), torch.cat([infrared, visible]))
        two = network.interact(torch.cat([infrared, visible]), torch.cat([visible, infrared]))
    assert torch.allclose(one, two.roll(6, 0), atol=1e-6)


# --- what encoding does


def test_test_feature_is_made_of_normalised_parts():
    method = make_method().eval()
    batch = make_batch()
    parts = {}
    for name in ("f", "f_p", "g"):
        method.config = method.config.model_copy(update={"test_feature": (name,)})
        parts[name] = method.encode(batch.clips)
        assert parts[name].shape == (12, method.embedding_dim)
    method.config = method.config.model_copy(update={"test_feature": ("f", "g")})
    both = method.encode(batch.clips)
    assert method.embedding_dim == 48
    assert torch.allclose(both, torch.cat([parts["f"], parts["g"]], dim=1) / 2**0.5, atol=1e-6)
    assert not torch.allclose(parts["f_p"], parts["g"], atol=1e-3)


def test_encoding_needs_no_text_tower_once_trained():
    method = make_method().eval()
    method.stages()[0].before_stage(CONTEXT)
    expected = method.encode(make_batch().clips)
    method.network.text = None
    method.network.prompts = None
    assert torch.equal(method.encode(make_batch().clips), expected)


def test_text_bank_follows_the_prompts():
    method = make_method()
    network, stage = method.network, method.stages()[0]
    assert not network.text_bank.any()
    stage.before_stage(CONTEXT)
    assert torch.allclose(network.text_bank, network.text_features())
    with torch.no_grad():
        network.prompts.tokens.add_(1)
    run_step(method, stage)
    assert torch.allclose(network.text_bank, network.text_features())
    with torch.no_grad():
        network.prompts.tokens.add_(1)
    stage.after_stage(CONTEXT)
    assert torch.allclose(network.text_bank, network.text_features())
    assert not network.text_bank.requires_grad


@pytest.mark.parametrize("shape", [(2, 3, 48, 24), (2, 4, 1, 48, 24)])
def test_clips_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"clips of shape .*: expected"):
        make_method().encode(torch.zeros(shape))


def test_frames_of_another_size_are_refused():
    with pytest.raises(ValueError, match="96x48"):
        make_method().encode(torch.zeros(1, 4, 3, 96, 48))


# --- two stages


def test_prompts_first_then_the_network():
    method = make_method(prompt_stage="two-stage")
    prompts, network = method.stages()
    assert [prompts.name, network.name] == ["prompts", "network"]
    assert (prompts.reads_frames, network.reads_frames) == (False, True)
    (group,) = prompts.parameter_groups()
    assert [p.shape for p in group.parameters] == [(6, 4, 16)]
    others = {id(p) for g in network.parameter_groups() for p in g.parameters}
    assert id(method.network.prompts.tokens) not in others


def test_prompt_stage_learns_from_cached_features_and_moves_nothing_else():
    method = make_method(prompt_stage="two-stage", **{"prompt_learning.batch_size": 8})
    stage = method.stages()[0]
    method.train()
    stage.before_stage(CONTEXT)
    assert method.training
    empty = replace(make_batch(), clips=torch.empty(0), labels=torch.empty(0, dtype=torch.long))
    losses = stage.step(empty)
    again, other = stage.step(empty), stage.step(replace(empty, seed=1))
    assert set(losses) == {"v2t", "t2v"}
    assert torch.equal(losses["v2t"], again["v2t"])
    assert not torch.equal(losses["v2t"], other["v2t"])
    stage.total(losses).backward()
    moved = {name for name, p in method.named_parameters() if p.grad is not None}
    assert moved == {"network.prompts.tokens"}
    stage.after_stage(CONTEXT)
    assert torch.allclose(method.network.text_bank, method.network.text_features())


def test_network_stage_leaves_finished_prompts_alone():
    method = make_method(prompt_stage="two-stage")
    stage = method.stages()[1]
    stage.before_stage(CONTEXT)
    bank = method.network.text_bank.clone()
    stage.total(run_step(method, stage)[1]).backward()
    assert method.network.prompts.tokens.grad is None
    assert torch.equal(method.network.text_bank, bank)


def test_prompt_stage_without_a_training_set_or_before_its_hook_says_so():
    stage = make_method(prompt_stage="two-stage").stages()[0]
    with pytest.raises(RuntimeError, match="training set"):
        stage.before_stage(StageContext())
    with pytest.raises(RuntimeError, match="before_stage"):
        stage.step(make_batch())


# --- every switch acts


def observe(method):
    """What a configuration may change: losses of a step, gradients of prompts, embeddings, stages."""
    stages = method.stages()
    stages[-1].before_stage(CONTEXT)
    stage, losses = run_step(method, stages[-1], make_batch(seed=2))  # seed 0 happens to draw no new partner
    stage.total(losses).backward()
    prompts = method.network.prompts
    gradient = None if prompts is None or prompts.tokens.grad is None else prompts.tokens.grad.sum().item()
    weighted = {name: round(stage.loss_weights[name] * v.item(), 6) for name, v in losses.items()}
    groups = [(g.name, len(g.parameters), g.lr, g.weight_decay) for s in stages for g in s.parameter_groups()]
    settings = [
        (s.name, s.batches, s.augment, s.schedule, s.optim, getattr(s, "batch_size", None)) for s in stages
    ]
    method.eval()
    with torch.no_grad():
        embedding = [round(x, 5) for x in method.encode(make_batch().clips).flatten().tolist()]
    checkpointing = method.network.encoder.visual.gradient_checkpointing
    return {
        "losses": weighted,
        "prompts": gradient,
        "embedding": embedding,
        "groups": groups,
        "settings": settings,
        "checkpointing": checkpointing,
    }


def twins(base, flipped, stretch=1.0):
    """Two methods that differ in configuration alone: weights that both have are equal, but for scales."""
    first, second = make_method(**base), make_method(seed=1, **{**base, **flipped})
    weights = {n: w for n, w in first.state_dict().items() if not n.endswith("_scale")}
    names = [n for n, w in second.state_dict().items() if n in weights and weights[n].shape == w.shape]
    shared = {name: weights[name] for name in names}
    second.load_state_dict(shared, strict=False)
    for method in (first, second):
        method.network.encoder.visual.ln_post.weight.data.mul_(stretch)
    return first, second


TWO = {"prompt_stage": "two-stage"}
SWITCHES = [
    ({}, {"stfl_split": (2, 1, 1)}, "losses embedding"),
    ({}, {"stg_mode": "head_split"}, "losses embedding"),
    ({}, {"stg_mode": "frame_group"}, "losses embedding"),
    ({}, {"stg_groups": 2}, "losses embedding"),
    ({"stg_mode": "frame_group"}, {"stg_frame_groups": 1}, "losses embedding"),
    ({}, {"tps_pattern": "short"}, "losses embedding"),
    ({}, {"tps_alternate": True}, "losses embedding"),
    ({}, {"temporal_pos": "learned"}, "groups"),
    ({}, {"freeze_patch_embed": True}, "groups"),
    ({}, {"gradient_checkpointing": True}, "checkpointing"),
    ({}, {"prompt": "one {} two three"}, "losses"),
    ({}, {"prompt_tokens": 2}, "losses"),
    ({}, TWO, "settings groups"),
    ({}, {"sd_mode": "pooled_prompt"}, "losses embedding"),
    ({}, {"sd_mode": "token_concat"}, "losses embedding"),
    ({}, {"sd_mode": "none"}, "losses embedding groups"),
    ({}, {"sd_tokens": "all"}, "losses embedding"),
    ({}, {"sd_detach_text": False}, "prompts"),
    ({}, {"sd_at_test": False}, "embedding"),
    ({}, {"sd_scale": 0.5}, "losses embedding"),
    ({}, {"cmi_kv": "other"}, "losses"),
    ({}, {"cmi_kv": "none"}, "losses embedding groups"),
    ({"cmi_self_prob": 0.0, "cmi_scale": 1.0}, {"cmi_shuffle": False}, "losses"),
    ({}, {"cmi_self_prob": 0.0}, "losses"),
    ({}, {"cmi_test": "bypass"}, "embedding"),
    ({}, {"cmi_scale": 0.5}, "losses embedding"),
    *[({}, {f"loss.{name}": 0}, "losses") for name in ("id", "wrt", "msel", "dcl")],
    ({"sd_detach_text": False}, {"loss.v2t": 0}, "losses"),
    *[({}, {f"loss.{name}": 3.0}, "losses") for name in ("id", "wrt", "v2t", "t2v", "msel", "dcl")],
    *[({}, {f"loss.{name}": 1.0}, "losses") for name in ("xmod_nce", "mma", "cmcl", "center_align", "mmd")],
    ({}, {"label_smooth": 0.2}, "losses"),
    ({}, {"wrt_compat": True}, "losses"),
    ({}, {"msel_norm": True}, "losses"),
    ({}, {"neck_feature": "after"}, "losses embedding"),
    ({}, {"modality_on": ("g", "f")}, "losses"),
    ({"cmi_test": "bypass"}, {"test_feature": ("g",)}, "embedding"),
    ({}, {"optim.lr": 1.0}, "groups"),
    ({}, {"optim.weight_decay": 1.0}, "groups"),
    ({}, {"optim.head_factor": 2.0}, "groups"),
    ({}, {"optim.bias_factor": 2.0}, "groups"),
    ({}, {"optim.module_factor": 2.0}, "groups"),
    ({}, {"optim.betas": (0.8, 0.9)}, "settings"),
    ({}, {"optim.grad_clip": 1.0}, "settings"),
    ({}, {"batches.tracklets": 3}, "settings"),
    ({}, {"augment.flip": 0.1}, "settings"),
    ({}, {"schedule.epochs": 3}, "settings"),
    (TWO, {"prompt_learning.batch_size": 3}, "settings"),
    (TWO, {"prompt_learning.optim.lr": 1.0}, "groups"),
    (TWO, {"prompt_learning.schedule.epochs": 3}, "settings"),
]


@pytest.mark.parametrize(("base", "flipped", "expected"), SWITCHES, ids=lambda x: str(x) or "-")
def test_every_switch_acts(base, flipped, expected):
    first, second = twins(base, flipped, stretch=20.0 if "wrt_compat" in flipped else 1.0)
    before, after = observe(first), observe(second)
    for what in expected.split():
        assert before[what] != after[what], what
    if flipped == {"gradient_checkpointing": True}:
        assert before["losses"] == after["losses"]


def test_the_table_of_switches_is_complete():
    elsewhere = {"height", "width", "frames", "test_sampling", "weights"}  # what reads and loads
    towers = {"backbone", "vision", "text", "template", "vocabulary"}  # tests of build_towers
    flipped = {key.split(".")[0] for _, change, _ in SWITCHES for key in change}
    assert set(LsmrlConfig.model_fields) - elsewhere - towers == flipped
    nested = LsmrlConfig.model_fields["loss"].annotation
    assert issubclass(nested, BaseModel)
    named = {key.split(".")[1] for _, change, _ in SWITCHES for key in change if key.startswith("loss.")}
    assert set(nested.model_fields) == named


@pytest.mark.parametrize("without", [{}, {"sd_mode": "none", "cmi_kv": "none"}])
def test_features_behind_the_neck(without):
    """Embeddings are f and g behind their batch norms; without modules g is f_p and shares its neck."""
    method = make_method(neck_feature="after", test_feature=("f", "g"), **without).eval()
    network, clips = method.network, torch.randn(3, 2, 3, 48, 24)
    generator = torch.Generator().manual_seed(0)
    for neck in network.necks.values():
        neck.norm.running_mean.uniform_(-1, 1, generator=generator)
        neck.norm.running_var.uniform_(0.5, 2, generator=generator)
    with torch.no_grad():
        encoded = network.encode_frames(clips)
        met = network.interact(network.diffuse(encoded, network.text_bank))
        parts = []
        for name, feature in (("f", encoded.pooled), ("g" if not without else "f_p", met)):
            norm = network.necks[name].norm
            deviation = (norm.running_var.double() + norm.eps).sqrt()
            normed = (feature.double() - norm.running_mean) / deviation * norm.weight + norm.bias
            parts.append(normed / normed.norm(dim=1, keepdim=True))
        expected = torch.cat(parts, 1) / 2**0.5
        assert torch.allclose(method.encode(clips).double(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"loss": {"v2t": 0}}, "nothing would train the prompts"),
        ({"batches": {"tracklets": 1}}, r"loss\.msel needs batches\.tracklets"),
        ({"loss": {"cmcl": 1}, "cmi_kv": "none"}, r"loss\.cmcl"),
        ({"loss": {"id": 0}, "neck_feature": "after"}, "reads the batch norm of the identity loss"),
        ({"prompt_stage": "two-stage", "sd_mode": "none", "loss": {"v2t": 0}}, "prompt_stage=two-stage"),
        ({"stfl_split": (6, 3, 3)}, "stfl_split"),
        ({"stg_groups": 5}, "stg_groups 5 does not divide the 6 rows"),
        ({"test_feature": ()}, "test_feature"),
        ({"sd_mod": "none"}, "did you mean 'sd_mode'"),
    ],
)
def test_contradictions_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        make_method(**overrides)


def test_paper_defaults():
    config = LsmrlConfig()
    assert (config.backbone, config.height, config.width, config.frames) == ("ViT-B/16", 288, 144, 6)
    assert (config.stfl_split, config.stg_mode, config.stg_groups) == ((6, 3, 3), "stripe_tube", 6)
    assert (config.tps_pattern, config.tps_alternate, config.prompt_stage) == ("C", False, "joint")
    assert (config.sd_mode, config.sd_tokens, config.sd_detach_text) == ("xattn_bank", "frame", True)
    assert (config.cmi_kv, config.cmi_shuffle, config.cmi_self_prob) == ("concat", True, 0.5)
    assert (config.sd_scale, config.cmi_scale, config.test_feature) == (0.1, 0.1, ("f", "g"))
    assert (config.optim.lr, config.optim.weight_decay) == (2.5e-5, 1e-4)
    assert (config.schedule.epochs, config.schedule.steps_per_epoch) == (24, 200)
    assert (config.batches.identities, config.batches.tracklets) == (4, 4)
    weights = {name: value for name, value in config.loss.model_dump().items() if value}
    assert weights == {"id": 1, "wrt": 1, "v2t": 0.08, "msel": 0.5, "dcl": 0.5}


# --- the baseline


def test_baseline_is_the_mean_over_frames_of_the_plain_tower():
    method = make_method("clip-baseline", stfl_split=(4, 0, 0), test_feature=("f",)).eval()
    visual, clips = method.network.encoder.visual, make_batch().clips
    x = visual.embed(clips.flatten(0, 1))
    for index in range(4):
        x = visual.run_block(index, x)
    expected = visual.finish(x[:, 0])[0].view(12, 4, -1).mean(1)
    assert torch.allclose(method.encode(clips), torch.nn.functional.normalize(expected, dim=1), atol=1e-5)


def test_baseline_has_identity_and_triplet_losses_and_no_text():
    method = make_method("clip-baseline", stfl_split=(4, 0, 0))
    _, losses = run_step(method)
    assert set(losses) == {"id_f", "id_f_p", "wrt_f_last", "wrt_f", "wrt_f_p"}
    network = method.network
    assert network.text is network.prompts is network.diffusion is network.interaction is None
    assert network.text_bank.numel() == 0


def test_documentation_names_every_switch():
    text = (Path(__file__).parents[3] / "docs" / "methods" / "lsmrl.md").read_text(encoding="utf-8")
    own = set(LsmrlConfig.model_fields) - {"height", "width", "frames", "test_sampling"}
    filled_in = {"vision", "text", "template"}
    assert [name for name in sorted(own - filled_in) if f"`{name}" not in text] == []
    assert [
        name for name in LsmrlConfig.model_fields["loss"].annotation.model_fields if name not in text
    ] == []


# --- time


def test_the_order_of_frames_tells_lsmrl_something_and_the_baseline_nothing():
    """Rows are shuffled, not rolled: a roll would only move the mosaic of the patch shift along."""
    clips = make_batch().clips
    shuffled = clips[:, [2, 0, 1, 3]]
    with torch.no_grad():
        sees_time = make_method().eval()
        blind = make_method("clip-baseline", stfl_split=(4, 0, 0)).eval()
        assert (sees_time.encode(clips) - sees_time.encode(shuffled)).abs().max() > 1e-3
        torch.testing.assert_close(blind.encode(clips), blind.encode(shuffled), atol=1e-6, rtol=0)
