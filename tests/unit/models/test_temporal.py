import pytest
import torch

from tapetum.models.backbones.blocks import Block, attend
from tapetum.models.temporal import (
    ChannelShift,
    FrameGroup,
    HeadSplit,
    PatchShift,
    StripeTube,
    shift_amounts,
)

GRID = (6, 3)
TOKENS = 1 + GRID[0] * GRID[1]
PATTERNS = {
    "stripe_tube": lambda t: StripeTube(t, GRID, 3),
    "head_split": lambda t: HeadSplit(t),
    "frame_group": lambda t: FrameGroup(t, 2),
    "patch_shift": lambda t: PatchShift(t, GRID),
    "short_shift": lambda t: PatchShift(t, GRID, "short"),
    "channel_shift": lambda t: ChannelShift(t),
}


def make_qkv(clips=2, frames=4, heads=3, dim=8):
    generator = torch.Generator().manual_seed(0)
    shape = (clips * frames, TOKENS, heads, dim)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3)]


def one_attention(q, k, v):
    """Softmax attention of one query [heads, d] over keys [S, heads, d], head by head."""
    rows = []
    for head in range(q.shape[0]):
        weights = torch.softmax(k[:, head] @ q[head] / q.shape[-1] ** 0.5, dim=0)
        rows.append(weights @ v[:, head])
    return torch.stack(rows)


@pytest.mark.parametrize("name", PATTERNS)
def test_class_queries_alone_give_the_class_outputs_of_all_queries(name):
    q, k, v = make_qkv()
    pattern = PATTERNS[name](4)
    assert torch.allclose(pattern(q[:, :1], k, v), pattern(q, k, v)[:, :1])


@pytest.mark.parametrize("name", PATTERNS)
def test_clips_do_not_see_one_another(name):
    q, k, v = make_qkv()
    pattern = PATTERNS[name](4)
    assert torch.allclose(pattern(q, k, v)[:4], pattern(q[:4], k[:4], v[:4]))


@pytest.mark.parametrize("name", PATTERNS)
def test_frames_of_a_clip_see_one_another(name):
    q, k, v = make_qkv(clips=1)
    changed = v.clone()
    changed[1] += 1
    pattern = PATTERNS[name](4)
    moved = (pattern(q, k, changed) - pattern(q, k, v)).abs().amax((1, 2, 3)) > 1e-6
    assert moved[1]
    assert moved.sum() > 1


@pytest.mark.parametrize("name", [name for name in PATTERNS if name != "stripe_tube"])
def test_one_frame_is_plain_attention(name):
    q, k, v = make_qkv(frames=1)
    assert torch.allclose(PATTERNS[name](1)(q, k, v), attend(q, k, v))


def test_one_frame_and_one_stripe_is_a_plain_block():
    block = Block(24, 3, "quick_gelu").double()
    x = torch.randn(2, TOKENS, 24, dtype=torch.float64)
    assert torch.allclose(block(x, StripeTube(1, GRID, 1)), block(x), atol=1e-12)
    assert torch.allclose(block(x, PatchShift(1, GRID)), block(x), atol=1e-12)


def test_stripe_tubes_equal_plain_loops():
    frames, stripes, rows_each = 4, 3, 2
    q, k, v = make_qkv(frames=frames)
    found = StripeTube(frames, GRID, stripes)(q, k, v)
    expected = torch.zeros_like(found)
    for clip in range(2):
        for stripe in range(stripes):
            rows = range(stripe * rows_each, (stripe + 1) * rows_each)
            patches = [1 + row * GRID[1] + column for row in rows for column in range(GRID[1])]
            tube = [(t, 0) for t in range(frames)] + [(t, p) for t in range(frames) for p in patches]
            keys = torch.stack([k[clip * frames + t, p] for t, p in tube])
            values = torch.stack([v[clip * frames + t, p] for t, p in tube])
            for t, p in tube:
                mixed = one_attention(q[clip * frames + t, p], keys, values)
                expected[clip * frames + t, p] += mixed / (stripes if p == 0 else 1)
    assert torch.allclose(found, expected)


