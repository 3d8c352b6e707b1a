import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tapetum.models.granularity import (
    CrossAttentionUnit,
    GranularityInteraction,
    PartnerBlock,
    TokenContext,
    exchange_channels,
)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def settled(module, seed=0):
    """The module in float64 with weights and norms that are nobody's default."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(noise * (0.2 if parameter.ndim > 1 else 1.0))
    return module


def plain_attention(query, keys, values, heads):
    """Softmax attention of one query per row, head by head, from formed keys and values."""
    size = query.shape[-1] // heads
    parts = []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        scores = (keys[..., part] @ query[..., part, None])[..., 0] / math.sqrt(size)
        parts.append((torch.softmax(scores, -1)[..., None] * values[..., part]).sum(-2))
    return torch.cat(parts, -1)


def plain_unit(unit, x, context):
    """The cross-attention unit as its authors write it: every key and value formed."""
    a = unit.attention
    keys = unit.context_norm(context) @ a.key.weight.t()
    mixed = plain_attention(
        unit.query_norm(x) @ a.query.weight.t(), keys, context @ a.value.weight.t(), a.heads
    )
    x = x + a.out(mixed)
    return x + unit.mlp.contract(F.gelu(unit.mlp.expand(unit.mlp_norm(x))))


def plain_block(block, tokens):
    """A pre-norm transformer block over all tokens `[R, L, D]`."""
    a = block.attention
    normed = block.norm(tokens)
    keys, values = normed @ a.key.weight.t(), normed @ a.value.weight.t()
    rows = []
    for i in range(tokens.shape[1]):
        rows.append(plain_attention(normed[:, i] @ a.query.weight.t(), keys, values, a.heads))
    x = tokens + a.out(torch.stack(rows, 1))
    return x + block.mlp.contract(F.gelu(block.mlp.expand(block.mlp_norm(x))))


@pytest.mark.parametrize("dim", [32, 128])
def test_folded_attention_is_plain_attention_forward_and_backward(dim):
    unit = settled(CrossAttentionUnit(dim))
    found = []
    for evaluate in (lambda x, c: unit(x, TokenContext.of(c)), lambda x, c: plain_unit(unit, x, c)):
        x, context = draw(3, dim).requires_grad_(), (draw(3, 7, dim, seed=1) + 2).requires_grad_()
        out = evaluate(x, context)
        unit.zero_grad()
        (out * draw(3, dim, seed=2)).sum().backward()
        found.append((out, x.grad, context.grad, {n: p.grad.clone() for n, p in unit.named_parameters()}))
    (out, x, context, weights), (plain_out, plain_x, plain_context, plain_weights) = found
    torch.testing.assert_close(out, plain_out)
    torch.testing.assert_close(x, plain_x)
    torch.testing.assert_close(context, plain_context)
    for name, gradient in weights.items():
        torch.testing.assert_close(gradient, plain_weights[name], msg=name)


def test_folded_attention_in_float32_and_under_autocast():
    unit = settled(CrossAttentionUnit(128))
    x, context = draw(5, 128), draw(5, 40, 128, seed=1) + 0.5
    exact = plain_unit(unit, x, context).float()
    unit, x, context = unit.float(), x.float(), context.float()
    torch.testing.assert_close(unit(x, TokenContext.of(context)), exact, atol=2e-4, rtol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shared = TokenContext.of(context)
        half = unit(x, shared)
    assert shared.tokens.dtype is torch.bfloat16
    assert shared.mean.dtype is torch.float32
    assert F.cosine_similarity(half.float(), exact).min() > 0.999


def test_cii_is_the_first_output_of_a_transformer_block():
    block = settled(PartnerBlock(128))
    pooled, patches = draw(2, 128), draw(2, 3, 5, 128, seed=1) - 1
    rows = []
    for one, frames in zip(pooled, patches, strict=True):
        sequences = torch.stack([torch.cat([one[None], frame]) for frame in frames])
        rows.append(plain_block(block, sequences)[:, 0].mean(0))
    found = block(pooled, TokenContext.of(patches.flatten(0, 1)))
    torch.testing.assert_close(found, torch.stack(rows))


def test_cii_gradients_are_those_of_the_whole_block():
    block = settled(PartnerBlock(64))
    found = []
    for is_folded in (True, False):
        pooled, patches = draw(2, 64).requires_grad_(), draw(2, 5, 64, seed=1).requires_grad_()
        block.zero_grad()
        if is_folded:
            out = block(pooled, TokenContext.of(patches))
        else:
            out = plain_block(block, torch.cat([pooled[:, None], patches], 1))[:, 0]
        out.square().sum().backward()
        found.append([pooled.grad, patches.grad, *(p.grad.clone() for p in block.parameters())])
    for folded, plain in zip(*found, strict=True):
        torch.testing.assert_close(folded, plain)


def test_channels_come_from_the_neighbours_named_in_the_formula():
    patches = draw(2, 5, 3, 16)
    for stride in (1, 2, 4, 9):
        found = exchange_channels(patches, stride)
        for t in range(5):
            before, after = t - stride if t >= stride else t, t + stride if t + stride < 5 else t
            torch.testing.assert_close(found[:, t, :, :4], patches[:, before, :, :4])
            torch.testing.assert_close(found[:, t, :, 4:8], patches[:, after, :, 4:8])
            torch.testing.assert_close(found[:, t, :, 8:], patches[:, t, :, 8:])
    assert exchange_channels(patches, 0) is patches


def test_the_worked_example_of_the_exchange():
    patches = torch.tensor([10.0, 20, 30, 40]).view(1, 4, 1, 1).repeat(1, 1, 2, 8)
    kept = patches.clone()
    found = exchange_channels(patches)
    assert found[0, :, 1, 0].tolist() == found[0, :, 0, 1].tolist() == [10, 10, 20, 30]
    assert found[0, :, 1, 2].tolist() == found[0, :, 0, 3].tolist() == [20, 30, 40, 40]
    assert found[0, :, 0, 4].tolist() == [10, 20, 30, 40]
    assert torch.equal(patches, kept)


def test_sii_passes_its_units_one_after_the_other():
    module = settled(GranularityInteraction(32, has_long=False, has_partner=False))
    classes, patches = draw(2, 4, 32), draw(2, 4, 6, 32, seed=1)
    exchanged = exchange_channels(patches)
    expected = classes
    for unit in module.short:
        expected = torch.stack([plain_unit(unit, x, c) for x, c in zip(expected, exchanged, strict=True)])
    branches = module(classes, patches)
    torch.testing.assert_close(branches.short, expected)
    assert branches.long is None
    assert branches.fused is branches.short


@pytest.mark.parametrize(("stride", "frames"), [(2, 5), (0, 5), (1, 2), (3, 2), (2, 1)])
def test_lii_queries_frame_t_with_the_class_token_of_frame_t_minus_stride(stride, frames):
    module = settled(GranularityInteraction(32, short_depth=0, long_stride=stride, has_partner=False))
    classes, patches = draw(2, frames, 32), draw(2, frames, 6, 32, seed=1)
    expected = torch.empty_like(classes)
    for clip in range(2):
        for t in range(frames):
            source = (t - stride) % frames
            out = plain_unit(module.long, classes[clip, source][None], patches[clip, t][None])
            expected[clip, source] = out[0]
    branches = module(classes, patches)
    torch.testing.assert_close(branches.long, expected)
    assert branches.short is None
    assert branches.fused is branches.long


def test_branches_add_up():
    module = settled(GranularityInteraction(32, has_partner=False))
    branches = module(draw(2, 3, 32), draw(2, 3, 6, 32, seed=1))
    torch.testing.assert_close(branches.fused, branches.short + branches.long)


def test_partners_are_the_rows_of_the_other_half():
    module = settled(GranularityInteraction(32, short_depth=0, has_long=False))
    pooled, patches = draw(4, 32), draw(4, 3, 6, 32, seed=1)
    context = TokenContext.of(patches.flatten(0, 1))
    found = module.meet(pooled, context)
    for i, partner in enumerate((2, 3, 0, 1)):
        alone = module.partner(pooled[i : i + 1], TokenContext.of(patches[partner]))
        torch.testing.assert_close(found[i : i + 1], alone)


def test_cii_that_is_off_says_so():
    module = GranularityInteraction(32, has_partner=False)
    assert module.partner is None
    with pytest.raises(RuntimeError, match="without its part between modalities"):
        module.meet(torch.zeros(2, 32), TokenContext.of(torch.zeros(2, 4, 32)))


def test_widths_that_make_no_heads_are_refused():
    with pytest.raises(ValueError, match="dim 96: expected a multiple of 64"):
        CrossAttentionUnit(96)
    assert CrossAttentionUnit(192).attention.heads == 3
    assert isinstance(CrossAttentionUnit(48).attention.query, nn.Linear)
