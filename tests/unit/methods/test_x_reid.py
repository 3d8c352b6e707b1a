import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch.utils._python_dispatch import TorchDispatchMode

from tapetum.errors import ConfigError, DataError
from tapetum.methods import _x_reid_stages
from tapetum.methods._base import StageContext, create_method
from tapetum.methods._x_reid_config import XReidConfig
from tapetum.types import Batch

FRAMES = 3
SMALL = {
    "weights": "none",
    "height": 24,
    "width": 16,
    "frames": FRAMES,
    "vision": {
        "width": 32,
        "layers": 3,
        "heads": 2,
        "patch_size": 8,
        "image_size": (24, 16),
        "output_dim": 16,
    },
    "memory_precision": "32",
}
LABELS = torch.tensor([4, 4, 1, 1, 0, 0])
PEOPLE, CAMERAS = 6, 3


def make_method(seed=0, preset="paper", **overrides):
    torch.manual_seed(seed)
    return create_method(
        "x-reid", num_identities=PEOPLE, num_cameras=CAMERAS, preset=preset, **{**SMALL, **overrides}
    )


def make_batch(seed=0, frames=FRAMES):
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(12, frames, 3, 24, 16, generator=generator)
    cameras = torch.tensor([0, 2, 0, 2, 0, 2, 1, 1, 1, 1, 1, 1])
    return Batch(clips, torch.cat([LABELS, LABELS]), torch.arange(12) >= 6, cameras, seed=seed)


def training_set(share=1.0):
    """Every identity in both modalities, in batches of three tracklets; a share is the first of them."""
    generator = torch.Generator().manual_seed(9)
    clips = torch.randn(24, FRAMES, 3, 24, 16, generator=generator)
    labels, infrared = torch.arange(PEOPLE).repeat(4), torch.arange(24) % 12 >= 6
    for rows in torch.arange(12 if share < 1 else 24).split(5):
        yield Batch(clips[rows], labels[rows], infrared[rows], labels[rows] % 3)


CONTEXT = StageContext(iterate_training_set=training_set)


def prepare(method):
    """The method's stage after its hooks, in training mode."""
    stage = method.stages()[0]
    method.train()
    stage.before_stage(CONTEXT)
    stage.before_epoch(0, CONTEXT)
    return stage


def run_step(method, batch=None):
    stage = prepare(method)
    return stage, stage.step(batch or make_batch())


# --- what a step computes


def normed(norm, x):
    """Batch norm in training mode: statistics of the rows, weights of `norm`."""
    centred = x - x.mean(0)
    deviation = torch.sqrt(centred.square().mean(0) + norm.eps)
    return centred / deviation * norm.weight.double() + norm.bias.double()


def cross_entropy(logits, labels):
    terms = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(row)
        terms.append(top + math.log(sum(math.exp(v - top) for v in row)) - row[label])
    return sum(terms) / len(terms)


def hard_triplet(x, labels, margin=0.3):
    terms = []
    for i, anchor in enumerate(x):
        gaps = [(anchor - other).norm().item() for other in x]
        far = max(d for d, y in zip(gaps, labels, strict=True) if y == labels[i])
        near = min(d for d, y in zip(gaps, labels, strict=True) if y != labels[i])
        terms.append(max(0.0, margin + far - near))
    return sum(terms) / len(terms)


def contrast(b, bank, labels, temperature=0.05):
    logits = F.normalize(b, dim=1) @ bank.t() / temperature
    return cross_entropy(logits, labels)