def test_frame_groups_equal_attention_over_their_tokens():
    q, k, v = make_qkv(clips=1)
    found = FrameGroup(4, 2)(q, k, v)
    for t in range(4):
        group = [t // 2 * 2, t // 2 * 2 + 1]
        keys, values = k[group].flatten(0, 1), v[group].flatten(0, 1)
        assert torch.allclose(found[t, 5], one_attention(q[t, 5], keys, values))


@pytest.mark.parametrize(
    ("frames", "groups", "together"), [(6, 3, 2), (6, 1, 6), (1, 3, 1), (4, 3, 4), (9, 6, 3)]
)
def test_frame_groups_are_as_many_as_the_clip_allows(frames, groups, together):
    assert FrameGroup(frames, groups).together == together


def test_two_heads_read_the_neighbouring_frames():
    q, k, v = make_qkv(clips=1)
    found = HeadSplit(4)(q, k, v)
    for t in range(4):
        sources = [max(t - 1, 0), min(t + 1, 3), t]
        for head, source in enumerate(sources):
            plain = attend(q[t : t + 1], k[source : source + 1], v[source : source + 1])[0, :, head]
            assert torch.allclose(found[t, :, head], plain)


def test_an_eighth_of_the_channels_comes_from_either_neighbour():
    shift = ChannelShift(3)
    tokens = torch.arange(3.0).view(3, 1, 1, 1).expand(3, TOKENS, 2, 16)
    mixed = shift._mix(tokens)
    assert torch.equal(mixed[:, 0], tokens[:, 0])
    assert mixed[:, 1, 0].tolist() == [
        [0, 0, 1, 1, *[0] * 12],
        [0, 0, 2, 2, *[1] * 12],
        [1, 1, 2, 2, *[2] * 12],
    ]


@pytest.mark.parametrize("grid", [(6, 3), (18, 9), (16, 8)])
@pytest.mark.parametrize("pattern", ["C", "short"])
def test_shifting_back_is_exact(grid, pattern):
    shift = PatchShift(5, grid, pattern)
    x = torch.randn(10, 1 + grid[0] * grid[1], 2, 4)
    assert not torch.equal(shift.shift(x), x)
    assert torch.equal(shift.unshift(shift.shift(x)), x)


@pytest.mark.parametrize("pattern", ["C", "short"])
def test_shift_rolls_every_patch_by_its_amount_and_leaves_the_class_token(pattern):
    x = torch.randn(5, TOKENS, 2)
    found = PatchShift(5, GRID, pattern).shift(x)
    assert torch.equal(found[:, 0], x[:, 0])
    for patch, amount in enumerate(shift_amounts(GRID, pattern).tolist(), start=1):
        assert torch.equal(found[:, patch], x[:, patch].roll(amount, dims=0))


@pytest.mark.parametrize(
    ("frames", "counts"), [(6, [18, 18, 36, 36, 36, 18]), (10, [18] * 5 + [0] + [18] * 4)]
)
def test_first_frame_hosts_the_known_share_of_each_frame(frames, counts):
    grid = (18, 9)
    source = torch.arange(frames).view(frames, 1, 1).expand(frames, 1 + 162, 1)
    hosted = PatchShift(frames, grid).shift(source)[0, 1:, 0]
    assert torch.bincount(hosted, minlength=frames).tolist() == counts


def test_gradient_of_a_shift_is_the_shift_back():
    shift = PatchShift(4, GRID)
    x = torch.randn(4, TOKENS, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, TOKENS, 2, dtype=torch.float64)
    (shift.shift(x) * weight).sum().backward()
    assert torch.equal(x.grad, shift.unshift(weight))


def test_orders_made_in_inference_mode_serve_training():
    frames = 7  # a length no other test uses, so that inference mode makes the order
    shift = PatchShift(frames, GRID)
    with torch.inference_mode():
        shift.shift(torch.randn(frames, TOKENS, 2))
    x = torch.randn(frames, TOKENS, 2, requires_grad=True)
    shift.shift(x).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_exported_programs_leave_no_trace_in_the_orders_that_are_kept():
    frames = 8  # a length no other test uses, so that the export is the first to make the order

    class Shift(torch.nn.Module):
        def forward(self, x):
            return PatchShift(frames, GRID).shift(x)

    x = torch.randn(frames, TOKENS, 2)
    exported = torch.export.export(Shift(), (x,)).module()
    assert torch.equal(exported(x), PatchShift(frames, GRID).shift(x))


@pytest.mark.parametrize("stripes", [0, 4, 7])
def test_stripes_that_do_not_divide_the_rows_are_refused(stripes):
    with pytest.raises(ValueError, match=f"{stripes} stripes do not divide the 6 rows"):
        StripeTube(4, GRID, stripes)
