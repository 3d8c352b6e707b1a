"""What MUN's generator adds to a training step: two modalities, a third without it, a third with it.

    python benchmarks/auxiliary.py --identities 8 --images 4 --threads 2 --precision bf16
    python benchmarks/auxiliary.py --identities 2 --images 2 --threads 1

A step is forward, losses and backward of ResNet-50 on random pictures, without optimiser; the network is
made on the way to the first and counts in its memory. The generator is also timed alone, beside a plain form
that carries out its formulas one by one. Memory is how much a fresh process grows at most. Close everything
else first: on a busy machine only seconds of processor time with one thread mean something.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tapetum.benchmarking.measuring import Case, Timing, measure, table
from tapetum.methods import Stage, create_method
from tapetum.models.auxiliary import GRIDS, KERNELS, AuxiliaryGenerator
from tapetum.types import Batch

PEOPLE = 395
TWO, MEAN, MADE = "two modalities", "a third, their mean", "a third, generated"
ALONE, PLAIN = "the generator alone", "its formulas one by one"
CHANGES: dict[str, dict[str, Any]] = {
    TWO: {"auxiliary": "none", "ma_pairs": "direct"},
    MEAN: {"auxiliary": "pixels"},
    MADE: {},
}


def main() -> None:
    args = parse_arguments()
    settings = (args.identities, args.images, (args.height, args.width), args.threads, args.precision)
    timings = measure(partial(make_cases, *settings), args.repeats)
    report(args, {t.what: t for t in timings})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--identities", type=int, default=8)
    parser.add_argument("--images", type=int, default=4, help="of each identity in each modality")
    parser.add_argument("--height", type=int, default=288)
    parser.add_argument("--width", type=int, default=144)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("32", "bf16"), default="bf16")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def report(args: argparse.Namespace, timings: dict[str, Timing]) -> None:
    pairs = args.identities * args.images
    print(f"{pairs} pairs of {args.height}x{args.width}, {args.precision}, {args.threads} threads")
    print(table(list(timings.values()), timings[TWO], "share of two"))
    made, mean, two = (timings[name].cpu_s for name in (MADE, MEAN, TWO))
    print(f"processor time of a step with the generator: {made / mean:.2f} of one without it, ", end="")
    print(f"{made / two:.2f} of one without a third modality")
    print(
        f"the generator takes {timings[PLAIN].cpu_s / timings[ALONE].cpu_s:.1f} times less than its formulas"
    )


def make_cases(
    identities: int, images: int, size: tuple[int, int], threads: int, precision: str
) -> dict[str, Case]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    labels = torch.arange(identities).repeat_interleave(images).repeat(2)
    half = identities * images
    clips = torch.randn(2 * half, 1, 3, *size)
    batch = Batch(clips, labels, torch.arange(2 * half) >= half, torch.zeros_like(labels))
    cases = {name: Case(partial(run_step, name, batch, precision)) for name in CHANGES}
    pair = clips[:, 0].split(half)
    for name, generator in ((ALONE, AuxiliaryGenerator()), (PLAIN, PlainGenerator())):
        cases[name] = Case(partial(run, lambda made=generator: made(*pair).square().mean(), precision))
    return cases


def run_step(name: str, batch: Batch, precision: str) -> None:
    stage = make_stage(name)
    run(lambda: stage.total(stage.step(batch)), precision)
    for parameter in (p for group in stage.parameter_groups() for p in group.parameters):
        parameter.grad = None


@cache
def make_stage(name: str) -> Stage:
    method = create_method("mun", num_identities=PEOPLE, num_cameras=1, **CHANGES[name])
    return method.train().stages()[0]


def run(forward: Callable[[], Tensor], precision: str) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        total = forward()
    total.float().backward()


class PlainGenerator(nn.Module):
    """The generator's layers as its formulas name them, each modality for itself."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.embeddings = nn.ModuleList(_layers(nn.Conv2d(3, width, 1, bias=False)) for _ in range(2))
        self.filters = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(
                    nn.Conv2d(width, width, k, padding=k // 2, groups=width, bias=False),
                    nn.BatchNorm2d(width),
                )
                for k in KERNELS
            )
            for _ in range(2)
        )
        self.mixes = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)) for _ in range(2)
        )
        self.levels = nn.ModuleList(_layers(nn.Conv2d(width, width // 4, 1, bias=False)) for _ in GRIDS)
        self.fuse = nn.Sequential(
            nn.Conv2d(4 * width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.scales = nn.Parameter(torch.full((3, 1, width, 1, 1), 0.1))
        self.decoder = nn.Conv2d(width, 3, 1)

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        """Auxiliary pictures of pairs."""
        embedded = [layer(x) for layer, x in zip(self.embeddings, (visible, infrared), strict=True)]
        parts = []
        for filters, mix, e in zip(self.filters, self.mixes, embedded, strict=True):
            h = sum(one(e) for one in filters)
            parts.append(mix(functional.relu(h)))
        both = torch.cat(embedded)
        size = visible.shape[-2:]
        levels = [
            functional.interpolate(
                level(functional.adaptive_avg_pool2d(both, grid)), size=size, mode="bilinear"
            )
            for level, grid in zip(self.levels, GRIDS, strict=True)
        ]
        pyramid = torch.cat([*levels, both], dim=1)
        parts.append(self.fuse(torch.cat(pyramid.chunk(2), dim=1)))
        mixed = sum(scale * part for scale, part in zip(self.scales, parts, strict=True))
        return (visible + infrared) / 2 + self.decoder(functional.relu(mixed))


def _layers(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU())


if __name__ == "__main__":
    main()
