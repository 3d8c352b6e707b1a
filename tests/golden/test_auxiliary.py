"""MUN's generator and losses against plain forms in float64: layer by layer, row by row."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tapetum.losses import (
    assignment_gap,
    centre_spread,
    direction_moments,
    identity_centre_alignment,
    modality_gap,
)
from tapetum.models.auxiliary import GRIDS, KERNELS, AuxiliaryGenerator

EPSILON = 1e-5


def make_generator(seed=0, **options):
    torch.manual_seed(seed)
    generator = AuxiliaryGenerator(**options).double()
    with torch.no_grad():
        for name, p in generator.named_parameters():
            if "norm" in name or (".levels." in name and p.ndim == 1):
                p.uniform_(0.5, 1.5)
        for scale in generator.scales.values():
            scale.uniform_(-1, 1)
    return generator


def make_pair(pairs=3, size=(32, 16), seed=1, channels=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, pairs, channels, *size, generator=generator, dtype=torch.double)


def norm(x, layer, half=slice(None)):
    """Batch norm in training mode with a part of the layer's weights."""
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = (x - mean).square().mean((0, 2, 3), keepdim=True)
    weight, bias = layer.weight[half].view(1, -1, 1, 1), layer.bias[half].view(1, -1, 1, 1)
    return (x - mean) / torch.sqrt(variance + EPSILON) * weight + bias


def plain(generator, visible, infrared, kernels=KERNELS, grids=GRIDS):
    """The generator as its formulas say, each modality for itself."""
    width = generator.width
    halves = (slice(0, width), slice(width, 2 * width))
    embedded = []
    for x, half in zip((visible, infrared), halves, strict=True):
        layer = generator.embedding
        embedded.append(F.relu(norm(F.conv2d(x, layer.convolution.weight[half]), layer.norm, half)))
    total = 0
    if generator.intra is not None:
        for name, e, half in zip(("visible", "infrared"), embedded, halves, strict=True):
            h = 0
            for k, part, layer in zip(kernels, generator.intra.filters, generator.intra.norms, strict=True):
                h = h + norm(F.conv2d(e, part.weight[half], padding=k // 2, groups=width), layer, half)
            mix = generator.intra.mix
            u = norm(F.conv2d(F.relu(h), mix.convolution.weight[half]), mix.norm, half)
            scale = generator.scales[name if name in generator.scales else "visible"]
            total = total + scale.view(1, -1, 1, 1) * u
    if generator.cross is not None:
        s = plain_pyramid(generator.cross.pyramid, embedded, grids)
        total = total + generator.scales["shared"].view(1, -1, 1, 1) * norm(s, generator.cross.norm)
    made = F.relu(total)
    if generator.decoder is not None:
        made = F.conv2d(made, generator.decoder.weight, generator.decoder.bias)
    return made + 0.5 * (visible + infrared) if generator.pixel_skip else made


def plain_pyramid(pyramid, embedded, grids):
    pairs, size = embedded[0].shape[0], embedded[0].shape[2:]
    both = torch.cat(embedded)
    parts = []
    for (convolution, layer, _), grid in zip(pyramid.levels, grids, strict=True):
        cells = F.relu(norm(convolution(F.adaptive_avg_pool2d(both, grid)), layer))
        parts.append(F.interpolate(cells, size=size, mode="bilinear", align_corners=False))
    tower = torch.cat([*parts, both], 1)
    return F.conv2d(torch.cat([tower[:pairs], tower[pairs:]], 1), pyramid.fuse.weight, padding=1)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (32, 16)),
        ({}, (27, 13)),
        ({"use_iml": False}, (16, 8)),
        ({"use_cml": False}, (16, 8)),
        ({"tied": True, "scale_form": "scalar"}, (16, 8)),
        ({"pixel_skip": False, "width": 8, "kernels": (3, 9)}, (16, 8)),
        ({"grids": ((1, 1), (2, 2), (3, 3), (6, 6))}, (30, 20)),
        ({"channels": 8, "width": 8, "decodes": False}, (12, 6)),
    ],
    ids=str,
)
def test_the_generator_is_its_formulas(options, size):
    generator = make_generator(**options)
    visible, infrared = make_pair(size=size, channels=options.get("channels", 3)).requires_grad_()
    known = {name: options[name] for name in ("kernels", "grids") if name in options}
    found, expected = generator(visible, infrared), plain(generator, visible, infrared, **known)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    weights = torch.randn(found.shape, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    inputs = [visible, infrared, *generator.parameters()]
    gradients = [torch.autograd.grad((made * weights).sum(), inputs) for made in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


# --- losses


def make_rows(seed, people, per_modality, modalities=3, dim=4):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(people).repeat_interleave(per_modality).repeat(modalities)
    kinds = torch.arange(modalities).repeat_interleave(people * per_modality)
    order = torch.randperm(len(labels), generator=generator)
    features = torch.randn(len(labels), dim, generator=generator, dtype=torch.double)
    return features, labels[order], kinds[order]


def centres(features, labels, kinds):
    found = {}
    for i, m in {(i, m) for i, m in zip(labels.tolist(), kinds.tolist(), strict=True)}:
        rows = [
            f for f, a, b in zip(features, labels.tolist(), kinds.tolist(), strict=True) if (a, b) == (i, m)
        ]
        found[i, m] = sum(rows) / len(rows)
    return found


def hardest(found):
    for (i, m), c in found.items():
        positive = [(c - o).norm().item() for (j, n), o in found.items() if j == i and n != m]
        negative = [(c - o).norm().item() for (j, _), o in found.items() if j != i]
        yield m, max(positive), min(negative)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000), st.integers(2, 4), st.integers(1, 3), st.integers(2, 3), st.sampled_from([0.1, 2.0])
)
def test_identity_alignment_equals_plain_loops(seed, people, per_modality, modalities, margin):
    features, labels, kinds = make_rows(seed, people, per_modality, modalities)
    found = list(hardest(centres(features, labels, kinds)))
    terms = [max(0.0, margin + far - near) for _, far, near in found]
    loss = identity_centre_alignment(features, labels, kinds, margin)
    assert loss.item() == pytest.approx(sum(terms) / len(terms), rel=1e-9, abs=1e-12)
    some = [t for t, (m, _, _) in zip(terms, found, strict=True) if m == 1]
    loss = identity_centre_alignment(features, labels, kinds, margin, anchors=1)
    assert loss.item() == pytest.approx(sum(some) / len(some), rel=1e-9, abs=1e-12)
    apart, others = centre_spread(features, labels, kinds)
    assert apart.item() == pytest.approx(sum(far for _, far, _ in found) / len(found))
    assert others.item() == pytest.approx(sum(near for _, _, near in found) / len(found))


