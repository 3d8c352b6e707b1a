import pytest
import torch
import torch.nn.functional as F

from tapetum.losses import (
    assignment_gap,
    centre_spread,
    direction_moments,
    identity_centre_alignment,
    modality_gap,
)

LABELS = torch.arange(3).repeat_interleave(2).repeat(3)
KINDS = torch.arange(3).repeat_interleave(6)


def make_features(seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(18, 5, generator=generator, dtype=torch.double)


# --- identities


def test_order_of_rows_makes_no_difference():
    features, order = make_features(), torch.randperm(18, generator=torch.Generator().manual_seed(1))
    plain = identity_centre_alignment(features, LABELS, KINDS)
    mixed = identity_centre_alignment(features[order], LABELS[order], KINDS[order])
    assert plain.item() == pytest.approx(mixed.item(), rel=1e-12)


def test_only_centres_count():
    features = make_features()
    spread = features + torch.tensor([1.0, -1.0]).repeat(9)[:, None]
    plain, wide = (identity_centre_alignment(f, LABELS, KINDS) for f in (features, spread))
    assert plain.item() == pytest.approx(wide.item(), rel=1e-12)


def test_gradients_reach_every_modality_and_equal_centres_give_none_that_is_not_a_number():
    features = make_features().requires_grad_()
    identity_centre_alignment(features, LABELS, KINDS, 10.0).backward()
    assert (features.grad.view(3, -1).abs().sum(1) > 0).all()
    equal = torch.zeros(18, 5, requires_grad=True)
    loss = identity_centre_alignment(equal, LABELS, KINDS, 0.3)
    loss.backward()
    assert loss.item() == pytest.approx(0.3)
    assert torch.isfinite(equal.grad).all()


def test_identities_without_a_partner_are_no_anchors():
    features = make_features()
    kept = ~((LABELS == 1) & (KINDS != 0))  # the second person is seen in one modality only
    f, y, m = features[kept], LABELS[kept], KINDS[kept]
    found = identity_centre_alignment(f, y, m, 100.0)
    centres = {(i, k): f[(y == i) & (m == k)].mean(0) for i in range(3) for k in range(3) if i != 1 or k == 0}
    terms = []
    for (i, k), c in centres.items():
        if i != 1:
            far = max((c - o).norm() for (j, n), o in centres.items() if j == i and n != k)
            near = min((c - o).norm() for (j, n), o in centres.items() if j != i)
            terms.append(100 + far - near)
    assert found.item() == pytest.approx(torch.stack(terms).mean().item())


@pytest.mark.parametrize("labels", [torch.zeros(18, dtype=torch.long), torch.arange(18)])
def test_nothing_to_tell_apart_or_to_draw_together_is_no_loss(labels):
    features = make_features().requires_grad_()
    loss = identity_centre_alignment(features, labels, KINDS)
    loss.backward()
    assert loss.item() == 0
    assert features.grad.abs().sum() == 0
    apart, others = centre_spread(features.detach(), labels, KINDS)
    assert (apart == 0) == (labels[1] == 1)
    assert (others == 0) == (labels[1] == 0)


def test_collapse_shows_in_the_spread():
    features = make_features()
    before, after = (centre_spread(f, LABELS, KINDS) for f in (features, 0.1 * features))
    assert after[1] == pytest.approx(0.1 * before[1].item())
    identities = torch.eye(5, dtype=torch.double)[LABELS]
    apart, others = centre_spread(identities, LABELS, KINDS)
    assert (apart.item(), others.item()) == (0, pytest.approx(2**0.5))


# --- modalities


def test_equal_sets_have_no_gap_and_no_gradient():
    rows = make_features()[:6]
    features = rows.repeat(3, 1).requires_grad_()
    mean, variance = direction_moments(features, KINDS)
    loss = modality_gap(mean) + modality_gap(variance) + assignment_gap(features, KINDS, mean)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-15)
    assert features.grad.abs().max() < 1e-12


@pytest.mark.parametrize("reading", ["means", "variances", "assignments"])
@pytest.mark.parametrize(("pairs", "reached"), [("bridge", [0, 1, 2]), ("direct", [0, 1])])
def test_gradients_reach_the_modalities_that_meet(reading, pairs, reached):
    features = make_features().requires_grad_()
    mean, variance = direction_moments(features, KINDS)
    loss = {
        "means": lambda: modality_gap(mean, pairs),
        "variances": lambda: modality_gap(variance, pairs),
        "assignments": lambda: assignment_gap(features, KINDS, mean, pairs),
    }[reading]()
    loss.backward()
    size = features.grad.view(3, -1).abs().sum(1)
    assert [m for m in range(3) if size[m] > 0] == reached


def test_lengths_of_features_make_no_difference():
    features = make_features()
    lengths = torch.arange(1, 19)[:, None]
    torch.testing.assert_close(
        direction_moments(features, KINDS), direction_moments(features * lengths, KINDS)
    )
    prototypes = F.normalize(make_features(1)[:3], dim=1)
    torch.testing.assert_close(
        assignment_gap(features, KINDS, prototypes), assignment_gap(features * lengths, KINDS, prototypes)
    )


def test_two_modalities_meet_without_a_third():
    features, kinds = make_features()[:12], KINDS[:12]
    mean, variance = direction_moments(features, kinds, 2)
    assert mean.shape == variance.shape == (2, 5)
    assert modality_gap(mean, "direct") == (mean[0] - mean[1]).square().sum()
    assert assignment_gap(features, kinds, mean, "direct") > 0


def test_assignments_stay_finite_where_one_prototype_is_far():
    features = torch.eye(5, dtype=torch.float32)[[0, 1, 2]].requires_grad_()
    prototypes = torch.stack([torch.eye(5)[0], -torch.eye(5)[0] * 3, torch.eye(5)[1]])
    loss = assignment_gap(features, torch.arange(3), prototypes, temperature=0.01)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()


def test_no_gradient_reaches_prototypes_of_assignments():
    prototypes = make_features()[:3].requires_grad_()
    features = make_features(1).requires_grad_()
    assignment_gap(features, KINDS, prototypes).backward()
    assert prototypes.grad is None


# --- all


def test_half_precision_is_widened():
    features = make_features(scale=30.0).float()
    half = features.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        mean, variance = direction_moments(half, KINDS)
        terms = [
            identity_centre_alignment(half, LABELS, KINDS, anchors=2),
            *centre_spread(half, LABELS, KINDS),
            modality_gap(mean),
            modality_gap(variance, "direct"),
            assignment_gap(half, KINDS, mean),
        ]
        torch.stack(terms).sum().backward()
    assert all(term.dtype is torch.float32 for term in (*terms, mean, variance))
    wide = features.bfloat16().float()
    assert terms[0] == identity_centre_alignment(wide, LABELS, KINDS, anchors=2)
    assert half.grad.dtype is torch.bfloat16
