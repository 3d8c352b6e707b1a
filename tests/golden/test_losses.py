"""Every loss against plain loops in float64."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tapetum.losses import (
    batch_hard_triplet,
    center_alignment,
    cross_modal_contrastive,
    discriminative_center,
    identity_loss,
    maximum_mean_discrepancy,
    modality_shared_enhancement,
    multi_modality_alignment,
    squared_gap,
    supervised_contrastive,
    text_to_visual,
    visual_to_text,
    weighted_regularised_triplet,
)


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_softmax(values):
    top = max(values)
    total = math.log(sum(math.exp(v - top) for v in values)) + top
    return [v - total for v in values]


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def unit(a):
    return a / math.sqrt(sum(x * x for x in a))


def mean(values):
    return sum(values) / len(values)


def reference_identity(logits, labels, smooth):
    rows = []
    for row, label in zip(logits, labels, strict=True):
        logs = log_softmax(list(row))
        rows.append(-(1 - smooth) * logs[label] - smooth * mean(logs))
    return mean(rows)


def reference_wrt(f, y, squared=False):
    terms = []
    for i in range(len(f)):
        d = [distance(f[i], f[j]) for j in range(len(f))]
        positive = [d[j] for j in range(len(f)) if y[j] == y[i]]
        negative = [d[j] for j in range(len(f)) if y[j] != y[i]]
        weights = [math.exp(x - max(positive)) for x in positive]
        furthest = sum(w * x for w, x in zip(weights, positive, strict=True)) / sum(weights)
        weights = [math.exp(min(negative) - x) for x in negative]
        closest = sum(w * x for w, x in zip(weights, negative, strict=True)) / sum(weights)
        gap = furthest - closest
        terms.append(softplus(math.copysign(min(gap**2, 88.0), gap) if squared else gap))
    return mean(terms)


def reference_copied_wrt(f, y):
    """The widely copied implementation: maxima over zeroed entries, 1e-6 in the denominators."""
    terms = []
    for i in range(len(f)):
        d = [distance(f[i], f[j]) for j in range(len(f))]

        def weighted(sign, positive, i=i, d=d):
            shown = [sign * d[j] * ((y[j] == y[i]) == positive) for j in range(len(f))]
            inside = [(y[j] == y[i]) == positive for j in range(len(f))]
            powers = [math.exp(s - max(shown)) * m for s, m in zip(shown, inside, strict=True)]
            total = sum(powers) + 1e-6
            return sum(p / total * x * m for p, x, m in zip(powers, d, inside, strict=True))

        terms.append(softplus(weighted(1, True) - weighted(-1, False)))
    return mean(terms)


def reference_hard(f, y, margin):
    terms = []
    for i in range(len(f)):
        far = max(distance(f[i], f[j]) for j in range(len(f)) if y[j] == y[i])
        near = min(distance(f[i], f[j]) for j in range(len(f)) if y[j] != y[i])
        terms.append(softplus(far - near) if margin is None else max(0.0, far - near + margin))
    return mean(terms)


def reference_contrastive(a, b, ya, yb, temperature):
    terms = []
    for i in range(len(a)):
        logs = log_softmax([float(np.dot(a[i], row)) / temperature for row in b])
        positive = [logs[j] for j in range(len(b)) if yb[j] == ya[i]]
        if positive:
            terms.append(-mean(positive))
    return mean(terms)


def reference_msel(f, y, infrared):
    sides = []
    for side in (False, True):
        gaps = []
        for i in (k for k in range(len(f)) if infrared[k] == side):
            others = [j for j in range(len(f)) if y[j] == y[i] and j != i]
            intra = [distance(f[i], f[j]) for j in others if infrared[j] == side]
            cross = [distance(f[i], f[j]) for j in others if infrared[j] != side]
            if intra and cross:
                gaps.append((mean(cross) - mean(intra)) ** 2)
        sides.append(mean(gaps))
    return mean(sides)


def reference_dcl(f, y):
    own, away = [], []
    for person in sorted(set(y)):
        centre = np.mean([f[i] for i in range(len(f)) if y[i] == person], axis=0)
        own.append(mean([distance(centre, f[i]) for i in range(len(f)) if y[i] == person]))
        negative = [distance(centre, f[i]) for i in range(len(f)) if y[i] != person]
        away.append(mean([d for d in negative if d < mean(negative)]))
    return mean(own) / mean(away)


def reference_cross_contrast(f, y, infrared, temperature):
    u = [unit(row) for row in f]
    turns = []
    for side in (False, True):
        a = [i for i in range(len(f)) if infrared[i] == side]
        b = [i for i in range(len(f)) if infrared[i] != side]
        pick = [[u[i] for i in a], [u[i] for i in b], [y[i] for i in a], [y[i] for i in b]]
        turns.append(reference_contrastive(*pick, temperature))
    return mean(turns)


def reference_mma(f, y, infrared):
    u = [unit(row) for row in f]
    turns = []
    for side in (False, True):
        terms = []
        for i in (k for k in range(len(f)) if infrared[k] == side):
            d = {j: (1 - float(np.dot(u[i], u[j]))) / 2 for j in range(len(f)) if infrared[j] != side}
            positive = [v for j, v in d.items() if y[j] == y[i]]
            negative = [v for j, v in d.items() if y[j] != y[i]]
            terms.append(softplus(mean(positive) - mean(negative)))
        turns.append(mean(terms))
    return mean(turns)


def reference_centres(f, y, infrared):
    terms = []
    for person in sorted(set(y)):
        visible = np.mean([f[i] for i in range(len(f)) if y[i] == person and not infrared[i]], axis=0)
        other = np.mean([f[i] for i in range(len(f)) if y[i] == person and infrared[i]], axis=0)
        terms.append(distance(visible, other) ** 2)
    return mean(terms)


def reference_mmd(f, infrared):
    n = len(f)
    squared = [[distance(f[i], f[j]) ** 2 for j in range(n)] for i in range(n)]
    scale = mean([value for row in squared for value in row])
    factors = (0.25, 0.5, 1.0, 2.0, 4.0)

    def kernel(i, j):
        return mean([math.exp(-squared[i][j] / (factor * scale)) for factor in factors])

    v = [i for i in range(n) if not infrared[i]]
    r = [i for i in range(n) if infrared[i]]
    between = mean([kernel(i, j) for i in v for j in r])
    return (
        mean([kernel(i, j) for i in v for j in v]) + mean([kernel(i, j) for i in r for j in r]) - 2 * between
    )


def make_batch(seed, persons=3, k=3, dim=5, scale=1.0):
    """A cross-modal batch in shuffled order: features, labels, infrared."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.repeat(np.arange(persons) * 2 + 1, k), 2)
    infrared = np.arange(len(labels)) >= len(labels) // 2
    order = rng.permutation(len(labels))
    features = rng.normal(size=(len(labels), dim)) * scale
    return features, labels[order].tolist(), infrared[order].tolist()


