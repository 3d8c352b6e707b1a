"""CLIP's image towers side by side: joint embeddings, and training steps, of random frames.

    python benchmarks/image_towers.py --batch 8 --threads 1
    python benchmarks/image_towers.py --towers RN50 --batch 32 --threads 2

Towers have random weights and the size of re-identification (last stride 1 in the ResNet). A step is forward
and backward without an optimiser. The full attention pooling forms keys and values of every token, as
OpenAI's code does. Memory is how much a fresh process grows at most. Close everything else first: on a busy
machine only seconds of processor time with one thread mean something.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tapetum.benchmarking.measuring import Case, Timing, measure
from tapetum.models import CLIP_RN50, VIT_B_16, ClipResNet, VisionTransformer

TOWERS = ("RN50", "ViT-B/16")
FOLDED, FULL = "attention pooling, step", "the same, every token's key and value"


def main() -> None:
    args = parse_arguments()
    for name in args.towers:
        cases = partial(make_cases, name, (args.height, args.width), args.batch, args.threads)
        timings = measure(cases, args.repeats)
        report(name, args, timings)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--towers", nargs="+", default=list(TOWERS), choices=TOWERS)
    parser.add_argument("--height", type=int, default=288)
    parser.add_argument("--width", type=int, default=144)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def report(name: str, args: argparse.Namespace, timings: list[Timing]) -> None:
    tower = make_tower(name, (args.height, args.width)).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        tower(torch.zeros(1, 3, args.height, args.width))
    gflop = counter.get_total_flops() / 1e9
    count = sum(p.numel() for p in tower.parameters()) / 1e6
    print(f"{name}, {args.batch} frames of {args.height}x{args.width}, {args.threads} threads; ", end="")
    print(f"{count:.1f} M parameters, {gflop:.1f} GFLOP a frame forward")
    print(f"{'':44}{'wall s':>10}{'cpu s':>10}{'cpu s a frame':>15}{'added MiB':>11}")
    for t in timings:
        memory = "-" if t.added_mib is None else f"{t.added_mib:.0f}"
        print(f"{t.what:44}{t.wall_s:10.3f}{t.cpu_s:10.3f}{t.cpu_s / args.batch:15.4f}{memory:>11}")
    print()


def make_tower(name: str, size: tuple[int, int]) -> ClipResNet | VisionTransformer:
    if name == "RN50":
        return ClipResNet(replace(CLIP_RN50, image_size=size, last_stride=1))
    return VisionTransformer(replace(VIT_B_16, image_size=size))


def make_cases(name: str, size: tuple[int, int], batch: int, threads: int) -> dict[str, Case]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    tower = make_tower(name, size)
    images = torch.randn(batch, 3, *size)
    cases = {
        "embeddings, float32": Case(partial(embed, tower, images, is_half=False)),
        "embeddings, bfloat16": Case(partial(embed, tower, images, is_half=True)),
        "step, float32": Case(partial(step, tower, images, is_half=False)),
        "step, bfloat16": Case(partial(step, tower, images, is_half=True)),
        "step, bfloat16, recomputing": Case(partial(step, tower, images, is_half=True, recomputes=True)),
    }
    if isinstance(tower, ClipResNet):
        maps = torch.randn(batch, tower.config.feature_dim, *tower.grid)
        cases[FOLDED] = Case(partial(pool_step, tower, maps, is_full=False))
        cases[FULL] = Case(partial(pool_step, tower, maps, is_full=True))
    return cases


@torch.no_grad()
def embed(tower: ClipResNet | VisionTransformer, images: Tensor, *, is_half: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
        tower.eval()(images)


def step(
    tower: ClipResNet | VisionTransformer, images: Tensor, *, is_half: bool, recomputes: bool = False
) -> None:
    tower.gradient_checkpointing = recomputes
    tower.train().zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
        loss = tower(images).float().square().mean()
    loss.backward()


def pool_step(tower: ClipResNet, maps: Tensor, *, is_full: bool) -> None:
    tower.zero_grad()
    maps = maps.detach().requires_grad_()
    pooled = pool_in_full(tower, maps) if is_full else tower.pool(maps)
    pooled.square().mean().backward()


def pool_in_full(tower: ClipResNet, maps: Tensor) -> Tensor:
    """The attention pooling with keys and values of every token."""
    pool = tower.attnpool
    places = maps.flatten(2).transpose(1, 2)
    tokens = torch.cat([places.mean(1, keepdim=True), places], 1) + pool.positional_embedding
    rows = tokens.shape[0]
    q, k, v = (
        layer(x).view(rows, x.shape[1], pool.heads, -1).transpose(1, 2)
        for layer, x in ((pool.q_proj, tokens[:, :1]), (pool.k_proj, tokens), (pool.v_proj, tokens))
    )
    mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1)
    return pool.c_proj(mixed)


if __name__ == "__main__":
    main()
