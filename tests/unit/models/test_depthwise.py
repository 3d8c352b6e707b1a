import pytest
import torch
import torch.nn.functional as F

from tapetum.models.depthwise import depthwise


def make(channels, size, dtype=torch.double, place=torch.contiguous_format):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, channels, 9, 7, generator=generator, dtype=torch.double)
    weight = torch.randn(channels, 1, size, size, generator=generator, dtype=torch.double)
    return maps.to(dtype).contiguous(memory_format=place).requires_grad_(), weight.to(dtype).requires_grad_()


@pytest.mark.parametrize("channels", [1, 6, 48])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("place", [torch.contiguous_format, torch.channels_last])
def test_it_is_a_grouped_convolution_with_its_gradients(channels, size, place):
    maps, weight = make(channels, size, place=place)
    found = depthwise(maps, weight)
    expected = F.conv2d(maps, weight, padding=size // 2, groups=channels)
    torch.testing.assert_close(found, expected)
    given = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, (maps, weight), given),
        torch.autograd.grad(expected, (maps, weight), given),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_only_gradients_that_are_needed_are_computed():
    maps, weight = make(16, 5)
    depthwise(maps.detach(), weight).sum().backward()
    alone = weight.grad.clone()
    depthwise(maps, weight).sum().backward()
    assert maps.grad is not None
    torch.testing.assert_close(weight.grad, 2 * alone)
    depthwise(maps, weight.detach()).sum().backward()
    torch.testing.assert_close(weight.grad, 2 * alone)


def test_gradients_in_bfloat16_are_as_near_as_bfloat16_is():
    maps, weight = make(16, 7)
    half, half_weight = make(16, 7, torch.bfloat16, torch.channels_last)
    depthwise(half, half_weight).sum().backward()
    depthwise(maps, weight).sum().backward()
    assert half_weight.grad.dtype is half.grad.dtype is torch.bfloat16
    torch.testing.assert_close(half_weight.grad.double(), weight.grad, rtol=0.02, atol=0.3)
    torch.testing.assert_close(half.grad.double(), maps.grad, rtol=0.02, atol=0.2)
