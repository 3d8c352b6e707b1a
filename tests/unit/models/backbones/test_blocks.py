import math

import pytest
import torch
from torch.nn import functional as F

from tapetum.models import Block, attend
from tapetum.models.backbones.blocks import Tower, activation_function, attend_causally, quick_gelu

N, L, HEADS, HEAD_DIM = 2, 7, 3, 4
WIDTH = HEADS * HEAD_DIM


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def qkv():
    return torch.randn(3, N, L, HEADS, HEAD_DIM, dtype=torch.float64).unbind()


def make_block(activation="quick_gelu"):
    block = Block(WIDTH, HEADS, activation).double()
    for parameter in block.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return block


def attend_by_loop(q, k, v, causal=False):
    mixed = torch.zeros_like(q)
    for n in range(q.shape[0]):
        for h in range(q.shape[2]):
            for i in range(q.shape[1]):
                seen = i + 1 if causal else k.shape[1]
                scores = [float(q[n, i, h] @ k[n, j, h]) / math.sqrt(q.shape[3]) for j in range(seen)]
                total = sum(math.exp(s) for s in scores)
                for j, score in enumerate(scores):
                    mixed[n, i, h] += math.exp(score) / total * v[n, j, h]
    return mixed


def shift_frames(q, k, v):
    """A pattern that moves tokens between rows, as temporal shifts do; takes cut queries."""
    return attend(q, k.roll(1, dims=0), v.roll(1, dims=0))


def test_attention_equals_a_plain_loop(qkv):
    torch.testing.assert_close(attend(*qkv), attend_by_loop(*qkv))
    torch.testing.assert_close(attend_causally(*qkv), attend_by_loop(*qkv, causal=True))


def test_attention_of_fewer_queries(qkv):
    q, k, v = qkv
    torch.testing.assert_close(attend(q[:, :2], k, v), attend(q, k, v)[:, :2])


def test_causal_attention_of_the_last_tokens(qkv):
    q, k, v = qkv
    whole = attend_by_loop(q, k, v, causal=True)
    for kept in (1, 2, q.shape[1]):
        torch.testing.assert_close(attend_causally(q[:, -kept:], k, v), whole[:, -kept:])
        half = [x.bfloat16().requires_grad_() for x in (q[:, -kept:], k, v)]
        torch.testing.assert_close(
            attend_causally(*half), whole[:, -kept:], atol=0.05, rtol=0.05, check_dtype=False
        )


@pytest.mark.parametrize("causal", [False, True])
def test_attention_trained_in_bfloat16_equals_the_loop(qkv, causal):
    """On a processor this way has products of its own; values and gradients agree up to the number type."""
    mix = attend_causally if causal else attend
    exact = [t.bfloat16().double().requires_grad_() for t in qkv]
    rounded = [t.bfloat16().requires_grad_() for t in qkv]
    expected, found = mix(*exact), mix(*rounded)
    torch.testing.assert_close(expected, attend_by_loop(*(t.detach() for t in exact), causal=causal))
    assert found.dtype is torch.bfloat16
    close = {"atol": 0.03, "rtol": 0.03, "check_dtype": False}
    torch.testing.assert_close(found, expected, **close)
    weights = torch.randn_like(expected)
    for got, wanted in zip(
        torch.autograd.grad((found * weights.bfloat16()).sum(), rounded),
        torch.autograd.grad((expected * weights).sum(), exact),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, **close)


