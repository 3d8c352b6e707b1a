import torch

from tapetum.losses import identity_loss


def test_smoothing_forbids_certainty():
    certain = torch.eye(3) * 50
    labels = torch.arange(3)
    assert identity_loss(certain, labels).item() < 1e-6
    assert identity_loss(certain, labels, 0.1).item() > 1
