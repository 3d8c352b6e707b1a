"""Clips a second of `tapetum index`, beside those of the model alone on clips that lie in memory.

    python benchmarks/ingest.py clip-baseline --preset tiny --tracklets 48

Folders of drawn crops (JPEG of quality 95) go into a new gallery in a folder: reading, digests, modality,
thumbnails, embedding and storing. "model alone" embeds as many clips in the same batches. Rounds are run in
turn; medians. With one thread and one core the two share the core, so the ratio of processor seconds is what
ingest adds; with more cores reading goes on beside the model, and the ratio of rates is what is felt.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tapetum.benchmarking.measuring import Case, take_turns
from tapetum.ingest import MethodEncoder, ingest, open_source
from tapetum.methods import create_method
from tapetum.model import Model
from tapetum.search import Gallery
from tapetum.types import Modality


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", nargs="?", default="clip-baseline")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--tracklets", type=int, default=48)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    method = create_method(args.method, num_identities=1, num_cameras=1, preset=args.preset).eval()
    encoder = MethodEncoder(Model(method, "benchmark", Path()))
    size = encoder.preprocessing
    clips = np.zeros((args.batch_size, size.frames, 3, size.height, size.width), np.uint8)
    seen, cameras = [Modality.VISIBLE] * args.batch_size, [None] * args.batch_size
    batches = -(-args.tracklets // args.batch_size)

    def alone() -> None:
        for _ in range(batches):
            encoder.encode_clips(clips, seen, cameras)

    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder) / "crops", args.tracklets, args.frames)
        source = open_source(f"crops:{folder}/crops")
        galleries = iter(range(1_000_000))

        def indexed() -> None:
            gallery = Gallery.open(f"{folder}/gallery-{next(galleries)}")
            ingest(source, gallery, encoder, batch_size=args.batch_size, threads=args.threads)

        cases = {"model alone": Case(alone), "ingest": Case(indexed)}
        found = take_turns(cases, args.rounds)
    counts = {"model alone": batches * args.batch_size, "ingest": args.tracklets}
    rates = {name: counts[name] / t.wall_s for name, t in found.items()}
    for name, t in found.items():
        print(f"{name:12} {rates[name]:9.1f} clips/s   {t.wall_s:7.2f} s   {t.cpu_s:7.2f} s of processor")
    added = found["model alone"].cpu_s / counts["model alone"] / (found["ingest"].cpu_s / counts["ingest"])
    print(
        f"ingest runs at {rates['ingest'] / rates['model alone']:.0%} of the model's rate, "
        f"{added:.0%} by processor seconds"
    )


def draw(folder: Path, tracklets: int, frames: int) -> None:
    """Write folders of crops of 256x128 pixels: smooth noise, half of them grey."""
    generator = np.random.default_rng(0)
    for number in range(tracklets):
        place = folder / f"{number:05}"
        place.mkdir(parents=True)
        for frame in range(frames):
            pixels = generator.integers(0, 256, (32, 16, 3)).astype(np.uint8)
            picture = Image.fromarray(pixels).resize((128, 256), Image.Resampling.BICUBIC)
            picture = picture if number % 2 else picture.convert("L")
            picture.save(place / f"{frame:03}.jpg", quality=95)


if __name__ == "__main__":
    main()
