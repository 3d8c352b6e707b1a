import pytest
import torch
from torch.nn import functional as F

from tapetum.models import TEXT_B, TextConfig, TextTransformer

CONFIG = TextConfig(vocab_size=30, context_length=77, width=32, layers=3, heads=4, output_dim=20)
START, END = 28, 29


@pytest.fixture
def tower():
    torch.manual_seed(0)
    tower = TextTransformer(CONFIG)
    for parameter in tower.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return tower


def make_ids(*ends):
    ids = torch.zeros(len(ends), 77, dtype=torch.int64)
    for row, end in zip(ids, ends, strict=True):
        row[0], row[1:end], row[end] = START, torch.randint(1, START, (end - 1,)), END
    return ids


def encode_all_positions(tower, ids):
    """Every position, an explicit mask, no cut."""
    x = tower.token_embedding(ids) + tower.positional_embedding
    hidden = torch.ones(77, 77, dtype=torch.bool).tril()

    def masked(q, k, v):
        return F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=hidden
        ).transpose(1, 2)

    for block in tower.blocks:
        x = block(x, masked)
    return tower.projection(tower.ln_final(x[torch.arange(len(x)), ids.argmax(-1)]))


def test_published_size():
    with torch.device("meta"):
        tower = TextTransformer(TEXT_B)
    assert sum(p.numel() for p in tower.parameters()) == 63_428_096


@pytest.mark.parametrize("ends", [(15, 15, 15), (3, 15, 9), (76, 5, 1), (1,)])
def test_cut_equals_all_positions(tower, ends):
    ids = make_ids(*ends)
    torch.testing.assert_close(tower(ids), encode_all_positions(tower, ids), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ends", [(15, 15), (3, 9)])
def test_only_used_positions_are_run(tower, ends):
    lengths = []
    tower.blocks[0].register_forward_hook(lambda _, args, __: lengths.append(args[0].shape[1]))
    tower(make_ids(*ends))
    assert lengths == [max(ends) + 1]


def test_what_follows_the_end_has_no_influence(tower):
    ids = make_ids(5, 9)
    changed = ids.clone()
    changed[0, 6:] = 7
    assert torch.equal(tower(ids), tower(changed))


def test_embeddings_in_place_of_ids(tower):
    ids = make_ids(6, 6, 6)[:, :9]
    embeddings = tower.embed_tokens(ids)
    assert torch.equal(embeddings, tower.token_embedding.weight[ids])
    expected = tower(ids)
    torch.testing.assert_close(tower.encode_embeddings(embeddings, 6), expected)
    torch.testing.assert_close(tower.encode_embeddings(embeddings, torch.full((3,), 6)), expected)


@pytest.mark.parametrize("first", [1, 4, 6])
def test_a_common_prefix_is_run_once_and_changes_nothing(tower, first):
    tower = tower.double()
    embeddings = torch.randn(3, 9, 32, dtype=torch.float64)
    embeddings[:, :first] = embeddings[0, :first]
    embeddings.requires_grad_()
    rows = []
    tower.blocks[1].register_forward_hook(lambda _, args, __: rows.append(tuple(args[0].shape[:2])))
    prefix = embeddings[0, :first].detach()
    found = tower.encode_embeddings(embeddings[:, first:], 7, prefix=prefix)
    assert rows == [(1, first), (3, 8 - first)]
    expected = tower.encode_embeddings(embeddings, 7)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
    for one, other in zip(
        *(torch.autograd.grad(x.square().sum(), embeddings, retain_graph=True) for x in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(one[:, first:], other[:, first:], atol=1e-11, rtol=1e-9)


def test_gradients_of_the_weights_count_a_common_prefix(tower):
    tower = tower.double()
    embeddings = torch.randn(1, 9, 32, dtype=torch.float64).repeat(2, 1, 1)
    embeddings[:, 5] += 1
    ways = (
        tower.encode_embeddings(embeddings, 8),
        tower.encode_embeddings(embeddings[:, 3:], 8, prefix=embeddings[0, :3]),
    )
    weights = [p for name, p in tower.named_parameters() if "token_embedding" not in name]
    one, other = (torch.autograd.grad(x.square().sum(), weights) for x in ways)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-8)


def test_a_common_prefix_needs_a_common_end(tower):
    rest, prefix = torch.randn(2, 4, 32), torch.randn(3, 32)
    with pytest.raises(ValueError, match="one end for all rows"):
        tower.encode_embeddings(rest, torch.tensor([5, 6]), prefix=prefix)
    with pytest.raises(ValueError, match="end token at position 7 of 7"):
        tower.encode_embeddings(rest, 7, prefix=prefix)
    with pytest.raises(ValueError, match="78 tokens given"):
        tower.encode_embeddings(torch.randn(1, 75, 32), 7, prefix=prefix)


def test_gradients_reach_embeddings_equally_by_both_ways(tower):
    embeddings = torch.randn(2, 9, 32, requires_grad=True)
    found = [
        torch.autograd.grad(tower.encode_embeddings(embeddings, end).square().sum(), embeddings)[0]
        for end in (6, torch.tensor([6, 6]))
    ]
    torch.testing.assert_close(*found)
    assert found[0][:, :7].abs().sum(-1).min() > 0
    assert not found[0][:, 7:].any()


def test_gradient_checkpointing_gives_equal_gradients(tower):
    ids = make_ids(4, 7)

    def gradients():
        return torch.autograd.grad(tower(ids).square().sum(), list(tower.parameters()))

    expected = gradients()
    tower.gradient_checkpointing = True
    for found, wanted in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_bfloat16_autocast_stays_close(tower):
    ids = make_ids(5, 12)
    with torch.autocast("cpu", torch.bfloat16):
        found = tower(ids)
    assert F.cosine_similarity(tower(ids), found.float()).min() > 0.999


def test_too_long_and_end_outside(tower):
    with pytest.raises(ValueError, match="78 tokens given to a text tower of 77"):
        tower.encode_embeddings(torch.zeros(1, 78, 32), 3)
    with pytest.raises(ValueError, match="position 9 of 9 tokens"):
        tower.encode_embeddings(torch.zeros(1, 9, 32), 9)
