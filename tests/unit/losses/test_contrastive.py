import pytest
import torch

from tapetum.losses import supervised_contrastive, text_to_visual, visual_to_text


def test_anchors_without_a_positive_are_left_out():
    anchors, others = torch.randn(3, 4), torch.randn(5, 4)
    labels = torch.tensor([0, 0, 1, 1, 1])
    both = supervised_contrastive(anchors, others, torch.tensor([0, 1, 9]), labels)
    known = supervised_contrastive(anchors[:2], others, torch.tensor([0, 1]), labels)
    assert both.item() == pytest.approx(known.item())


def test_no_positive_at_all_gives_zero():
    rows = torch.randn(2, 3)
    assert supervised_contrastive(rows, rows, torch.tensor([0, 1]), torch.tensor([2, 3])).item() == 0


def test_every_text_takes_gradient_from_images_but_only_the_batch_s_from_texts():
    texts, features = torch.randn(4, 3, requires_grad=True), torch.randn(2, 3)
    labels = torch.tensor([1, 2])
    (from_images,) = torch.autograd.grad(visual_to_text(features, texts, labels), texts)
    (from_texts,) = torch.autograd.grad(text_to_visual(texts, features, labels), texts)
    assert (from_images != 0).any(1).tolist() == [True] * 4
    assert (from_texts != 0).any(1).tolist() == [False, True, True, False]


def test_temperature_sharpens():
    rows, labels = torch.eye(3), torch.arange(3)
    warm, cold = (supervised_contrastive(rows, rows, labels, labels, t) for t in (1.0, 0.1))
    assert cold < warm