@torch.no_grad()
def test_losses_are_the_documented_ones_of_the_documented_features():
    method, batch = make_method(), make_batch()
    network, stage = method.network, prepare(method)
    banks = [bank.double() for bank in (network.memory.visible, network.memory.infrared)]
    found = stage.step(batch)
    features = network.encode_frames(batch.clips, batch.cameras)
    classes, projected = features.classes.double(), features.projected.double()
    frame_labels = batch.labels.repeat_interleave(FRAMES)
    g, p = classes.mean(1), projected.mean(1)
    branches = network.interact(features)
    fused = branches.fused.double()
    o = fused.mean(1)
    pair = torch.cat([normed(network.neck.norms[0], g), normed(network.neck.norms[1], p)], 1)
    frames = [classes.flatten(0, 1), projected.flatten(0, 1)]
    frame_pair = torch.cat([normed(n, x) for n, x in zip(network.frame_neck.norms, frames, strict=True)], 1)
    frame_o = normed(network.mii_frame_norm, fused.flatten(0, 1))

    def logits(neck, x):
        return x @ neck.classifier.weight.double().t()

    expected = {
        "cpc_visible": contrast(pair, banks[0], batch.labels),
        "cpc_infrared": contrast(pair, banks[1], batch.labels),
        "triplet_g": hard_triplet(g, batch.labels),
        "triplet_p": hard_triplet(p, batch.labels),
        "triplet_o": hard_triplet(o, batch.labels),
        "id": cross_entropy(logits(network.neck, pair), batch.labels),
        "id_o": cross_entropy(logits(network.mii_neck, normed(network.mii_neck.norm, o)), batch.labels),
        "frame": cross_entropy(logits(network.frame_neck, frame_pair), frame_labels) / FRAMES,
        "frame_o": cross_entropy(logits(network.mii_neck, frame_o), frame_labels) / FRAMES,
    }
    for name, branch in (("sii", branches.short), ("lii", branches.long)):
        pooled = branch.mean(1)
        met = network.interaction.meet(pooled, branches.patches)
        gaps = (pooled - met).square().sum(1)
        expected[f"cmcl_{name}"] = (gaps[:6].mean() + gaps[6:].mean()).item() / 2
        expected[f"norm_{name}"] = pooled.norm(dim=1).mean().item()
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-4)
    weights = {name: stage.loss_weights[name] for name in found}
    assert weights == {
        **dict.fromkeys([n for n in found if n.startswith(("cpc", "triplet", "frame", "cmcl"))], 1.0),
        **{"id": 0.25, "id_o": 0.25, "norm_sii": 0.0, "norm_lii": 0.0},
    }


def test_one_step_gives_every_trainable_parameter_a_finite_gradient():
    method = make_method()
    stage, losses = run_step(method)
    assert all(v.shape == () and v.dtype is torch.float32 for v in losses.values())
    stage.total(losses).backward()
    trained = [p for group in stage.parameter_groups() for p in group.parameters]
    assert len({id(p) for p in trained}) == len(trained)
    assert {id(p) for p in trained} == {id(p) for p in method.parameters() if p.requires_grad}
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)
    frozen = [name for name, p in method.named_parameters() if not p.requires_grad]
    assert frozen == [
        "network.visual.stem.projection.weight",
        *(f"network.{neck}.norms.{i}.bias" for neck in ("neck", "frame_neck") for i in (0, 1)),
        "network.mii_neck.norm.bias",
        "network.mii_frame_norm.bias",
    ]


