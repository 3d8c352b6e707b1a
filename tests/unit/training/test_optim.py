import pytest
import torch
from torch import nn

from tapetum.config import build_config
from tapetum.errors import ConfigError
from tapetum.methods._base import OptimConfig, ParameterGroup
from tapetum.training.optim import (
    AveragedWeights,
    create_optimizer,
    gradient_norm,
    load_optimizer_tensors,
    merge_groups,
    only_training,
    optimizer_tensors,
    scale_rates,
)

CPU = torch.device("cpu")


def parameters(count: int) -> list[nn.Parameter]:
    return [nn.Parameter(torch.full((2,), float(i + 1))) for i in range(count)]


def test_groups_with_equal_rate_and_decay_become_one():
    a, b, c, d = parameters(4)
    merged = merge_groups(
        [
            ParameterGroup("tower", [a], 1e-3, 0.1),
            ParameterGroup("head", [b], 1e-2, 0.1),
            ParameterGroup("biases", [c, d], 1e-3, 0.1),
            ParameterGroup("free", [nn.Parameter(torch.ones(1))], 1e-3, 0.0),
        ],
        "stage",
    )
    assert [g.name for g in merged] == ["tower+biases", "head", "free"]
    assert [p is q for p, q in zip(merged[0].parameters, (a, c, d), strict=True)] == [True] * 3
    assert (merged[1].lr, merged[1].weight_decay) == (1e-2, 0.1)


def test_a_parameter_in_two_groups_is_refused():
    (a,) = parameters(1)
    with pytest.raises(ValueError, match="'stage' has a parameter in more than one place"):
        merge_groups([ParameterGroup("x", [a], 1, 0), ParameterGroup("y", [a], 2, 0)], "stage")


def test_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="'stage' names no parameter"):
        merge_groups([ParameterGroup("x", [], 1, 0)], "stage")


def test_first_adamw_step_by_hand():
    """With bias correction the first step is lr * sign(gradient), after decay by lr * weight decay."""
    weight = nn.Parameter(torch.tensor([2.0, -3.0]))
    groups = merge_groups([ParameterGroup("x", [weight], 0.1, 0.5)], "stage")
    optimizer = create_optimizer(groups, OptimConfig(), CPU)
    scale_rates(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] == 0.05
    weight.grad = torch.tensor([4.0, -0.25])
    optimizer.step()
    decayed = torch.tensor([2.0, -3.0]) * (1 - 0.05 * 0.5)
    torch.testing.assert_close(weight.detach(), decayed - 0.05 * torch.tensor([1.0, -1.0]))


def test_first_adam_step_takes_weight_decay_into_the_gradient():
    """lr * sign(gradient + weight decay * weight): here the decay turns the second sign round."""
    weight = nn.Parameter(torch.tensor([2.0, -3.0]))
    groups = merge_groups([ParameterGroup("x", [weight], 0.1, 0.5)], "stage")
    optimizer = create_optimizer(groups, OptimConfig(algorithm="adam"), CPU)
    weight.grad = torch.tensor([4.0, 1.0])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([1.9, -2.9]))


@pytest.mark.parametrize(
    ("nesterov", "expected"),
    [(False, 1.5 - 0.1 * 3.25), (True, 1.25 - 0.1 * 2.1875)],
)
def test_two_sgd_steps_by_hand(nesterov, expected):
    """v = momentum * v + (gradient + decay * weight); the weight moves by lr v, or by lr (g + momentum v).

    From weight 2, gradient 4, decay 0.5: g = 5, v = 5, so the weight is 1.5, or 1.25 with the look ahead.
    Then gradient 0: plain g = 0.75, v = 3.25; ahead g = 0.625, v = 3.125, g + 0.5 v = 2.1875.
    """
    weight = nn.Parameter(torch.tensor([2.0]))
    groups = merge_groups([ParameterGroup("x", [weight], 0.1, 0.5)], "stage")
    config = OptimConfig(algorithm="sgd", momentum=0.5, nesterov=nesterov)
    optimizer = create_optimizer(groups, config, CPU)
    for gradient in (4.0, 0.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([expected]))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torch_s_and_resumes_exactly(momentum):
    config = OptimConfig(algorithm="sgd", momentum=momentum, nesterov=momentum > 0)
    torch.manual_seed(0)
    starts, gradients = torch.randn(3, 4), torch.randn(6, 3, 4)

    def build(values):
        own = [nn.Parameter(v.clone()) for v in values]
        groups = [
            ParameterGroup(n, [p], r, 0.01) for n, p, r in zip("abc", own, (0.1, 0.1, 0.2), strict=True)
        ]
        return own, create_optimizer(merge_groups(groups, "s"), config, CPU)

    def step(own, optimizer, number):
        for p, g in zip(own, gradients[number], strict=True):
            p.grad = g.clone()
        optimizer.step()

    own, optimizer = build(starts)
    assert [g["name"] for g in optimizer.param_groups] == ["a+b", "c"]
    theirs = [nn.Parameter(v.clone()) for v in starts]
    rates = [{"params": theirs[:2], "lr": 0.1}, {"params": theirs[2:], "lr": 0.2}]
    plain = torch.optim.SGD(rates, momentum=momentum, nesterov=momentum > 0, weight_decay=0.01, foreach=False)
    for number in range(3):
        step(own, optimizer, number)
        step(theirs, plain, number)
    torch.testing.assert_close(own, theirs)
    again, resumed = build([p.detach() for p in own])
    stored = optimizer_tensors(optimizer, dict(zip(own, "abc", strict=True)))
    assert set(stored) == ({f"{n}/momentum_buffer" for n in "abc"} if momentum else set())
    load_optimizer_tensors(resumed, stored, dict(zip(again, "abc", strict=True)))
    for number in range(3, 6):
        step(own, optimizer, number)
        step(again, resumed, number)
    assert all(torch.equal(p, q) for p, q in zip(own, again, strict=True))