def tensors(features, labels, infrared):
    return torch.tensor(features), torch.tensor(labels), torch.tensor(infrared)


BATCHES = st.tuples(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 4), st.integers(1, 8))


@settings(max_examples=25, deadline=None)
@given(BATCHES, st.sampled_from([0.1, 1.0, 10.0]))
def test_losses_on_labels_and_modalities_equal_plain_loops(sizes, scale):
    f, y, r = make_batch(*sizes, scale=scale)
    features, labels, infrared = tensors(f, y, r)
    found = {
        "wrt": weighted_regularised_triplet(features, labels),
        "squared": weighted_regularised_triplet(features, labels, squared=True),
        "hard": batch_hard_triplet(features, labels, 0.3),
        "soft": batch_hard_triplet(features, labels, None),
        "msel": modality_shared_enhancement(features, labels, infrared),
        "dcl": discriminative_center(features, labels),
        "nce": cross_modal_contrastive(features, labels, infrared, 0.2),
        "mma": multi_modality_alignment(features, labels, infrared),
        "centres": center_alignment(features, labels, infrared),
        "mmd": maximum_mean_discrepancy(features, infrared),
    }
    expected = {
        "wrt": reference_wrt(f, y),
        "squared": reference_wrt(f, y, squared=True),
        "hard": reference_hard(f, y, 0.3),
        "soft": reference_hard(f, y, None),
        "msel": reference_msel(f, y, r),
        "dcl": reference_dcl(f, y),
        "nce": reference_cross_contrast(f, y, r, 0.2),
        "mma": reference_mma(f, y, r),
        "centres": reference_centres(f, y, r),
        "mmd": reference_mmd(f, r),
    }
    assert {k: v.item() for k, v in found.items()} == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_identity_loss_equals_plain_loops(smooth):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6).tolist()
    found = identity_loss(torch.tensor(logits), torch.tensor(labels), smooth)
    assert found.item() == pytest.approx(reference_identity(logits, labels, smooth), rel=1e-12)


