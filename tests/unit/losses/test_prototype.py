import math

import pytest
import torch

from tapetum.losses import prototype_contrast


def reference(features, prototypes, labels, temperature, counted):
    terms = []
    for f, y, is_counted in zip(features, labels, counted, strict=True):
        if not is_counted:
            continue
        length = math.sqrt(sum(x * x for x in f))
        logits = [sum(a * b for a, b in zip(f, m, strict=True)) / length / temperature for m in prototypes]
        top = max(logits)
        terms.append(top + math.log(sum(math.exp(v - top) for v in logits)) - logits[y])
    return sum(terms) / max(1, len(terms))


def example(seed=0, rows=7, identities=11, dim=5):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, dim, generator=generator, dtype=torch.float64)
    prototypes = torch.randn(identities, dim, generator=generator, dtype=torch.float64)
    labels = torch.randint(identities, (rows,), generator=generator)
    return features, torch.nn.functional.normalize(prototypes, dim=1), labels


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("counted", [None, [0, 2, 3], []])
def test_values_are_those_of_a_loop(seed, counted):
    features, prototypes, labels = example(seed)
    mask = (
        None
        if counted is None
        else torch.zeros(7, dtype=torch.bool).index_fill_(0, torch.tensor(counted).long(), True)
    )
    found = prototype_contrast(features, prototypes, labels, 0.07, counted=mask)
    flags = [True] * 7 if mask is None else mask.tolist()
    expected = reference(features.tolist(), prototypes.tolist(), labels.tolist(), 0.07, flags)
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_gradients_are_those_of_automatic_differentiation():
    features, prototypes, labels = example()
    counted = torch.arange(7) != 2
    features.requires_grad_()
    (3 * prototype_contrast(features, prototypes, labels, counted=counted)).backward()
    plain = features.detach().clone().requires_grad_()
    logits = torch.nn.functional.normalize(plain, dim=1) @ prototypes.t() / 0.05
    (3 * torch.nn.functional.cross_entropy(logits[counted], labels[counted])).backward()
    torch.testing.assert_close(features.grad, plain.grad)
    assert not features.grad[2].any()


def test_prototypes_take_no_gradient_and_may_change_before_the_backward_pass():
    features, prototypes, labels = example()
    features.requires_grad_()
    prototypes.requires_grad_()
    prototype_contrast(features, prototypes, labels).backward()
    assert prototypes.grad is None
    before, features.grad = features.grad, None
    bank = prototypes.detach().clone()
    loss = prototype_contrast(features, bank, labels)
    bank.zero_()
    loss.backward()
    assert torch.equal(features.grad, before)


def test_half_precision_is_widened():
    features, prototypes, labels = (x.float() if x.is_floating_point() else x for x in example())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = prototype_contrast(features.bfloat16(), prototypes, labels)
    assert found.dtype is torch.float32
    assert found.item() == pytest.approx(prototype_contrast(features, prototypes, labels).item(), rel=0.02)


def test_nothing_is_computed_for_a_gradient_that_nobody_wants():
    features, prototypes, labels = example()
    assert not prototype_contrast(features, prototypes, labels).requires_grad
