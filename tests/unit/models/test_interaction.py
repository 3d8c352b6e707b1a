import pytest
import torch

from tapetum.models.interaction import (
    ContextBlock,
    CrossModalInteraction,
    SemanticDiffusion,
    draw_partners,
)


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_context_block_equals_its_formula():
    torch.manual_seed(0)
    block = ContextBlock(128, scale=0.3, own_context_norm=True).double()
    x, context = random(2, 3, 128), random(2, 5, 128)
    q = block.query(block.norm(x))
    k, v = block.key_value(block.context_norm(context)).split(128, dim=-1)
    heads = []
    for part in (slice(0, 64), slice(64, 128)):
        weights = torch.softmax(q[..., part] @ k[..., part].transpose(1, 2) / 8, dim=-1)
        heads.append(weights @ v[..., part])
    mixed = x + 0.3 * block.out(torch.cat(heads, dim=-1))
    expected = mixed + 0.3 * block.ffn(block.ffn_norm(mixed))
    assert torch.allclose(block(x, context), expected)


@pytest.mark.parametrize("make", [SemanticDiffusion, CrossModalInteraction])
def test_either_module_has_three_million_parameters_at_the_width_of_clip(make):
    count = sum(p.numel() for p in make(512).parameters())
    assert round(count / 1e6, 2) in (3.15, 3.16)


@pytest.mark.parametrize(("dim", "heads"), [(512, 8), (128, 2), (64, 1), (48, 1)])
def test_heads_follow_the_width(dim, heads):
    assert ContextBlock(dim).heads == heads


def test_widths_that_heads_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="dim 100"):
        ContextBlock(100)


def test_a_scale_of_zero_switches_a_block_off():
    x = random(1, 2, 64)
    assert torch.equal(ContextBlock(64, scale=0).double()(x, random(1, 3, 64)), x)


@pytest.mark.parametrize("mode", ["xattn_bank", "pooled_prompt", "token_concat"])
def test_diffusion_ignores_the_order_of_the_bank_but_not_its_content(mode):
    module = SemanticDiffusion(64, mode).double()
    visual, bank = random(2, 3, 64), random(7, 64)
    found = module(visual, bank)
    assert torch.allclose(found, module(visual, bank[torch.randperm(7)]))
    assert not torch.allclose(found, module(visual, random(7, 64)), atol=1e-6)


def test_diffusion_treats_tokens_alone_unless_they_are_concatenated():
    visual, bank = random(1, 3, 64), random(5, 64)
    for mode, alone in (("xattn_bank", True), ("pooled_prompt", True), ("token_concat", False)):
        module = SemanticDiffusion(64, mode).double()
        is_alone = torch.allclose(module(visual, bank)[:, :1], module(visual[:, :1], bank), atol=1e-9)
        assert is_alone is alone


def test_pooled_prompt_is_the_mean_prompt():
    module = SemanticDiffusion(64, "pooled_prompt").double()
    visual, bank = random(1, 3, 64), random(5, 64)
    assert torch.allclose(module(visual, bank), module(visual, bank.mean(0, keepdim=True)))


def test_a_sequence_given_twice_is_a_sequence_given_once():
    for context in ("concat", "other"):
        module = CrossModalInteraction(128, context).double()
        own = random(3, 4, 128)
        assert torch.allclose(module(own, own), module(own), atol=1e-12)


def test_interaction_reads_the_partner_and_with_other_only_the_partner():
    own, partner = random(1, 2, 64), random(1, 2, 64)
    for context in ("concat", "other"):
        module = CrossModalInteraction(64, context).double()
        assert not torch.allclose(module(own, partner), module(own), atol=1e-6)
    changed = own.clone()
    changed[:, 1] += 1
    module = CrossModalInteraction(64, "other").double()
    assert torch.allclose(module(changed, partner)[:, 0], module(own, partner)[:, 0])


@pytest.mark.parametrize(("make", "word"), [(SemanticDiffusion, "mode"), (CrossModalInteraction, "context")])
def test_unknown_names_are_refused(make, word):
    with pytest.raises(ValueError, match=f"unknown {word} 'cross'"):
        make(64, "cross")


LABELS = torch.tensor([5, 5, 5, 2, 2, 2, 9, 9, 9] * 2)
ROWS = torch.arange(9)


def test_partners_without_shuffling_are_the_rows_across():
    found = draw_partners(LABELS, shuffle=False, self_probability=0, generator=generator())
    assert found.tolist() == [*range(9, 18), *range(9)]


def test_shuffled_partners_are_mutual_of_one_person_and_of_the_other_modality():
    seen = set()
    for seed in range(20):
        found = draw_partners(LABELS, shuffle=True, self_probability=0, generator=generator(seed))
        assert torch.equal(LABELS[found], LABELS)
        assert torch.equal(found >= 9, torch.arange(18) < 9)
        assert torch.equal(found[found], torch.arange(18))
        seen.add(tuple(found.tolist()))
    assert len(seen) > 10


def test_shuffling_handles_identities_that_are_not_in_runs():
    labels = torch.tensor([3, 1, 3, 1, 1, 3] * 2)
    found = draw_partners(labels, shuffle=True, self_probability=0, generator=generator(1))
    assert torch.equal(labels[found], labels)
    assert sorted(found.tolist()) == list(range(12))


def test_rows_of_one_modality_too_many_are_refused():
    with pytest.raises(ValueError, match="5 rows: expected as many visible as infrared"):
        draw_partners(LABELS[:5], shuffle=True, self_probability=0, generator=generator())


def test_every_partner_is_met_equally_often():
    first = [
        draw_partners(LABELS, shuffle=True, self_probability=0, generator=generator(seed))[0].item()
        for seed in range(300)
    ]
    assert all(70 <= first.count(row) <= 130 for row in (9, 10, 11))


def test_rows_are_their_own_partners_as_often_as_asked():
    always = draw_partners(LABELS, shuffle=True, self_probability=1, generator=generator())
    assert torch.equal(always, torch.arange(18))
    labels = torch.zeros(2000, dtype=torch.long)
    half = draw_partners(labels, shuffle=True, self_probability=0.5, generator=generator())
    assert 0.45 < (half == torch.arange(2000)).double().mean() < 0.55


def test_partners_follow_the_seed():
    draws = [
        draw_partners(LABELS, shuffle=True, self_probability=0.5, generator=generator(s)) for s in (4, 4, 5)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
