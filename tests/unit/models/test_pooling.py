import math

import pytest
import torch

from tapetum.models.pooling import GeneralisedMean


def by_loops(maps, p, form):
    """The definition, one number at a time."""
    result = torch.empty(maps.shape[:2], dtype=torch.float64)
    for n, rows in enumerate(maps.double().tolist()):
        for c, plane in enumerate(rows):
            values = [value for line in plane for value in line]
            if form == "clamp":
                mean = sum(max(v, 1e-6) ** p for v in values) / len(values)
            else:
                mean = sum(max(v, 0.0) ** p for v in values) / len(values) + 1e-12
            result[n, c] = mean ** (1 / p)
    return result


def make_maps(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return torch.randn(3, 4, 5, 2).relu().mul(4).to(dtype)


@pytest.mark.parametrize("form", ["offset", "clamp"])
@pytest.mark.parametrize("learnable", [False, True])
@pytest.mark.parametrize("p", [1.0, 2.5, 3.0, 7.0])
def test_pooling_is_its_definition(p, learnable, form):
    maps = make_maps()
    maps[0, 0] = 0.0
    pooled = GeneralisedMean(p, learnable=learnable, form=form).double()(maps)
    assert pooled.dtype is torch.float64
    assert torch.allclose(pooled, by_loops(maps, p, form), rtol=1e-12, atol=1e-12)


def test_a_map_worked_by_hand():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 0.0]], [[2.0, 2.0], [2.0, 2.0]]]])
    pooled = GeneralisedMean()(maps)
    assert pooled.shape == (1, 2)
    assert torch.allclose(pooled, torch.tensor([[9 ** (1 / 3), 2.0]]))


def test_exponents_lead_from_the_mean_to_the_maximum():
    maps = make_maps()
    assert torch.allclose(GeneralisedMean(1.0)(maps), maps.mean((2, 3)))
    assert torch.allclose(GeneralisedMean(200.0)(maps), maps.amax((2, 3)), rtol=0.02)


@pytest.mark.parametrize("form", ["offset", "clamp"])
def test_gradients_are_those_of_the_definition(form):
    pool = GeneralisedMean(2.5, learnable=True, form=form).double()
    maps = (make_maps() + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(pool, (maps,))
    pool(maps).sum().backward()
    step = 1e-6
    ahead, behind = (by_loops(maps.detach(), 2.5 + s, form).sum() for s in (step, -step))
    assert pool.p.grad.item() == pytest.approx((ahead - behind).item() / (2 * step), rel=1e-6)


@pytest.mark.parametrize("form", ["offset", "clamp"])
@pytest.mark.parametrize("learnable", [False, True])
def test_empty_and_negative_maps_give_finite_values_and_gradients(form, learnable):
    maps = torch.stack([torch.zeros(2, 3, 3), -torch.ones(2, 3, 3)]).requires_grad_()
    pool = GeneralisedMean(form=form, learnable=learnable)
    pooled = pool(maps)
    pooled.sum().backward()
    assert (pooled >= 0).all()
    assert (pooled < 2e-4).all()
    assert torch.isfinite(maps.grad).all()
    assert not learnable or math.isfinite(pool.p.grad.item())


def test_half_precision_maps_are_pooled_in_float32():
    maps = make_maps(dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = GeneralisedMean()(maps)
    assert pooled.dtype is torch.float32
    assert torch.allclose(pooled.double(), by_loops(maps, 3.0, "offset"), rtol=1e-6)


def test_float32_is_accurate_where_powers_are_large():
    maps = make_maps(dtype=torch.float32) * 1000
    assert torch.allclose(GeneralisedMean()(maps).double(), by_loops(maps, 3.0, "offset"), rtol=1e-6)


def test_a_fixed_exponent_is_no_parameter_and_in_no_file():
    assert not list(GeneralisedMean().parameters())
    assert not GeneralisedMean().state_dict()
    assert [name for name, _ in GeneralisedMean(learnable=True).named_parameters()] == ["p"]


@pytest.mark.parametrize("p", [0.0, -1.0, math.nan, math.inf])
def test_an_exponent_outside_its_range_is_refused(p):
    with pytest.raises(ValueError, match="p must be a number above 0"):
        GeneralisedMean(p)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="unknown form 'floor'; known: offset, clamp"):
        GeneralisedMean(form="floor")
