import pytest
import torch

from tapetum.losses import batch_hard_triplet, pairwise_distance, weighted_regularised_triplet
from tapetum.losses.triplet import masked_softmax

LOSSES = [weighted_regularised_triplet, batch_hard_triplet]


def test_equal_rows_have_distance_and_gradient_zero():
    rows = torch.full((2, 3), 1e3, requires_grad=True)
    distance = pairwise_distance(rows, rows)
    distance.sum().backward()
    assert torch.equal(distance.detach(), torch.zeros(2, 2))
    assert torch.equal(rows.grad, torch.zeros(2, 3))


def test_near_equal_rows_at_large_norm_keep_their_distance():
    rows = torch.tensor([[1000.0, 0.0], [1000.0, 0.01]])
    assert pairwise_distance(rows, rows)[0, 1].item() == pytest.approx(0.01, rel=1e-4)


def test_masked_softmax_of_an_empty_row_is_zero():
    weights = masked_softmax(torch.zeros(2, 3), torch.tensor([[True, True, False], [False] * 3]))
    assert weights.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_one_person_gives_zero_and_no_gradient(loss):
    features = torch.randn(4, 3, requires_grad=True)
    value = loss(features, torch.zeros(4, dtype=torch.long))
    value.backward()
    assert value.item() == 0
    assert torch.equal(features.grad, torch.zeros(4, 3))


@pytest.mark.parametrize("loss", LOSSES)
def test_order_of_rows_makes_no_difference(loss):
    features, labels = torch.randn(8, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3] * 2)
    order = torch.randperm(8)
    assert loss(features, labels).item() == pytest.approx(loss(features[order], labels[order]).item())


def test_pulling_persons_apart_lowers_both_losses():
    labels = torch.tensor([0, 0, 1, 1])
    near = torch.tensor([[0.0], [1.0], [1.5], [2.5]])
    apart = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
    for loss in LOSSES:
        assert loss(apart, labels) < loss(near, labels)


def test_soft_margin_differs_from_the_hinge():
    features, labels = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    assert batch_hard_triplet(features, labels, None) != batch_hard_triplet(features, labels, 0.3)


def test_squares_beyond_the_limit_of_the_code_count_as_88():
    labels = torch.tensor([0, 0, 1, 1])
    points = torch.tensor([[0.0], [20.0], [1.0], [21.0]], requires_grad=True)  # positives 20 off, negatives 1
    loss = weighted_regularised_triplet(points, labels, squared=True)
    loss.backward()
    assert loss.item() == pytest.approx(88.0)
    assert torch.equal(points.grad, torch.zeros(4, 1))