def test_losses_stay_float32_and_close_under_autocast():
    plain = run_step(make_method())[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run_step(make_method())[1]
    for name, value in plain.items():
        assert half[name].dtype is torch.float32
        assert half[name].item() == pytest.approx(value.item(), rel=0.1, abs=0.05)


def test_interactions_train_the_tower_only_where_they_are_not_detached():
    for detach in (True, False):
        method = make_method(mii_detach=detach)
        _, losses = run_step(method)
        inside = [losses[name] for name in ("id_o", "frame_o", "triplet_o", "cmcl_sii", "cmcl_lii")]
        torch.stack(inside).sum().backward()
        tower = [p.grad for p in method.network.visual.blocks.parameters()]
        assert all((g is None) == detach for g in tower)
        assert all(p.grad is not None for p in method.network.interaction.parameters())


def test_the_last_block_for_class_tokens_alone_changes_no_gradient():
    """Patches beside the graph, against the whole block with its patches detached."""
    gradients = []
    for is_cut in (True, False):
        method = make_method().double()
        network, batch = method.network, make_batch()
        network.detaches = is_cut
        features = network.encode_frames(batch.clips.double(), batch.cameras)
        if not is_cut:
            features = replace(features, patches=features.patches.detach())
        network.detaches = True
        fused = network.interact(features).fused
        (features.g.square().sum() + features.p.sum() + fused.square().sum()).backward()
        gradients.append({n: p.grad for n, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)


class Waits(TorchDispatchMode):
    """Operators for which the host would wait on an accelerator."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in {"_local_scalar_dense", "nonzero", "_unique2", "masked_select"}:
            self.found.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_a_step_never_waits_for_the_device():
    method = make_method()
    stage, batch = prepare(method), make_batch()
    with Waits() as seen:
        torch.ones(2).sum().item()
        assert seen.found
        seen.found.clear()
        stage.total(stage.step(batch)).backward()
    assert not seen.found


def test_parameter_groups_have_the_factors_of_the_code():
    method = make_method()
    groups = {group.name: group for group in method.stages()[0].parameter_groups()}
    assert {name: round(group.lr / 5e-6) for name, group in groups.items()} == {
        **{"mii_biases": 20, "mii": 10, "mii_classifiers": 10, "classifiers": 10, "biases": 2, "tower": 1},
    }
    names = {id(p): name.removeprefix("network.") for name, p in method.named_parameters()}
    members = {kind: [names[id(p)] for p in group.parameters] for kind, group in groups.items()}
    assert members["mii_classifiers"] == ["mii_neck.classifier.weight"]
    assert members["classifiers"] == ["neck.classifier.weight", "frame_neck.classifier.weight"]
    assert all(n.startswith("interaction.") and n.endswith("bias") for n in members["mii_biases"])
    assert all(n.startswith("interaction.") and n.endswith("weight") for n in members["mii"])
    assert all(n.startswith("visual.") and n.endswith("bias") for n in members["biases"])
    assert {"cameras.table", "neck.norms.0.weight", "mii_neck.norm.weight"} < set(members["tower"])
    assert not any("bias" in name for name in members["tower"])
    assert all(group.weight_decay == 1e-4 for group in groups.values())


def test_training_lowers_the_loss():
    method = make_method()
    stage = prepare(method)
    optimiser = torch.optim.Adam(
        [{"params": g.parameters, "lr": g.lr * 200} for g in stage.parameter_groups()]
    )
    history = []
    for _ in range(10):
        loss = stage.total(stage.step(make_batch()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < 0.6 * history[0]


# --- memories


def test_memories_are_filled_in_evaluation_mode_without_cameras():
    method = make_method()
    network = method.network
    with torch.no_grad():
        network.neck.norms[0].running_mean.fill_(0.5)
    statistics = {n: b.clone() for n, b in method.named_buffers() if "running" in n or "tracked" in n}
    prepare(method)
    assert method.training
    assert all(torch.equal(dict(method.named_buffers())[n], b) for n, b in statistics.items())
    method.eval()
    sums = {False: torch.zeros(PEOPLE, 48), True: torch.zeros(PEOPLE, 48)}
    with torch.no_grad():
        for batch in training_set():
            encoded = network.encode_frames(batch.clips)
            b = F.normalize(network.neck.normed(encoded.g, encoded.p), dim=1)
            for row, label, side in zip(b, batch.labels, batch.infrared, strict=True):
                sums[bool(side)][label] += row
    torch.testing.assert_close(network.memory.visible, F.normalize(sums[False], dim=1))
    torch.testing.assert_close(network.memory.infrared, F.normalize(sums[True], dim=1))
    assert all(p.grad is None for p in method.parameters())


def test_a_step_moves_the_memories_after_its_losses():
    method = make_method()
    network = method.network
    stage = prepare(method)
    before = {n: b.clone() for n, b in network.memory.named_buffers()}
    losses = stage.step(make_batch())
    moved = {n: b.clone() for n, b in network.memory.named_buffers()}
    for name, bank in moved.items():
        assert torch.equal(bank[[2, 3, 5]], before[name][[2, 3, 5]])
        assert not torch.allclose(bank[[0, 1, 4]], before[name][[0, 1, 4]], atol=1e-3)
        assert not bank.requires_grad
    stage.total(losses).backward()
    assert all(torch.equal(b, moved[n]) for n, b in network.memory.named_buffers())


def test_memories_are_filled_once_or_before_each_epoch_and_never_on_resuming():
    for each_epoch, expected in ((False, [1, 1, 1]), (True, [0, 1, 2])):
        method = make_method(rebuild_memory_each_epoch=each_epoch)
        stage, passes = method.stages()[0], []
        context = StageContext(iterate_training_set=lambda p=passes: p.append(1) or training_set())
        counts = []
        stage.before_stage(context)
        counts.append(len(passes))
        for epoch in (0, 1):
            stage.before_epoch(epoch, context)
            counts.append(len(passes))
        assert counts == expected
        resumed = replace(context, resumed=True)
        passes.clear()
        stage.before_stage(resumed)
        assert not passes


def test_a_thinned_pass_is_asked_for_and_announced(caplog):
    caplog.set_level(logging.WARNING)
    whole, thinned = make_method(), make_method(memory_share=0.4)
    prepare(whole)
    assert "memory_share" not in caplog.text
    prepare(thinned)
    assert "memory_share = 0.4: the memories are of 12 tracklets, not of all" in caplog.text
    assert not torch.allclose(whole.network.memory.visible, thinned.network.memory.visible, atol=1e-3)


def test_a_pass_in_half_precision_gives_nearly_the_same_memories():
    whole, half = make_method(), make_method(memory_precision="bf16")
    prepare(whole)
    prepare(half)
    one, other = whole.network.memory.visible, half.network.memory.visible
    assert other.dtype is torch.float32
    assert not torch.equal(one, other)
    assert (one * other).sum(1).min() > 0.999


def test_people_of_one_modality_are_named():
    def without(share=1.0):
        for batch in training_set():
            keep = ~(batch.infrared & (batch.labels == 2))
            yield replace(
                batch, clips=batch.clips[keep], labels=batch.labels[keep], infrared=batch.infrared[keep]
            )

    context = StageContext(iterate_training_set=without, label_ids=[11, 12, 13, 14, 15, 16])
    with pytest.raises(DataError, match="no infrared tracklet of 13"):
        make_method().stages()[0].before_stage(context)
    with pytest.raises(RuntimeError, match="filled from the training set, which the context lacks"):
        make_method().stages()[0].before_stage(StageContext())
    make_method(loss={"cpc": 0}).stages()[0].before_stage(StageContext())


def test_all_processes_move_their_memories_alike(monkeypatch):
    """Two processes with half of a batch each end with the memories of one that has it all."""
    whole = make_method()
    prepare(whole)
    features = torch.randn(12, 48, generator=torch.Generator().manual_seed(0))
    batch = make_batch()
    whole.network.memory.update(features, batch.labels, batch.infrared, rule="cross", momentum=0.2)
    halves = [torch.tensor([0, 1, 2, 6, 7, 8]), torch.tensor([3, 4, 5, 9, 10, 11])]
    everything = {t.dtype: t for t in (features, batch.labels, batch.infrared.to(torch.uint8))}

    def all_gather(parts, sent):
        assert torch.equal(sent, everything[sent.dtype][halves[0]])
        for part, rows in zip(parts, halves, strict=True):
            part.copy_(everything[sent.dtype][rows])

    for name, value in (("is_initialized", True), ("get_world_size", 2)):
        monkeypatch.setattr(_x_reid_stages.dist, name, lambda value=value: value)
    monkeypatch.setattr(_x_reid_stages.dist, "all_gather", all_gather)
    rows = halves[0]
    gathered = _x_reid_stages._of_all_processes(features[rows], batch.labels[rows], batch.infrared[rows])
    assert gathered[2].dtype is torch.bool
    shared = make_method()
    prepare(shared)
    shared.network.memory.update(*gathered, rule="cross", momentum=0.2)
    for one, other in zip(whole.network.memory.buffers(), shared.network.memory.buffers(), strict=True):
        torch.testing.assert_close(one, other)


# --- what encoding does


@torch.inference_mode()
def test_an_embedding_is_its_parts_behind_their_norms():
    method = make_method().eval()
    network, clips = method.network, make_batch().clips
    for norm in (*network.neck.norms, network.mii_neck.norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    features = network.encode_frames(clips, torch.full((12,), -1))
    o = network.mii_neck.norm(network.interact(features).fused.mean(1))
    parts = [network.neck.norms[0](features.g), network.neck.norms[1](features.p), o]
    torch.testing.assert_close(method.encode(clips), F.normalize(torch.cat(parts, 1), dim=1))
    assert method.embedding_dim == 32 + 16 + 32
    for chosen in (("g",), ("g", "o"), ("o",)):
        method.config = method.config.model_copy(update={"test_feature": chosen})
        expected = torch.cat([part for part, name in zip(parts, "gpo", strict=True) if name in chosen], 1)
        torch.testing.assert_close(method.encode(clips), F.normalize(expected, dim=1))
        assert method.embedding_dim == expected.shape[1]


@torch.inference_mode()
def test_cameras_are_known_by_their_ids_and_others_get_the_mean():
    method = make_method().eval()
    clips = make_batch().clips[:3]
    assert method.camera_ids == (0, 1, 2)
    method.camera_ids = ("D1", 7, "D3")
    found = method.encode(clips, camera_ids=["D3", 7, "D1"])
    features = method.network.encode_frames(clips, torch.tensor([2, 1, 0]))
    expected = F.normalize(method.network.neck.normed(features.g, features.p), dim=1)
    torch.testing.assert_close(F.normalize(found[:, :48], dim=1), expected)
    unknown = method.encode(clips, camera_ids=["D9", None, "7"])
    torch.testing.assert_close(unknown, method.encode(clips))
    assert not torch.allclose(unknown, found, atol=1e-4)
    mixed = method.encode(clips, camera_ids=["D3", None, "D1"])
    torch.testing.assert_close(mixed, torch.stack([found[0], unknown[1], found[2]]))


def test_unknown_cameras_are_refused_where_asked():
    method = make_method(unknown_camera="error")
    clips = make_batch().clips[:2]
    with pytest.raises(ValueError, match="camera 3 is not among those of the training data: 0, 1, 2"):
        method.encode(clips, camera_ids=[0, 3])
    with pytest.raises(ValueError, match="camera None is not among"):
        method.encode(clips)
    with pytest.raises(ValueError, match="1 camera_ids for 2 clips"):
        method.encode(clips, camera_ids=[0])
    assert method.reads_cameras
    without = make_method(camera_embedding=False, unknown_camera="error")
    assert not without.reads_cameras
    torch.testing.assert_close(without.encode(clips), without.encode(clips, camera_ids=[8, 9]))


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_clips_of_any_length_stand_alone(frames):
    method = make_method().eval()
    clips = make_batch(frames=frames).clips[:3]
    together = method.encode(clips, camera_ids=[0, 1, 2])
    for i in range(3):
        alone = method.encode(clips[i : i + 1], camera_ids=[i])
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_training_mode_parts_are_not_needed_to_encode():
    method = make_method().eval()
    clips = make_batch().clips
    expected = method.encode(clips)
    method.network.memory = None
    method.network.interaction.partner = None
    assert torch.equal(method.encode(clips), expected)


@pytest.mark.parametrize("shape", [(2, 3, 24, 16), (2, 4, 1, 24, 16)])
def test_clips_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"clips of shape .*: expected"):
        make_method().encode(torch.zeros(shape))


def test_features_without_patches_cannot_interact():
    network = make_method().network
    features = network.encode_frames(make_batch().clips, with_patches=False)
    assert features.patches is None
    with pytest.raises(RuntimeError, match="without patches"):
        network.interact(features)


@torch.inference_mode()
def test_class_tokens_alone_are_those_of_the_whole_last_block():
    network = make_method().eval().network
    clips = make_batch().clips
    lean, full = network.encode_frames(clips, with_patches=False), network.encode_frames(clips)
    torch.testing.assert_close(lean.classes, full.classes)
    torch.testing.assert_close(lean.projected, full.projected)


# --- every switch acts


def observe(method):
    """What a configuration may change: losses, gradients of the tower, memories, embeddings, settings."""
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


def twins(base, flipped):
    """Two methods that differ in configuration alone: weights that both have are equal."""
    first, second = make_method(**base), make_method(seed=1, **{**base, **flipped})
    weights = first.state_dict()
    shared = {
        n: weights[n] for n, w in second.state_dict().items() if n in weights and weights[n].shape == w.shape
    }
    second.load_state_dict(shared, strict=False)
    return first, second


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
    ({}, {"optim.betas": (0.8, 0.9)}, "settings"),
    ({}, {"optim.grad_clip": 1.0}, "settings"),
    ({}, {"batches.tracklets": 3}, "settings"),
    ({}, {"augment.erase_colour": "mean"}, "settings"),
    ({}, {"schedule.milestones": None}, "settings"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "flipped", "expected"), SWITCHES, ids=lambda x: str(x) or "-")
def test_every_switch_acts(base, flipped, expected):
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


def test_parts_that_are_off_are_not_there():
    bare = make_method(use_sii=False, use_lii=False, use_cii=False)
    network = bare.network
    assert network.interaction is network.mii_neck is network.mii_frame_norm is None
    assert bare.embedding_dim == 48
    assert bare.encode(make_batch().clips).shape == (12, 48)
    _, losses = run_step(bare)
    assert set(losses) == {"cpc_visible", "cpc_infrared", "triplet_g", "triplet_p", "id", "frame"}
    assert make_method(loss={"cpc": 0}).network.memory is None
    alone = make_method(use_sii=False, use_lii=False, mii_detach=False)
    _, losses = run_step(alone)
    assert {"cmcl_class", "norm_class"} < set(losses)
    losses["cmcl_class"].backward()
    assert alone.network.visual.blocks[0].mlp.expand.weight.grad.abs().sum() > 0


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
def test_contradictions_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        make_method(**overrides)


def test_a_camera_embedding_needs_cameras():
    with pytest.raises(ConfigError, match="camera_embedding needs known cameras"):
        create_method("x-reid", num_identities=3, num_cameras=0, **SMALL)
    create_method("x-reid", num_identities=3, num_cameras=0, **SMALL, camera_embedding=False)


# --- published settings


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


def test_the_released_preset_does_what_the_code_does():
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
    text = (Path(__file__).parents[3] / "docs" / "methods" / "x-reid.md").read_text(encoding="utf-8")
    own = set(XReidConfig.model_fields) - {"height", "width", "vision"}
    assert [name for name in sorted(own) if f"`{name}" not in text] == []
    for block in ("loss", "optim"):
        fields = XReidConfig.model_fields[block].annotation.model_fields
        assert [name for name in fields if name not in text] == []
