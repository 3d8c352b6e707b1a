import torch
from torch import nn

from tapetum.models.batch_statistics import hold_statistics


def test_statistics_stay_and_weights_learn():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Sequential(nn.BatchNorm1d(4))
    )
    norm = module[1]
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    before = {name: value.clone() for name, value in module.named_buffers()}
    module.train()
    hold_statistics(module)
    x = torch.randn(5, 3)
    normed = norm(module[0](x))
    expected = (module[0](x) - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(normed, expected)
    module(x).square().sum().backward()
    assert norm.weight.grad.any()
    assert all(torch.equal(before[name], value) for name, value in module.named_buffers())
    assert module[2].training
    assert not module[3][0].training
    module.train()
    module(x)
    assert not torch.equal(norm.running_mean, before["1.running_mean"])