def test_text_losses_equal_plain_loops():
    rng = np.random.default_rng(1)
    texts, features, labels = rng.normal(size=(5, 6)), rng.normal(size=(8, 6)), [0, 0, 1, 1, 3, 3, 3, 4]
    t, f, y = torch.tensor(texts), torch.tensor(features), torch.tensor(labels)
    logits = features @ texts.T
    assert visual_to_text(f, t, y, 0.1).item() == pytest.approx(reference_identity(logits, labels, 0.1))
    anchors = texts[labels]
    expected = reference_contrastive(anchors, features, labels, labels, 0.5)
    assert text_to_visual(t, f, y, 0.5).item() == pytest.approx(expected)
    assert supervised_contrastive(t[y], f, y, y, 0.5).item() == pytest.approx(expected)


@pytest.mark.parametrize(("scale", "is_near"), [(0.2, True), (1.0, True), (8.0, False)])
def test_compatible_triplet_copies_the_usual_code_and_its_collapse(scale, is_near):
    f, y, r = make_batch(7, dim=16, scale=scale)
    features, labels, _ = tensors(f, y, r)
    copied = weighted_regularised_triplet(features, labels, compat=True).item()
    assert copied == pytest.approx(reference_copied_wrt(f, y), rel=1e-9)
    assert (abs(copied - reference_wrt(f, y)) < 1e-2) == is_near


@pytest.mark.parametrize("spread", [1.0, 10.0, 30.0])
def test_triplet_is_exact_and_finite_at_the_scale_of_clip_features(spread):
    f, y, r = make_batch(3, dim=32)
    d = np.linalg.norm(f[:, None] - f[None], axis=-1)
    f = f * spread / d[d > 0].mean()
    features, labels, _ = tensors(f, y, r)
    single = features.float().requires_grad_()
    loss = weighted_regularised_triplet(single, labels)
    loss.backward()
    assert loss.item() == pytest.approx(reference_wrt(f, y), rel=1e-4)
    assert torch.isfinite(single.grad).all()


def test_squared_gap_equals_plain_loops():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    expected = mean([distance(x, y) ** 2 for x, y in zip(a, b, strict=True)])
    assert squared_gap(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected)


def test_toy_values_worked_by_hand():
    points = torch.tensor([[0.0], [2], [10], [12], [1], [3], [11], [13]])
    labels = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])
    infrared = torch.arange(8) >= 4
    assert modality_shared_enhancement(points, labels, infrared).item() == 0.5
    assert discriminative_center(points, labels).item() == pytest.approx(1 / 9)
    assert center_alignment(points, labels, infrared).item() == 1.0


def test_contrast_of_one_hot_rows_is_cross_entropy():
    labels = torch.arange(4)
    logits = torch.randn(4, 4, dtype=torch.float64)
    found = supervised_contrastive(logits, torch.eye(4, dtype=torch.float64), labels, labels)
    assert found.item() == pytest.approx(F.cross_entropy(logits, labels).item())