def test_sgd_takes_a_first_gradient_at_any_step():
    early, late = parameters(2)
    groups = merge_groups([ParameterGroup("x", [early, late], 0.1, 0.0)], "s")
    optimizer = create_optimizer(groups, OptimConfig(algorithm="sgd", nesterov=False), CPU)
    early.grad = torch.ones(2)
    optimizer.step()
    late.grad = torch.ones(2)
    optimizer.step()
    torch.testing.assert_close(late.detach(), torch.full((2,), 1.9))
    torch.testing.assert_close(early.detach(), torch.full((2,), 1 - 0.1 - 0.19))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ConfigError, match="nesterov looks ahead along a momentum"):
        build_config(OptimConfig, {"algorithm": "sgd", "momentum": 0})
    OptimConfig(algorithm="sgd", momentum=0, nesterov=False)


def test_merging_changes_no_update():
    def train(merge: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        own = parameters(3)
        groups = [ParameterGroup(str(i), [p], 0.1, 0.01) for i, p in enumerate(own)]
        merged = merge_groups(groups, "s") if merge else [merge_groups([g], "s")[0] for g in groups]
        optimizer = create_optimizer(merged, OptimConfig(), CPU)
        for _ in range(3):
            for p in own:
                p.grad = torch.randn(2)
            optimizer.step()
        return [p.detach() for p in own]

    assert all(torch.equal(a, b) for a, b in zip(train(True), train(False), strict=True))


def test_rates_scale_from_the_base_not_from_the_last():
    a, b = parameters(2)
    groups = merge_groups([ParameterGroup("a", [a], 1.0, 0), ParameterGroup("b", [b], 3.0, 0)], "s")
    optimizer = create_optimizer(groups, OptimConfig(), CPU)
    scale_rates(optimizer, 0.1)
    scale_rates(optimizer, 0.5)
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 1.5]


def test_optimizer_state_goes_through_tensors_exactly():
    def build(weight: nn.Parameter):
        return create_optimizer(
            merge_groups([ParameterGroup("x", [weight], 0.1, 0.01)], "s"), OptimConfig(), CPU
        )

    def step(weight, optimizer, gradient):
        weight.grad = torch.tensor(gradient)
        optimizer.step()

    one = nn.Parameter(torch.tensor([1.0, 2.0]))
    first = build(one)
    step(one, first, [0.3, -0.7])
    two = nn.Parameter(one.detach().clone())
    second = build(two)
    stored = optimizer_tensors(first, {one: "w"})
    assert set(stored) == {"w/step", "w/exp_avg", "w/exp_avg_sq"}
    load_optimizer_tensors(second, stored, {two: "w"})
    step(one, first, [0.1, 0.2])
    step(two, second, [0.1, 0.2])
    assert torch.equal(one, two)


def test_a_foreign_optimizer_state_is_named():
    weight = nn.Parameter(torch.ones(1))
    optimizer = create_optimizer(
        merge_groups([ParameterGroup("x", [weight], 0.1, 0)], "s"), OptimConfig(), CPU
    )
    with pytest.raises(KeyError, match="other"):
        load_optimizer_tensors(optimizer, {"other/step": torch.ones(())}, {weight: "w"})


def test_only_the_chosen_parameters_require_gradients_meanwhile():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].bias.requires_grad_(False)
    with only_training(module, [module[1].bias]):
        assert [p.requires_grad for p in module.parameters()] == [False, False, False, True]
        module[1].bias.grad = torch.ones(2)
    assert [p.requires_grad for p in module.parameters()] == [True, True, True, False]
    assert module[1].bias.grad is None


def test_a_foreign_parameter_is_refused():
    with (
        pytest.raises(ValueError, match="not part of the method"),
        only_training(nn.Linear(2, 2), parameters(1)),
    ):
        pass


def test_gradient_norm_by_hand():
    a, b, c = parameters(3)
    a.grad, b.grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    assert gradient_norm([a, b, c]).item() == 5.0
    assert gradient_norm([c]).item() == 0.0


def test_average_by_hand():
    weight = nn.Parameter(torch.tensor([1.0]))
    average = AveragedWeights({"w": weight}, 0.75)
    for value in (2.0, 4.0):
        weight.data.fill_(value)
        average.update()
    # 1 -> 0.75 * 1 + 0.25 * 2 = 1.25 -> 0.75 * 1.25 + 0.25 * 4 = 1.9375
    assert average.tensors["w"].item() == 1.9375
    with average.applied():
        assert weight.item() == 1.9375
    assert weight.item() == 4.0
    average.write()
    assert weight.item() == 1.9375