def test_quick_gelu_equals_its_definition_and_derivative():
    x = torch.linspace(-6, 6, 31, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(quick_gelu(x), x * torch.sigmoid(1.702 * x))
    assert torch.autograd.gradcheck(quick_gelu, x)


def test_activations_by_name():
    assert activation_function("quick_gelu") is quick_gelu
    assert activation_function("gelu") is F.gelu
    with pytest.raises(ValueError, match="'relu'; known: quick_gelu, gelu"):
        activation_function("relu")


@torch.no_grad()
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_block_equals_its_formula(activation):
    block = make_block(activation)
    x = torch.randn(N, L, WIDTH, dtype=torch.float64)
    u = F.layer_norm(x, (WIDTH,), block.ln_1.weight, block.ln_1.bias)
    q = F.linear(u, block.attn.query.weight, block.attn.query.bias)
    k, v = F.linear(u, block.attn.key_value.weight, block.attn.key_value.bias).chunk(2, dim=-1)
    heads = (t.reshape(N, L, HEADS, HEAD_DIM) for t in (q, k, v))
    mixed = attend_by_loop(*heads).reshape(N, L, WIDTH)
    y = x + F.linear(mixed, block.attn.out.weight, block.attn.out.bias)
    hidden = F.linear(F.layer_norm(y, (WIDTH,), block.ln_2.weight, block.ln_2.bias), block.mlp.expand.weight)
    hidden = hidden + block.mlp.expand.bias
    hidden = hidden * torch.sigmoid(1.702 * hidden) if activation == "quick_gelu" else F.gelu(hidden)
    expected = y + F.linear(hidden, block.mlp.contract.weight, block.mlp.contract.bias)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("pattern", [None, shift_frames])
@pytest.mark.parametrize("queries", [1, 3, L])
def test_cut_queries_are_exact(pattern, queries):
    block = make_block()
    x = torch.randn(N, L, WIDTH, dtype=torch.float64, requires_grad=True)
    whole, cut = block(x, pattern)[:, :queries], block(x, pattern, queries=queries)
    torch.testing.assert_close(cut, whole)
    (expected,), (found,) = (torch.autograd.grad(y.square().sum(), x) for y in (whole, cut))
    torch.testing.assert_close(found, expected)


def test_pattern_moves_projected_tokens():
    """Rolling keys and values equals rolling the tokens they come from."""
    block = make_block()
    x = torch.randn(N, L, WIDTH, dtype=torch.float64)
    u = block.ln_1(x)
    k, v = block.attn.key_value(u.roll(1, dims=0)).view(N, L, 2, HEADS, HEAD_DIM).unbind(2)
    mixed = attend(block.attn.query(u).view(N, L, HEADS, HEAD_DIM), k, v)
    y = x + block.attn.out(mixed.reshape(N, L, WIDTH))
    torch.testing.assert_close(block(x, shift_frames), y + block.mlp(block.ln_2(y)))


def test_heads_must_divide_width():
    with pytest.raises(ValueError, match="width 10 is no multiple of heads 3"):
        Block(10, 3, "gelu")


@pytest.mark.parametrize("pattern", [None, shift_frames])
def test_gradient_checkpointing_gives_equal_gradients(pattern):
    tower = Tower(WIDTH, 2, HEADS, "gelu").double()
    tower.reset_blocks()
    x = torch.randn(N, L, WIDTH, dtype=torch.float64, requires_grad=True)

    def gradients():
        y = tower.run_block(1, tower.run_block(0, x, pattern), pattern, queries=1)
        return torch.autograd.grad(y.square().sum(), [x, *tower.parameters()])

    expected = gradients()
    tower.gradient_checkpointing = True
    for found, wanted in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_gradient_checkpointing_keeps_fewer_tensors():
    tower = Tower(WIDTH, 2, HEADS, "gelu")
    x = torch.randn(N, L, WIDTH, requires_grad=True)

    def kept():
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            tower.run_block(1, tower.run_block(0, x))
        return sum(sizes)

    everything = kept()
    tower.gradient_checkpointing = True
    assert kept() < everything / 4


def test_initial_weights_have_openai_deviations():
    width, depth = 128, 3
    tower = Tower(width, depth, 2, "gelu")
    tower.reset_blocks()
    block = tower.blocks[1]
    into_residual = width**-0.5 * (2 * depth) ** -0.5
    for layer, std in (
        (block.attn.query, width**-0.5),
        (block.attn.key_value, width**-0.5),
        (block.attn.out, into_residual),
        (block.mlp.expand, (2 * width) ** -0.5),
        (block.mlp.contract, into_residual),
    ):
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
        assert not layer.bias.any()
