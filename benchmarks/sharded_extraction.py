"""What sharding, and Ray, add to the time of the plain loop that embeds.

    python benchmarks/sharded_extraction.py clip-baseline --preset paper --tracklets 48 --threads 2 [--ray]

Drawn crops (JPEG of quality 95) are embedded three ways in turn: by `tapetum.embed` over all of them, by
`tapetum extract` in one process (planning, reading, digests, writing and verifying included), and where
asked for by tasks of a Ray cluster that runs throughout. Medians of wall and processor seconds. The
"share" is what a way takes in parts of the plain loop's time on the same clips: 1.05 is 5 % more. Ray's
workers load the model once before the first round counts; their processor seconds are not seen here.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from ingest import draw

from tapetum.benchmarking.measuring import Case, take_turns
from tapetum.embed import embed
from tapetum.ingest import open_source
from tapetum.ingest.plan import Plan
from tapetum.methods import create_method
from tapetum.methods._checkpoint import save_method
from tapetum.model import load
from tapetum.scale import extract, open_store, plan_extraction
from tapetum.types import Modality, TrackletSet


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", nargs="?", default="clip-baseline")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--tracklets", type=int, default=96)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--shard-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        method = create_method(args.method, num_identities=1, num_cameras=1, preset=args.preset).eval()
        file = folder / "model.safetensors"
        save_method(method, file)
        model = load(file)
        draw(folder / "crops", args.tracklets, args.frames)
        address = f"crops:{folder}/crops?modality=visible"
        tracklets = listed(address, model.preprocessing, model.sampling)
        places = iter(range(1_000_000))

        def plain() -> None:
            embed(model.method, tracklets, batch_size=args.batch_size)

        def sharded(ray: str | None = None) -> None:
            store = open_store(folder / f"out-{next(places)}")
            plan_extraction([address], model, store, shard_size=args.shard_size)
            report = extract(
                store.address,
                str(file),
                workers=1 if ray else 0,
                ray=ray,
                batch_size=args.batch_size,
                threads=1,
                compute_threads=args.threads,
            )
            if not report.is_complete:
                raise RuntimeError(f"not complete: {report.failed}")

        ways = {"plain loop": plain, "sharded": sharded}
        if args.ray:
            import ray

            ray.init(address="local", include_dashboard=False, log_to_driver=False)
            ways["under Ray"] = lambda: sharded("local")
        found = take_turns({name: Case(run) for name, run in ways.items()}, args.rounds)
        if args.ray:
            ray.shutdown()
    unit = found["plain loop"]
    print(f"{'':12}{'clips/s':>10}{'wall s':>10}{'cpu s':>10}{'share':>8}{'of cpu':>8}")
    for what, t in found.items():
        of_cpu = f"{t.cpu_s / unit.cpu_s:8.2f}" if what != "under Ray" else f"{'-':>8}"
        shares = f"{t.wall_s / unit.wall_s:8.2f}{of_cpu}"
        print(f"{what:12}{args.tracklets / t.wall_s:10.1f}{t.wall_s:10.2f}{t.cpu_s:10.2f}{shares}")


def listed(address: str, size: object, sampling: object) -> TrackletSet:
    """The tracklets of an address."""
    groups = open_source(address).groups(Plan(size, sampling))  # type: ignore[arg-type]
    drafts = [draft for group in groups for draft in group.drafts]
    return TrackletSet("benchmark", tuple(d.tracklet(Modality.VISIBLE, d.frames) for d in drafts))


if __name__ == "__main__":
    main()
