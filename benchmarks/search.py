"""Exact and approximate search in a gallery on disk: time of a question, memory, and what indexes find.

    python benchmarks/search.py [--rows 100000] [--dimension 768] [--questions 50] [--indexes]

Embeddings are drawn: 50 tracklets of each person, half of them in each modality, which are shifted apart, as
those of a cross-modal model are. Questions are infrared; they look for all tracklets, for the visible half
and for a tenth. `--streamed` lets no vectors be held in memory, `--floats` holds them as they are. With
`--indexes`, every approximate index is made and its recall at 20 stated for each effort.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tapetum.benchmarking.galleries import draw_questions, fill
from tapetum.benchmarking.measuring import memory_mib
from tapetum.search import Filter, _lance_vectors
from tapetum.search._lance_vectors import MEMORY_BYTES
from tapetum.search.lance_gallery import LanceGallery
from tapetum.search.planning import FILTERS

TOP = 20


def main() -> None:
    options = parse()
    folder = options.gallery or Path(tempfile.mkdtemp(prefix="tapetum-search-"))
    try:
        if not (folder / "gallery.json").is_file():
            started = time.perf_counter()
            fill(folder, options.rows, options.dimension)
            print(f"{options.rows} x {options.dimension}: stored in {time.perf_counter() - started:.1f} s")
        found = measure(folder, options)
    finally:
        if options.gallery is None:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--clients", type=int, default=0, help="ask from so many threads at once, too")
    parser.add_argument("--gallery", type=Path, help="keep the gallery there, or use the one that is there")
    parser.add_argument("--streamed", action="store_true", help="hold no vectors in memory")
    parser.add_argument("--floats", action="store_true", help="hold vectors as they are, not as bytes")
    parser.add_argument("--indexes", action="store_true", help="make every index and state its recall")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def measure(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Time and memory of questions; one line for each filter."""
    before = memory_mib(highest=False)
    if options.floats:
        _lance_vectors._SMALL = MEMORY_BYTES
    gallery = LanceGallery(folder, memory_bytes=0 if options.streamed else MEMORY_BYTES)
    info = gallery.info()
    assert info.dimension is not None
    queries = np.stack(draw_questions(gallery, options.questions))
    last = info.last_time or 0.0
    filters = {
        "all": None,
        "visible": Filter(modality="visible"),
        "a tenth": Filter(modality="visible", cameras=[0, 2], after=last * 0.1),
    }
    found: dict[str, object] = {"rows": info.count, "dimension": info.dimension}
    started = time.perf_counter()
    gallery.search(queries[0], top=TOP)
    print(f"first question, which loads what is held: {time.perf_counter() - started:.2f} s")
    for name, where in filters.items():
        found[name] = questions(gallery, queries, name, where)
    if options.clients:
        found["clients"] = together(gallery, queries, options.clients)
    added = memory_mib(highest=True) - before
    print(f"memory added at the highest: {added:.0f} MiB")
    found["added_mib"] = added
    if options.indexes:
        found["indexes"] = indexes(folder, queries)
    return found


def questions(
    gallery: LanceGallery, queries: np.ndarray, name: str, where: Filter | None
) -> dict[str, object]:
    """Milliseconds of one question after the other."""
    cpu, wall, manner = [], [], ""
    for query in queries:
        began, started = time.thread_time(), time.perf_counter()
        answer = gallery.search(query, top=TOP, where=where)
        wall.append(time.perf_counter() - started)
        cpu.append(time.thread_time() - began)
        manner = f"{answer.manner}, {answer.searched} searched"
    p50, p99, p50_cpu = (1000 * float(np.percentile(t, p)) for t, p in ((wall, 50), (wall, 99), (cpu, 50)))
    print(f"{name:10} {manner:32} p50 {p50:8.1f} ms  p99 {p99:8.1f} ms  cpu p50 {p50_cpu:8.1f} ms")
    return {"manner": manner, "p50_ms": p50, "p99_ms": p99, "cpu_p50_ms": p50_cpu}


def together(gallery: LanceGallery, queries: np.ndarray, clients: int) -> dict[str, float]:
    """Many at once: questions in a second, and the slowest of a hundred."""

    def ask(query: np.ndarray) -> float:
        started = time.perf_counter()
        gallery.search(query, top=TOP, where=Filter(modality="visible"))
        return time.perf_counter() - started

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seconds = list(pool.map(ask, queries))
    rate = len(queries) / (time.perf_counter() - started)
    p99 = 1000 * float(np.percentile(seconds, 99))
    print(f"{clients} at once: {rate:.1f} questions/s, p99 {p99:.0f} ms")
    return {"clients": clients, "per_second": rate, "p99_ms": p99}


def indexes(folder: Path, queries: np.ndarray) -> list[dict[str, object]]:
    """Recall at 20 against the exact answer, for every index, effort and filter."""
    from lancedb.index import HnswSq, IvfPq, IvfRq, IvfSq

    gallery = LanceGallery(folder)
    snapshot = gallery._reader.snapshot()
    assert snapshot is not None
    lists = max(8, len(snapshot) // 4096)
    kinds: dict[str, Callable[[], object]] = {
        "IVF, 1 bit": lambda: IvfRq(distance_type="dot", num_partitions=lists),
        "IVF, 8 bits": lambda: IvfSq(distance_type="dot", num_partitions=lists),
        "IVF, products of 16": lambda: IvfPq(distance_type="dot", num_partitions=lists),
        "HNSW, 8 bits": lambda: HnswSq(distance_type="dot", num_partitions=1),
    }
    true = {(name, i): exact(gallery, q, w) for name, w in FILTERS.items() for i, q in enumerate(queries)}
    found = []
    for kind, config in kinds.items():
        began, started = time.process_time(), time.perf_counter()
        snapshot.table.create_index("vector", config=config(), replace=True)
        built = (time.perf_counter() - started, time.process_time() - began)
        print(f"{kind}: made in {built[0]:.1f} s, {built[1]:.1f} s of processor time")
        for effort in efforts(lists):
            row = {"index": kind, "lists": lists, "effort": effort, "build_cpu_s": built[1]}
            row.update(recall_of(gallery, snapshot, queries, effort, true))
            found.append(row)
    return found


def efforts(lists: int) -> Sequence[int]:
    return sorted({min(lists, 8 * 2**i) for i in range(20) if 8 * 2 ** (i - 1) < lists})


def exact(gallery: LanceGallery, query: np.ndarray, where: Filter | None) -> set[str]:
    return {hit.tracklet.tracklet_id for hit in gallery.search(query, top=TOP, where=where)}


def recall_of(gallery, snapshot, queries, effort, true) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Recall by filter, and processor time of a question."""
    recall = {}
    began = time.process_time()
    for name, where in FILTERS.items():
        hits = wanted = 0
        for i, query in enumerate(queries):
            rows, _ = gallery._vectors.approximate(snapshot, query, TOP, where, effort)
            ids = set(snapshot.read(rows, ["tracklet_id"]).column("tracklet_id").to_pylist())
            hits += len(ids & true[name, i])
            wanted += len(true[name, i])
        recall[f"recall_{name}"] = hits / wanted
    ms = 1000 * (time.process_time() - began) / (len(FILTERS) * len(queries))
    shown = "  ".join(f"{name.removeprefix('recall_')} {value:.3f}" for name, value in recall.items())
    print(f"   {effort:4} lists looked at: recall {shown}; {ms:.1f} ms of processor time")
    return {**recall, "cpu_ms": ms}


if __name__ == "__main__":
    main()
