"""What one round of relevance feedback gains: mean average precision before and after it.

    tapetum synth walkers --format hitsz-vcm --identities 60 --seed 0
    python benchmarks/feedback.py EMBEDDINGS                        # of `tapetum embed`
    python benchmarks/feedback.py RUN --data hitsz-vcm:walkers      # embeds the test part first
    python benchmarks/feedback.py EMBEDDINGS --weights 0 0.3 0.6 0.9

Every tracklet is asked once, as an item of a gallery of all. Its asker marks the nearest hits, all of them
and truthfully; the answer to the query that this improves is compared with the first one. The marked hits are
taken out of both before they are scored, so that nothing is gained by hits that were known already. Queries
of whom nothing is left to be found are not counted. `--weights` tries other weights of wrong hits.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import tapetum
from tapetum.data.datasets import read_dataset
from tapetum.embed import embed
from tapetum.embedding_files import is_embeddings_folder, load_embeddings
from tapetum.search import Feedback, Filter, Gallery, GalleryItem, Hit, SearchEngine
from tapetum.search import feedback as weights
from tapetum.types import Embeddings, Tracklet

Where = Callable[[Tracklet], Filter]

SETTINGS: dict[str, Where] = {
    "the other modality": lambda query: Filter(modality=query.modality.other),
    "other cameras": lambda query: Filter(exclude_cameras=query.camera_id),
}
MARKS = {"right": ("right",), "wrong": ("wrong",), "both": ("right", "wrong")}


@dataclass(frozen=True)
class Gain:
    """One line of the table: means over the queries of which something is left to be found."""

    source: str
    searched: str
    looked_at: int
    marks: str
    weight: float
    queries: int
    skipped: int
    right: float
    wrong: float
    before: float
    after: float
    better: float
    worse: float


def main() -> None:
    options = parse_arguments()
    gains = []
    for source in options.sources:
        gallery = Gallery.open("memory:")
        gallery.upsert(embeddings_of(source, options.data))
        for searched, where in SETTINGS.items():
            asked = [(query, first_answer(gallery, query, where)) for query in gallery.filter()]
            for weight in options.weights:
                weights.WRONG = weight
                for looked_at in options.looked_at:
                    for marks in options.marks:
                        gain = measure(gallery, asked, where, looked_at, MARKS[marks])
                        gains.append(Gain(str(source), searched, looked_at, marks, weight, *gain))
                        print(line(gains[-1]), flush=True)
    if options.json:
        content = json.dumps([asdict(gain) for gain in gains], indent=1)
        options.json.write_text(content + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path, metavar="EMBEDDINGS|RUN")
    parser.add_argument("--data", help="FORMAT:ROOT, for runs")
    parser.add_argument("--looked-at", nargs="+", type=int, default=[5, 10, 20], help="hits that are marked")
    parser.add_argument("--marks", nargs="+", choices=MARKS, default=list(MARKS), help="which are made")
    parser.add_argument("--weights", nargs="+", type=float, default=[weights.WRONG], help="of wrong hits")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def embeddings_of(source: Path, data: str | None) -> Embeddings:
    """Embeddings of a folder, or of the test part of a run's data."""
    if is_embeddings_folder(source):
        return load_embeddings(source)
    if data is None:
        raise SystemExit(f"{source} is a run: give --data FORMAT:ROOT")
    model = tapetum.load(source)
    found = embed(model.method, read_dataset(data).test)
    return Embeddings(found.vectors, found.tracklets, model.fingerprint)


def first_answer(gallery: Gallery, query: Tracklet, where: Where) -> Sequence[Hit]:
    """All that is searched, nearest first."""
    asked = GalleryItem(query.tracklet_id)
    return SearchEngine(gallery).search(asked, top=gallery.count(), where=where(query)).hits


def measure(
    gallery: Gallery,
    asked: Sequence[tuple[Tracklet, Sequence[Hit]]],
    where: Where,
    looked_at: int,
    marks: Sequence[str],
) -> tuple[int, int, float, float, float, float, float, float]:
    """Queries, those skipped, mean right and wrong marks, mean precision before and after, shares."""
    engine, rows = SearchEngine(gallery), []
    for query, first in asked:
        made: dict[str, list[str]] = {"right": [], "wrong": []}
        for hit in first[:looked_at]:
            made["right" if shows(hit, query) else "wrong"].append(hit.tracklet.tracklet_id)
        marked = {*made["right"], *made["wrong"]}
        if not any(shows(hit, query) for hit in first[looked_at:]):
            continue
        given = Feedback(**{kind: tuple(made[kind]) for kind in marks})
        second = engine.search(
            GalleryItem(query.tracklet_id), top=len(first), where=where(query), feedback=given
        )
        precisions = [average_precision(found, query, marked) for found in (first, second)]
        rows.append([len(made["right"]), len(made["wrong"]), *precisions])
    table = np.array(rows)
    right, wrong, before, after = table.mean(axis=0).tolist()
    gained = table[:, 3] - table[:, 2]
    shares = float((gained > 0).mean()), float((gained < 0).mean())
    return len(table), len(asked) - len(table), right, wrong, before, after, *shares


def shows(hit: Hit, query: Tracklet) -> bool:
    """Whether a hit is the person of the query."""
    return hit.tracklet.person_id == query.person_id


def average_precision(found: Sequence[Hit], query: Tracklet, marked: set[str]) -> float:
    """Average precision of an answer without the hits that were marked."""
    rest = [hit for hit in found if hit.tracklet.tracklet_id not in marked]
    ranks = np.flatnonzero([shows(hit, query) for hit in rest]) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def line(gain: Gain) -> str:
    """A gain as a line of text."""
    return (
        f"{gain.searched:20} {gain.looked_at:3} marked ({gain.right:4.1f} right, {gain.wrong:4.1f} wrong), "
        f"given {gain.marks:5} weight {gain.weight:.2f}: mAP {100 * gain.before:5.1f} -> "
        f"{100 * gain.after:5.1f}; better {gain.better:4.0%}, worse {gain.worse:4.0%} of {gain.queries} "
        f"queries, {gain.skipped} skipped"
    )


if __name__ == "__main__":
    main()
