"""All benchmarks, one after the other; each prints its own table.

python benchmarks/run.py [NAME ...]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

X_REID = [
    *["training_step.py", "x-reid", "--set", "batches.identities=2", "--set", "frames=4"],
    *["--threads", "2", "--steps", "3", "--warm-up", "1", "--no-operators"],
]
"""Two people, two tracklets of each in each modality, four frames of 288x144: 32 frames through ViT-B/16."""

CLIP4VI = [
    *["training_step.py", "clip4vi-reid", "--stage", "hsa"],
    *["--threads", "2", "--steps", "2", "--warm-up", "1", "--no-operators"],
]
"""Eight people; of each four visible images, their exchanged views, four infrared images: 96 of 288x144."""

BENCHMARKS = {
    "walkers": ["walkers.py"],
    "onnx-encoding": ["onnx_encoding.py"],
    "sharded-extraction": [
        "sharded_extraction.py",
        "--preset",
        "paper",
        "--tracklets",
        "32",
        "--rounds",
        "2",
    ],
    "ingest": ["ingest.py", "--preset", "paper", "--tracklets", "8", "--batch-size", "4", "--rounds", "2"],
    "reading": ["reading.py"],
    "metrics": ["metrics.py"],
    "metrics-large": [
        "metrics.py",
        "--queries",
        "10000",
        "--gallery",
        "50000",
        "--repeats",
        "3",
        "--no-plain",
    ],
    "reranking": ["reranking.py"],
    "search": ["search.py", "--clients", "32"],
    "search-floats": ["search.py", "--floats", "--questions", "20"],
    "search-streamed": ["search.py", "--streamed", "--questions", "10"],
    "search-indexes": ["search.py", "--rows", "20000", "--dimension", "256", "--indexes"],
    "lsmrl": ["training_step.py", "lsmrl", "--preset", "tiny", "--threads", "2", "--precision", "bf16-mixed"],
    "clip-baseline": [
        *["training_step.py", "clip-baseline", "--preset", "tiny"],
        *["--threads", "2", "--precision", "bf16-mixed"],
    ],
    "x-reid": X_REID,
    "x-reid-bf16": [*X_REID, "--precision", "bf16-mixed"],
    "clip4vi-reid": CLIP4VI,
    "clip4vi-reid-bf16": [*CLIP4VI, "--precision", "bf16-mixed"],
    "clip4vi-reid-vit": [*CLIP4VI, "--preset", "paper-vit", "--precision", "bf16-mixed"],
    "auxiliary": ["auxiliary.py"],
    "image-towers": ["image_towers.py", "--threads", "2"],
    "prompt-learning": ["prompt_learning.py"],
    "prompt-learning-vit": ["prompt_learning.py", "--preset", "paper-vit"],
    "distributed": ["distributed.py", "x-reid", "--preset", "tiny"],
    "small-cnn": ["training_step.py", "small-cnn", "--preset", "tiny", "--threads", "2"],
}


def main() -> int:
    chosen = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in chosen:
        script, *arguments = BENCHMARKS[name]
        print(f"\n== {name}: {' '.join([script, *arguments])}", flush=True)
        subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
