"""A small CLIP4VI-ReID, batches for its stages, and its losses as plain loops in float64."""

import math
from dataclasses import replace

import torch

from tapetum.methods import create_method
from tapetum.methods._base import StageContext
from tapetum.types import Batch

HEIGHT, WIDTH = 24, 16
SMALL = {
    "weights": "none",
    "height": HEIGHT,
    "width": WIDTH,
    "vision": {
        "width": 32,
        "layers": 3,
        "heads": 2,
        "patch_size": 8,
        "image_size": (HEIGHT, WIDTH),
        "output_dim": 16,
    },
    "text": {"vocab_size": 20, "context_length": 12, "width": 16, "layers": 2, "heads": 2},
    "prompt": "a photo {} person",
    "batches": {"identities": 3, "tracklets": 2},
    "tsg": {"batch_size": 6},
    "fusion": {"batch_size": 6},
}
PEOPLE = 6
LABELS = torch.tensor([4, 4, 1, 1, 0, 0])


def make_method(seed=0, preset="paper-vit", **overrides):
    torch.manual_seed(seed)
    return create_method(
        "clip4vi-reid", num_identities=PEOPLE, num_cameras=2, preset=preset, **{**SMALL, **overrides}
    )


def make_batch(seed=0, views=True, frames=1):
    """[visible | infrared | exchanged visible], 6 rows each."""
    rows = 18 if views else 12
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(rows, frames, 3, HEIGHT, WIDTH, generator=generator)
    infrared = (torch.arange(rows) >= 6) & (torch.arange(rows) < 12)
    none = torch.zeros(rows, dtype=torch.long)
    return Batch(clips, LABELS.repeat(rows // 6), infrared, none, seed, views=6 if views else 0)


def one_modality(infrared=True, seed=0):
    batch = make_batch(seed, views=False)
    cut = {"clips": batch.clips[:6], "cameras": batch.cameras[:6], "labels": LABELS}
    return replace(batch, **cut, infrared=torch.full((6,), infrared))


def training_set(share=1.0, without=()):
    """Three tracklets of each person and modality, in mixed batches; a share is every third."""
    generator = torch.Generator().manual_seed(9)
    clips = torch.randn(36, 1, 3, HEIGHT, WIDTH, generator=generator)
    labels, infrared = torch.arange(36) % PEOPLE, torch.arange(36) % 12 >= 6
    kept = torch.arange(36) < (12 if share < 1 else 36)
    for label, is_infrared in without:
        kept &= ~((labels == label) & (infrared == is_infrared))
    for rows in kept.nonzero().flatten().split(5):
        yield Batch(clips[rows], labels[rows], infrared[rows], labels[rows])


def make_context(**changes):
    return StageContext(iterate_training_set=training_set, **changes)


def stage_of(method, name):
    return next(stage for stage in method.stages() if stage.name == name)


def begin(method, name, context=None):
    """The stage after its hooks, in training mode."""
    context = context or make_context()
    stage = stage_of(method, name)
    method.train()
    stage.before_stage(context)
    stage.before_epoch(0, context)
    method.train()
    return stage


def seeds(seed=0):
    none = torch.empty(0, dtype=torch.long)
    return Batch(torch.empty(0), none, none.bool(), none, seed)


def batch_of(stage):
    return {"tsg": seeds(5), "ife": one_modality(), "hsa": make_batch()}[stage.name]


def train_step(method, stage, batch=None, lr=0.01):
    """One update as the loop makes it: only what the stage declares requires a gradient."""
    parameters = [p for group in stage.parameter_groups() for p in group.parameters]
    before = {p: p.requires_grad for p in method.parameters()}
    for p in method.parameters():
        p.requires_grad_(any(p is one for one in parameters))
    optimiser = torch.optim.SGD(parameters, lr=lr)
    losses = stage.step(batch or batch_of(stage))
    stage.total(losses).backward()
    optimiser.step()
    optimiser.zero_grad()
    for p, flag in before.items():
        p.requires_grad_(flag)
    return {name: value.item() for name, value in losses.items()}


# --- plain loops in float64


def cross_entropy(logits, labels):
    terms = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(row)
        terms.append(top + math.log(sum(math.exp(v - top) for v in row)) - row[label])
    return sum(terms) / len(terms)


def contrast(a, b, labels):
    """C(a -> b) with the same labels on both sides."""
    terms = []
    for i, row in enumerate((a @ b.t()).tolist()):
        top = max(row)
        total = top + math.log(sum(math.exp(v - top) for v in row))
        positives = [row[j] - total for j in range(len(labels)) if labels[j] == labels[i]]
        terms.append(-sum(positives) / len(positives))
    return sum(terms) / len(terms)


def both_ways(a, b, labels):
    return contrast(a, b, labels) + contrast(b, a, labels)


def weighted_triplet(x, labels):
    terms = []
    for i in range(len(x)):
        d = [(x[i] - other).norm().item() for other in x]
        near = [d[j] for j in range(len(x)) if labels[j] == labels[i]]
        far = [d[j] for j in range(len(x)) if labels[j] != labels[i]]
        positive = sum(v * math.exp(v) for v in near) / sum(math.exp(v) for v in near)
        negative = sum(v * math.exp(-v) for v in far) / sum(math.exp(-v) for v in far)
        terms.append(math.log1p(math.exp(positive - negative)))
    return sum(terms) / len(terms)


def modality_gap(x, labels, infrared):
    """MSEL."""
    sums = {True: [], False: []}
    for i in range(len(x)):
        d = [(x[i] - other).norm().item() for other in x]
        same = [j for j in range(len(x)) if labels[j] == labels[i] and j != i]
        inside = [d[j] for j in same if infrared[j] == infrared[i]]
        across = [d[j] for j in same if infrared[j] != infrared[i]]
        sums[bool(infrared[i])].append((sum(across) / len(across) - sum(inside) / len(inside)) ** 2)
    return sum(sum(v) / len(v) for v in sums.values()) / 2


def normed(norm, x):
    """Batch norm in training mode: statistics of the rows, weights of `norm`."""
    centred = x - x.mean(0)
    deviation = torch.sqrt(centred.square().mean(0) + norm.eps)
    return centred / deviation * norm.weight.double() + norm.bias.double()
