import pytest
import torch

from tapetum.losses import supervised_contrastive, visual_to_text, weighted_regularised_triplet


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 16, generator=generator) * 3, torch.tensor([0, 0, 1, 1, 2, 2])


def test_autocast_does_not_reach_the_products_inside_a_loss(rows):
    features, labels = rows
    plain = visual_to_text(features, features, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = visual_to_text(features, features, labels)
        outside = features @ features.t()
    assert outside.dtype is torch.bfloat16
    assert inside.dtype is torch.float32
    assert torch.equal(inside, plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_arguments_are_widened_first(rows, dtype):
    features, labels = rows
    half = features.to(dtype).requires_grad_()
    loss = weighted_regularised_triplet(half, labels)
    loss.backward()
    assert torch.equal(loss, weighted_regularised_triplet(half.detach().float(), labels))
    assert half.grad.dtype is dtype


def test_keyword_tensors_are_widened_and_double_stays_double(rows):
    features, labels = rows
    half = features.bfloat16()
    mixed = supervised_contrastive(half, others=half, anchor_labels=labels, other_labels=labels)
    assert mixed.dtype is torch.float32
    assert weighted_regularised_triplet(features.double(), labels).dtype is torch.float64
