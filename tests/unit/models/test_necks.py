import torch

from tapetum.models.necks import BatchNormNeck


def test_neck_starts_as_plain_batch_norm_with_near_zero_logits():
    torch.manual_seed(0)
    neck = BatchNormNeck(16, 10)
    features = torch.randn(32, 16) * 5 + 3
    logits = neck(features)
    assert torch.allclose(neck.norm(features).mean(0), torch.zeros(16), atol=1e-5)
    assert logits.shape == (32, 10)
    assert logits.abs().max() < 0.05
    assert neck.classifier.bias is None


def test_bias_of_the_norm_can_be_frozen():
    assert BatchNormNeck(4, 2).norm.bias.requires_grad
    assert not BatchNormNeck(4, 2, bias_trains=False).norm.bias.requires_grad
