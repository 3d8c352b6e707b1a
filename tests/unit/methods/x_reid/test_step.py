"""What a step computes and trains."""

import math

import pytest
import torch
import torch.nn.functional as F

FRAMES = 3


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
def test_losses_are_the_documented_ones_of_the_documented_features(make_method, make_batch, prepare):
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


def test_one_step_gives_every_trainable_parameter_a_finite_gradient(make_method, run_step):
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


def test_losses_stay_float32_and_close_under_autocast(make_method, run_step):
    plain = run_step(make_method())[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run_step(make_method())[1]
    for name, value in plain.items():
        assert half[name].dtype is torch.float32
        assert half[name].item() == pytest.approx(value.item(), rel=0.1, abs=0.05)


def test_a_step_never_waits_for_the_device(make_method, make_batch, prepare, host_waits):
    method = make_method()
    stage, batch = prepare(method), make_batch()
    with host_waits as seen:
        stage.total(stage.step(batch)).backward()
    assert not seen.found


def test_parameter_groups_have_the_factors_of_the_code(make_method):
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


def test_training_lowers_the_loss(make_method, make_batch, prepare):
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
