import torch

from tapetum.models.text_fusion import TextFusion


def drawn_fusion():
    torch.manual_seed(0)
    fusion = TextFusion(6)
    torch.nn.init.normal_(fusion.out.weight)
    return fusion


def test_the_infrared_text_is_added_through_a_hidden_layer():
    fusion, visible, infrared = drawn_fusion(), torch.randn(4, 6), torch.randn(4, 6)
    hidden = torch.tanh(infrared @ fusion.value.weight.t() + fusion.value.bias)
    expected = visible + hidden @ fusion.out.weight.t() + fusion.out.bias
    torch.testing.assert_close(fusion(visible, infrared), expected)


def test_attention_over_a_single_key_is_what_remains():
    """CSDN's form: a softmax over one key, whatever query and key are, weighs the value by 1."""
    fusion, visible, infrared = drawn_fusion(), torch.randn(4, 6), torch.randn(4, 6)
    value = torch.tanh(fusion.value(infrared))[:, None]
    scores = torch.randn(4, 1, 6) @ torch.randn(4, 1, 6).transpose(1, 2)
    mixed = torch.softmax(scores, dim=1) @ value
    torch.testing.assert_close(fusion(visible, infrared), visible + fusion.out(mixed[:, 0]))


def test_at_first_a_text_is_the_visible_one():
    visible = torch.randn(3, 6)
    assert torch.equal(TextFusion(6)(visible, torch.randn(3, 6)), visible)


def test_dropout_acts_only_where_asked():
    fusion, visible, infrared = drawn_fusion().train(), torch.randn(64, 6), torch.randn(64, 6)
    assert torch.equal(fusion(visible, infrared), fusion(visible, infrared))
    torch.manual_seed(0)
    one = fusion(visible, infrared, 0.5)
    assert not torch.equal(one, fusion(visible, infrared, 0.5))
    torch.manual_seed(0)
    assert torch.equal(one, fusion(visible, infrared, 0.5))
