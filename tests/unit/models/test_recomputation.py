import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import set_checkpoint_early_stop

from tapetum.models.batch_statistics import hold_statistics
from tapetum.models.recomputation import recomputed


class Halves(nn.Module):
    """Two inputs, two batch norms, one of which may keep no statistics."""

    def __init__(self, **options):
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3, **options)

    def forward(self, x, y):
        return self.second(torch.relu(self.first(x)) * y).tanh()


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": None}, {"track_running_stats": False}],
    ids=["usual", "cumulative", "no statistics"],
)
@pytest.mark.parametrize("held", [False, True])
def test_gradients_and_statistics_are_those_of_a_plain_call(options, held):
    torch.manual_seed(0)
    plain = Halves(**options)
    saving = copy.deepcopy(plain)
    for module, run in ((plain, plain), (saving, lambda *inputs: recomputed(saving, *inputs))):
        if held:
            hold_statistics(module)
        for seed in (1, 2):
            x, y = torch.randn(2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
            run(x.requires_grad_(), y).square().sum().backward()
    for one, two in zip(plain.parameters(), saving.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)
    assert plain.state_dict().keys() == saving.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, saving.state_dict()[name]), name
    assert saving.first.num_batches_tracked == (0 if held else 2)


def test_statistics_are_put_back_after_an_error():
    class Failing(Halves):
        calls = 0

        def forward(self, x, y):
            self.calls += 1
            made = super().forward(x, y)
            if self.calls > 1:
                raise RuntimeError("out of luck")
            return made

    module = Failing()
    x = torch.randn(4, 3, 5, 5, requires_grad=True)
    with set_checkpoint_early_stop(False):
        made = recomputed(module, x, torch.ones(4, 3, 5, 5))
    mean = module.first.running_mean
    before = mean.clone()
    with pytest.raises(RuntimeError, match="luck"):
        made.sum().backward()
    assert module.first.running_mean is mean
    assert torch.equal(mean, before)
