import pytest
import torch

from tapetum.models import DAY_AND_NIGHT, PromptTemplate, SharedPrompts, TextConfig, TextTransformer

TEMPLATE = PromptTemplate(ids=(18, 3, 0, 0, 5, 6, 19), first=2, count=2)


@pytest.fixture
def text():
    torch.manual_seed(0)
    config = TextConfig(vocab_size=20, context_length=12, width=32, layers=2, heads=4, output_dim=24)
    return TextTransformer(config)


@pytest.fixture
def prompts(text):
    return SharedPrompts(text, TEMPLATE, identities=5)


def test_prompts_are_the_sentence_with_learnable_tokens_in_its_gap(text, prompts):
    embeddings, end = prompts()
    assert embeddings.shape == (5, 7, 32)
    assert end == 6
    words = text.token_embedding.weight
    for person in range(5):
        for position, number in enumerate(TEMPLATE.ids):
            learnt = position in (2, 3)
            expected = prompts.tokens[person, position - 2] if learnt else words[number]
            assert torch.equal(embeddings[person, position], expected)


def test_features_equal_the_text_tower_with_replaced_words(text, prompts):
    """Write an identity's tokens into the vocabulary and encode the sentence as text."""
    features = text.encode_embeddings(*prompts())
    assert features.shape == (5, 24)
    with torch.no_grad():
        text.token_embedding.weight[10:12] = prompts.tokens[3]
    ids = torch.tensor([[18, 3, 10, 11, 5, 6, 19, 0, 0]])
    torch.testing.assert_close(features[3], text(ids)[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("labels", [None, torch.tensor([4, 0, 4])])
def test_features_are_the_same_with_the_common_words_run_once(text, prompts, labels):
    own = prompts.own_tokens(labels)
    assert torch.equal(own, prompts(labels)[0][:, 2:])
    found = text.encode_embeddings(own, prompts.end, prefix=prompts.prefix)
    torch.testing.assert_close(found, text.encode_embeddings(*prompts(labels)), atol=1e-6, rtol=1e-5)


def test_labels_choose_prompts(prompts):
    labels = torch.tensor([4, 0, 4])
    assert torch.equal(prompts(labels)[0], prompts()[0][labels])


def test_only_the_tokens_learn(text, prompts):
    assert [name for name, _ in prompts.named_parameters()] == ["tokens"]
    text.requires_grad_(False)
    text.encode_embeddings(*prompts(torch.tensor([1]))).square().sum().backward()
    gradient = prompts.tokens.grad
    assert gradient[1].abs().min() > 0
    assert not gradient[[0, 2, 3, 4]].any()


def test_fixed_words_do_not_follow_the_tower(text, prompts):
    before = prompts()[0].detach().clone()
    with torch.no_grad():
        text.token_embedding.weight.add_(1.0)
    assert torch.equal(prompts()[0], before)


def test_initial_deviation(text):
    tokens = SharedPrompts(text, TEMPLATE, identities=200).tokens
    assert tokens.std().item() == pytest.approx(0.02, rel=0.05)
    assert tokens.mean().item() == pytest.approx(0, abs=1e-3)


def test_saving_and_loading(text, prompts):
    other = SharedPrompts(TextTransformer(text.config), TEMPLATE, identities=5)
    other.load_state_dict(prompts.state_dict())
    assert torch.equal(other()[0], prompts()[0])


def test_what_does_not_fit(text):
    with pytest.raises(ValueError, match=r"16 tokens.*takes 12"):
        SharedPrompts(text, DAY_AND_NIGHT, identities=2)
    with pytest.raises(ValueError, match=r"id 20.*20 ids"):
        SharedPrompts(text, PromptTemplate((18, 0, 20), first=1, count=1), identities=2)
    with pytest.raises(ValueError, match="0 identities"):
        SharedPrompts(text, TEMPLATE, identities=0)
