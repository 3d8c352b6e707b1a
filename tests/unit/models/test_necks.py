import torch

from tapetum.models.necks import BatchNormNeck, JointNeck


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


def test_a_joint_neck_norms_each_feature_and_classifies_all():
    torch.manual_seed(0)
    neck = JointNeck((3, 2), 4, bias_trains=False)
    one, two = torch.randn(8, 3), 5 + torch.randn(8, 2)
    normed = neck.normed(one, two)
    assert torch.allclose(normed.mean(0), torch.zeros(5), atol=1e-5)
    assert torch.allclose(normed.std(0, correction=0), torch.ones(5), atol=1e-3)
    assert torch.allclose(neck(one, two), normed @ neck.classifier.weight.t(), atol=1e-6)
    assert neck.classifier.weight.shape == (4, 5)
    assert [name for name, p in neck.named_parameters() if not p.requires_grad] == [
        "norms.0.bias",
        "norms.1.bias",
    ]
    assert all(p.requires_grad for p in JointNeck((3, 2), 4).parameters())
