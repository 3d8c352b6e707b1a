import pytest
import torch
import torch.nn.functional as F

from tapetum.models.auxiliary import (
    AuxiliaryGenerator,
    IntraModalityLearner,
    MiddleModality,
    PixelFusion,
    scaled_norm,
)


def make_pair(pairs=2, size=(32, 16), seed=0):
    return torch.randn(2, pairs, 3, *size, generator=torch.Generator().manual_seed(seed))


def make_generator(seed=0, **options):
    torch.manual_seed(seed)
    return AuxiliaryGenerator(**options)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_sizes_at_sixteen_channels():
    generator = make_generator()
    parts = {name: count(part) for name, part in generator.named_children()}
    assert parts == {"embedding": 160, "intra": 3520, "cross": 9536, "decoder": 51, "scales": 48}
    assert count(generator) == 13_315


@torch.no_grad()
def test_two_batches_of_pictures_become_one():
    visible, infrared = make_pair(8, (288, 144))
    made = make_generator().train()(visible, infrared)
    assert made.shape == (8, 3, 288, 144)
    assert 0.70 < made.std() < 0.76
    assert ((visible + infrared) / 2).std() == pytest.approx(0.707, abs=0.005)


def test_without_decoding_weights_the_picture_is_the_mean_whatever_the_scales():
    generator, (visible, infrared) = make_generator(), make_pair()
    torch.nn.init.zeros_(generator.decoder.weight)
    torch.nn.init.zeros_(generator.decoder.bias)
    mean = (visible + infrared) / 2
    assert torch.equal(generator(visible, infrared), mean)
    assert torch.equal(PixelFusion()(visible, infrared), mean)
    with torch.no_grad():
        for scale in generator.scales.values():
            scale.zero_()
        generator.decoder.weight.normal_()
    assert torch.equal(generator(visible, infrared), mean)
    assert not make_generator(pixel_skip=False)(visible, infrared).allclose(mean, atol=0.1)


def test_every_part_learns_from_the_picture():
    generator = make_generator()
    generator(*make_pair()).square().sum().backward()
    assert [name for name, p in generator.named_parameters() if p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"visible", "infrared", "shared"}),
        ({"use_cml": False}, {"visible", "infrared"}),
        ({"use_iml": False}, {"shared"}),
        ({"tied": True}, {"visible", "shared"}),
    ],
)
def test_layer_scales_are_there_for_what_is_switched_on(options, names):
    generator = make_generator(**options)
    assert set(generator.scales) == set(generator.scale_norms()) == names
    assert (generator.intra is None) == (options.get("use_iml") is False)
    assert (generator.cross is None) == (options.get("use_cml") is False)
    for norm in generator.scale_norms().values():
        assert norm.item() == pytest.approx(0.1 * 16**0.5)


def test_a_scalar_scale_is_one_number_for_all_channels():
    channel, scalar = make_generator(scale=0.3), make_generator(scale=0.3, scale_form="scalar")
    assert [scale.shape for scale in scalar.scales.values()] == [(1,)] * 3
    pair = make_pair()
    torch.testing.assert_close(channel(*pair), scalar(*pair))


def test_switching_a_part_off_is_setting_its_scale_to_zero():
    full, pair = make_generator(), make_pair()
    for options, kept in (({"use_cml": False}, ("visible", "infrared")), ({"use_iml": False}, ("shared",))):
        some = make_generator(seed=1, **options)
        some.load_state_dict({k: v for k, v in full.state_dict().items() if k in some.state_dict()})
        zeroed = make_generator()
        with torch.no_grad():
            for name, scale in zeroed.scales.items():
                scale.mul_(name in kept)
        torch.testing.assert_close(some(*pair), zeroed(*pair))


def test_pictures_of_other_rows_matter_by_batch_statistics_in_training_alone():
    generator, (visible, infrared) = make_generator(), make_pair(4)
    for _ in range(3):
        generator(visible, infrared)
    generator.eval()
    whole = generator(visible, infrared)
    torch.testing.assert_close(whole[:1], generator(visible[:1], infrared[:1]), atol=1e-5, rtol=1e-4)


def test_autocast_runs_it_in_bfloat16_near_the_same_picture():
    generator, pair = make_generator(), make_pair()
    plain = generator(*pair)
    seen = []
    hook = generator.intra.mix.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        made = generator(*pair)
    hook.remove()
    assert (seen, made.dtype) == ([torch.bfloat16], torch.float32)
    assert (made - plain).abs().max() < 0.05
    made.square().mean().backward()
    assert all(p.grad.dtype is torch.float32 and p.grad.isfinite().all() for p in generator.parameters())


def test_what_it_keeps_for_the_backward_pass():
    """In maps of 16 channels and full size: 19 a pair, where its formulas one by one keep 28."""
    generator, pair = make_generator(), make_pair(2, (64, 32))
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        generator(*pair)
    maps = 4 * 2 * 16 * 64 * 32
    assert sum(kept.values()) / maps < 19.5


def test_mmn_makes_each_picture_alone():
    generator, (visible, infrared) = MiddleModality().train(), make_pair(2, (4, 3))
    made = generator(visible, infrared)
    assert made.shape == (4, 3, 4, 3)

    def branch(x):
        one = F.relu(0.333 * F.relu(0.333 * x.sum(1, keepdim=True)))
        return (one - one.mean()) / torch.sqrt(one.var(correction=0) + 1e-5)

    expected = F.relu(0.333 * torch.cat([branch(visible), branch(infrared)]).expand(-1, 3, -1, -1))
    torch.testing.assert_close(made, expected)
    other = generator(visible, infrared + 1)
    assert torch.equal(other[:2], made[:2])
    assert count(generator) == 2 * (4 + 2 + 2) + 6


def test_a_scaled_norm_is_a_norm_times_a_scale_and_keeps_statistics():
    torch.manual_seed(0)
    plain, folded = torch.nn.BatchNorm2d(4), torch.nn.BatchNorm2d(4)
    maps, scale = torch.randn(3, 4, 5, 6), torch.randn(4)
    torch.testing.assert_close(scaled_norm(folded, maps, scale), plain(maps) * scale.view(1, -1, 1, 1))
    torch.testing.assert_close(folded.running_var, plain.running_var)
    plain.eval(), folded.eval()
    torch.testing.assert_close(scaled_norm(folded, maps, scale), plain(maps) * scale.view(1, -1, 1, 1))


@pytest.mark.parametrize("make", [AuxiliaryGenerator, PixelFusion, MiddleModality])
def test_pictures_that_do_not_pair_are_refused(make):
    visible, infrared = make_pair()
    with pytest.raises(
        ValueError, match=r"visible pictures \[2, 3, 32, 16\], infrared ones \[1, 3, 32, 16\]"
    ):
        make()(visible, infrared[:1])
    with pytest.raises(ValueError, match="expected two of the same shape"):
        make()(visible[0], infrared[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_iml": False, "use_cml": False}, "at least one of its two learners"),
        ({"decodes": False}, "width 16 without decoding"),
        ({"kernels": (3, 4)}, r"kernels = \[3, 4\]: expected odd sizes"),
        ({"grids": ((1, 1), (2, 2), (3, 3))}, "equal shares"),
    ],
)
def test_illegal_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AuxiliaryGenerator(**options)
    with pytest.raises(ValueError, match="expected odd sizes"):
        IntraModalityLearner(4, ())
