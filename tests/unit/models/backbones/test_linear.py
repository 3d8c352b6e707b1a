import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tapetum.models.backbones import linear
from tapetum.models.backbones.blocks import Block
from tapetum.models.backbones.linear import PRODUCTS, Linear, has_onednn, onednn_products, quicker_by_onednn

needs_onednn = pytest.mark.skipif(not has_onednn(), reason="this torch offers no oneDNN product here")


@pytest.fixture
def calls(monkeypatch):
    """Sizes of all products by oneDNN; every product is large enough for it."""
    made = []
    real = linear._multiply

    def multiply(a, b, bias=None):
        made.append((tuple(a.shape), tuple(b.shape), bias is not None))
        return real(a, b, bias)

    monkeypatch.setattr(linear, "_multiply", multiply)
    monkeypatch.setattr(linear, "_SMALLEST", 1)
    return made


def make_layer(bias=True):
    torch.manual_seed(0)
    return Linear(5, 7, bias=bias)


def run(layer, products, shape=(3, 4, 5)):
    """Output, gradients of input, weight and bias."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    layer.zero_grad()
    with onednn_products(products):
        out = layer(x)
        (out * out.detach().cos()).sum().backward()
    return out, x.grad, layer.weight.grad.clone(), None if layer.bias is None else layer.bias.grad.clone()


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("products", [PRODUCTS, ("forward",), ("input", "weight")])
def test_numbers_and_gradients_are_those_of_the_common_way(calls, bias, products):
    layer = make_layer(bias)
    plain = run(layer, ())
    assert not calls
    found = run(layer, products)
    assert len(calls) == len(products)
    for one, other in zip(found, plain, strict=True):
        if other is not None:
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@needs_onednn
def test_each_product_goes_its_own_way(calls):
    layer = make_layer()
    run(layer, ("forward",))
    assert calls == [((12, 5), (7, 5), True)]
    calls.clear()
    run(layer, ("input",))
    assert calls == [((12, 7), (5, 7), False)]
    calls.clear()
    run(layer, ("weight",))
    assert calls == [((7, 12), (5, 12), False)]


@needs_onednn
def test_what_takes_no_gradient_costs_none(calls):
    layer = make_layer()
    layer.weight.requires_grad_(False)
    x = torch.randn(3, 5)
    with onednn_products(PRODUCTS):
        out = layer(x)
        out.sum().backward()
        assert x.grad is None
        assert len(calls) == 1  # the bias alone
        with torch.no_grad():
            torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
    assert len(calls) == 2


@needs_onednn
def test_a_block_s_gradients_are_equal_either_way(calls):
    torch.manual_seed(0)
    block = Block(32, 2, "quick_gelu")
    gradients = []
    for products in ((), PRODUCTS):
        x = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
        block.zero_grad()
        with onednn_products(products):
            block(x).square().sum().backward()
        gradients.append([x.grad, *(p.grad.clone() for p in block.parameters())])
    assert len(calls) == 15  # five layers, three products each
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@needs_onednn
def test_half_precision_and_small_products_go_the_common_way(calls, monkeypatch):
    layer, x = make_layer(), torch.randn(3, 5)
    with onednn_products(PRODUCTS):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x).dtype is torch.bfloat16
        layer.double()(x.double())
        layer.float()
        exported = torch.export.export(layer, (x,))
        assert not calls
        torch.testing.assert_close(exported.module()(x), layer(x))
        assert len(calls) == 1
        monkeypatch.setattr(linear, "_SMALLEST", 3 * 5 * 7 + 1)
        layer(x)
    assert len(calls) == 1


def test_the_choice_is_timed_once_and_only_clear_gains_count(monkeypatch):
    monkeypatch.setattr(linear, "has_onednn", lambda: True)
    gains = {"forward": 1.9, "input": 1.1, "weight": 1.31}
    asked = []
    monkeypatch.setattr(linear, "_gain", lambda name, compute: asked.append(name) or gains[name])
    quicker_by_onednn.cache_clear()
    assert quicker_by_onednn() == quicker_by_onednn() == {"forward", "weight"}
    assert asked == list(PRODUCTS)
    monkeypatch.setattr(linear, "has_onednn", lambda: False)
    quicker_by_onednn.cache_clear()
    assert quicker_by_onednn() == frozenset()
    quicker_by_onednn.cache_clear()


def test_where_torch_offers_none_all_go_the_common_way(monkeypatch):
    monkeypatch.setattr(linear, "has_onednn", lambda: False)
    monkeypatch.setattr(linear, "_SMALLEST", 1)
    layer, x = make_layer(), torch.randn(3, 5)
    with onednn_products(PRODUCTS):
        torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_a_choice_ends_with_its_block():
    with onednn_products(("forward",)):
        assert linear._chosen == (frozenset(("forward",)) if has_onednn() else frozenset())
        with onednn_products(()):
            assert linear._chosen == frozenset()
    assert linear._chosen is None


@needs_onednn
def test_timing_compares_two_ways_that_agree():
    x, weight, slope = torch.randn(8, 5), torch.randn(7, 5), torch.randn(8, 7)
    every = frozenset(PRODUCTS)
    for compute, expected in (
        (lambda p: linear._forward(x, weight, None, p), x @ weight.t()),
        (lambda p: linear._input_gradient(slope, weight, p), slope @ weight),
        (lambda p: linear._weight_gradient(slope, x, p), slope.t() @ x),
    ):
        torch.testing.assert_close(compute(every), expected)
        torch.testing.assert_close(compute(frozenset()), expected)
    assert linear._gain("forward", lambda p: linear._forward(x, weight, None, p)) > 0
