"""Losses of CLIP4VI-ReID at values worked by hand, with the labels of its batches."""

import math

import pytest
import torch

from tapetum.losses import (
    modality_shared_enhancement,
    supervised_contrastive,
    visual_to_text,
    weighted_regularised_triplet,
)

LABELS = torch.arange(8).repeat_interleave(4)


def test_contrast_of_features_that_say_nothing():
    nothing = torch.zeros(32, 8)
    value = supervised_contrastive(nothing, nothing, LABELS, LABELS)
    assert value.item() == pytest.approx(math.log(32), abs=1e-5)


def test_contrast_cannot_fall_below_the_copies_of_a_text():
    """Each text stands K = 4 times in the batch, so its share of the softmax is a quarter at best."""
    rows = 10 * torch.eye(8)[LABELS]
    value = supervised_contrastive(rows, rows, LABELS, LABELS)
    assert value.item() == pytest.approx(1.3863, abs=1e-4)


def test_classification_among_equal_texts_is_constant():
    texts = torch.ones(8, 5).requires_grad_()
    images = torch.randn(32, 5, requires_grad=True)
    value = visual_to_text(images, texts, LABELS)
    assert value.item() == pytest.approx(math.log(8), abs=1e-5)
    assert torch.autograd.grad(value, images)[0].abs().max() < 1e-6


def test_modality_shared_enhancement():
    points = torch.tensor([[0.0], [2], [1], [5]])
    infrared = torch.tensor([False, False, True, True])
    value = modality_shared_enhancement(points, torch.zeros(4, dtype=torch.long), infrared)
    assert value.item() == pytest.approx(2.5)  # ((3 - 2)^2 + 0) / 2 and ((1 - 4)^2 + 0) / 2, halved


def test_weighted_triplet():
    points = torch.tensor([[0.0], [1], [3], [4]])
    value = weighted_regularised_triplet(points, torch.tensor([0, 0, 1, 1]))
    assert value.item() == pytest.approx(0.1353, abs=1e-4)
