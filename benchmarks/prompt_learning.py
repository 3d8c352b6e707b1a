"""What caching gains in stage 1 of CLIP4VI-ReID, where prompts learn against frozen towers.

    python benchmarks/prompt_learning.py
    python benchmarks/prompt_learning.py --preset paper-vit --rounds 2 --json prompts.json

One step of the stage at the paper's batch, 64 images of 395 people: as it is here (features of images are
cached, the text tower runs from the first learnt token to the end token, the words before it once for all
prompts), and with each of these undone. Weights are random, which changes no time. Compare processor seconds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from measuring import Case, Timing, measure
from torch import Tensor

from tapetum.methods import create_method
from tapetum.methods._base import StageContext
from tapetum.methods._clip4vi_network import SHARED
from tapetum.methods._clip4vi_prompt_stage import TsgStage
from tapetum.methods.clip4vi_reid import Clip4ViReid
from tapetum.models.streams import segments_of
from tapetum.types import Batch, Modality

IDENTITIES, IMAGES = 395, 22_258
"""Of the training part of SYSU-MM01: people, visible images."""

CACHED = "as here"
WHOLE = "words before the gap for each prompt"
CONTEXT = "text tower over all 77 positions"
IMAGE = "images encoded anew"
NAIVE = "images anew, all 77 positions"
PASS = "encoding 64 images"
BANK = "texts of all people, once"


@dataclass
class Bench:
    """A method in its first stage, with what the cases share."""

    method: Clip4ViReid
    stage: TsgStage
    clips: Tensor
    optimiser: torch.optim.Optimizer

    def step(self) -> None:
        """The stage's own step."""
        batch = Batch(torch.empty(0), *[torch.empty(0, dtype=torch.long)] * 3, seed=1)
        self._update(sum(self.stage.step(batch).values()))

    def step_with(self, encode: Callable[[Tensor], Tensor]) -> None:
        """The stage's step with texts of `encode`."""
        network = self.method.network
        real = network.texts_of
        network.texts_of = lambda wanted: {name: encode(labels) for name, labels in wanted.items()}
        try:
            self.step()
        finally:
            network.texts_of = real

    def whole_prompts(self, labels: Tensor) -> Tensor:
        """Texts where each prompt runs its words before the gap too, up to the end token."""
        network = self.method.network
        return network.text.encode_embeddings(*network.prompts[SHARED](labels))

    def all_positions(self, labels: Tensor) -> Tensor:
        """Texts where padding is run too, and every token in the last block."""
        network = self.method.network
        tokens, end = network.prompts[SHARED](labels)
        rest = network.text.config.context_length - tokens.shape[1]
        padding = network.text.token_embedding.weight[:1].expand(len(labels), rest, -1)
        return network.text.encode_embeddings(
            torch.cat([tokens, padding], 1), torch.full((len(labels),), end)
        )

    def encode_images(self) -> None:
        """What a step without a cache does first."""
        segments = segments_of([Modality.VISIBLE] * len(self.clips))
        with self.method.network.evaluating():
            self.method.network.encode_clips(self.clips, segments)

    def _update(self, loss: Tensor) -> None:
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad()


def cases(preset: str, settings: Mapping[str, object], threads: int) -> dict[str, Case]:
    """The stage's step, and the same with what is spared undone."""
    torch.set_num_threads(threads)
    bench = make_bench(preset, settings)
    naive = partial(bench.step_with, bench.all_positions)
    return {
        CACHED: Case(bench.step),
        WHOLE: Case(partial(bench.step_with, bench.whole_prompts)),
        CONTEXT: Case(naive),
        IMAGE: Case(lambda: (bench.encode_images(), bench.step())),
        NAIVE: Case(lambda: (bench.encode_images(), naive())),
        PASS: Case(bench.encode_images),
        BANK: Case(bench.method.network.refresh_text_bank),
    }


def make_bench(preset: str, settings: Mapping[str, object]) -> Bench:
    torch.manual_seed(0)
    method = create_method(
        "clip4vi-reid", num_identities=IDENTITIES, num_cameras=6, preset=preset, weights="none", **settings
    )
    assert isinstance(method, Clip4ViReid)
    stage = next(stage for stage in method.stages() if isinstance(stage, TsgStage))
    parameters = [p for group in stage.parameter_groups() for p in group.parameters]
    method.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    method.train()
    stage.before_stage(StageContext(state=made_up_features(method)))
    size = method.preprocessing
    clips = torch.randn(method.config.tsg.batch_size, 1, 3, size.height, size.width)
    return Bench(method, stage, clips, torch.optim.Adam(parameters, lr=3e-4))


def made_up_features(method: Clip4ViReid) -> dict[str, Tensor]:
    """A cache as a pass over the training set leaves it."""
    labels = torch.arange(IMAGES) % IDENTITIES
    return {
        "learnt_features": torch.randn(IMAGES, method.network.dims["f"]),
        "learnt_labels": labels,
        "learnt_infrared": torch.zeros_like(labels, dtype=torch.bool),
    }


def report(found: Mapping[str, Timing], epochs: int, batch: int) -> Iterator[str]:
    unit = found[CACHED]
    yield f"{'':44}{'cpu s':>10}{'times':>8}{'added MiB':>11}"
    for name, timing in found.items():
        memory = "-" if timing.added_mib is None else f"{timing.added_mib:.0f}"
        yield f"{name:44}{timing.cpu_s:10.3f}{timing.cpu_s / unit.cpu_s:8.2f}{memory:>11}"
    steps = IMAGES // batch
    filling, bank = steps * found[PASS].cpu_s, found[BANK].cpu_s
    cached = filling + epochs * steps * unit.cpu_s + bank
    yield f"the whole stage, {epochs} epochs of {steps} steps, in processor hours:"
    yield f"  cached, with the pass that fills the cache {cached / 3600:10.1f}"
    for name in (IMAGE, NAIVE):
        hours = epochs * steps * found[name].cpu_s / 3600
        yield f"  {name:42} {hours:10.1f}, {3600 * hours / cached:.1f} times"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    timings = measure(partial(cases, args.preset, {}, args.threads), args.rounds)
    method = make_bench(args.preset, {}).method
    found = {timing.what: timing for timing in timings}
    for line in report(found, method.config.tsg.schedule.epochs, method.config.tsg.batch_size):
        print(line)
    if args.json is not None:
        args.json.write_text(json.dumps([timing.to_json() for timing in timings], indent=2) + "\n")


if __name__ == "__main__":
    main()
