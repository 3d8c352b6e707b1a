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
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from tapetum.benchmarking.measuring import Case, Timing, measure
from tapetum.benchmarking.prompt_steps import IMAGES, make_prompt_steps

CACHED = "as here"
WHOLE = "words before the gap for each prompt"
CONTEXT = "text tower over all 77 positions"
IMAGE = "images encoded anew"
NAIVE = "images anew, all 77 positions"
PASS = "encoding 64 images"
BANK = "texts of all people, once"


def cases(preset: str, settings: Mapping[str, object], threads: int) -> dict[str, Case]:
    """The stage's step, and the same with what is spared undone."""
    torch.set_num_threads(threads)
    bench = make_prompt_steps(preset, settings)
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
    method = make_prompt_steps(args.preset, {}).method
    found = {timing.what: timing for timing in timings}
    for line in report(found, method.config.tsg.schedule.epochs, method.config.tsg.batch_size):
        print(line)
    if args.json is not None:
        args.json.write_text(json.dumps([timing.to_json() for timing in timings], indent=2) + "\n")


if __name__ == "__main__":
    main()