def softmax(values):
    powers = [math.exp(v - max(values)) for v in values]
    return [p / sum(powers) for p in powers]


@pytest.mark.parametrize("pairs", ["bridge", "direct"])
@pytest.mark.parametrize("seed", range(3))
def test_modality_alignment_equals_plain_loops(pairs, seed):
    features, _, kinds = make_rows(seed, 3, 2)
    unit = [f / f.norm() for f in features]
    rows = [[f for f, kind in zip(unit, kinds.tolist(), strict=True) if kind == m] for m in range(3)]
    means = [sum(some) / len(some) for some in rows]
    variances = [
        sum((f - mean) ** 2 for f in some) / len(some) for some, mean in zip(rows, means, strict=True)
    ]
    mean, variance = direction_moments(features, kinds)
    torch.testing.assert_close(mean, torch.stack(means))
    torch.testing.assert_close(variance, torch.stack(variances))
    meeting = {"bridge": [(0, 2), (1, 2)], "direct": [(0, 1)]}[pairs]
    expected = sum((means[a] - means[b]).square().sum().item() for a, b in meeting)
    assert modality_gap(mean, pairs).item() == pytest.approx(expected)
    points = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    shares = []
    for some in rows:
        all_of = [softmax([-(f - p).square().sum().item() / 0.1 for p in points]) for f in some]
        shares.append([sum(column) / len(some) for column in zip(*all_of, strict=True)])
    expected = sum(
        sum(p * math.log(p / q) for p, q in zip(shares[a], shares[b], strict=True)) for a, b in meeting
    )
    assert assignment_gap(features, kinds, points, pairs).item() == pytest.approx(expected, rel=1e-8)


def test_hand_worked_values():
    def loss(visible, infrared, auxiliary):
        points = torch.tensor([*visible, *infrared, *auxiliary])[:, None]
        kinds = torch.arange(3).repeat_interleave(2)
        return identity_centre_alignment(points, torch.arange(2).repeat(3), kinds, 0.3).item()

    assert loss((0.0, 10.0), (1.0, 9.0), (0.5, 9.5)) == 0
    assert loss((0.0, 2.0), (1.0, 1.0), (0.0, 2.0)) == pytest.approx(0.6333, abs=5e-5)
