"""Exact questions to a gallery in a folder, one after the other, against reading all of its vectors once."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.benchmarking.config import BenchConfig
from tapetum.benchmarking.galleries import draw, draw_questions, fill
from tapetum.benchmarking.measuring import Case, forget_peak, memory_mib, take_turns
from tapetum.benchmarking.rows import Limit, Row, rate_row, time_row
from tapetum.benchmarking.stages._registry import Part
from tapetum.search import Filter
from tapetum.search.lance_gallery import LanceGallery

Vectors = NDArray[np.float32]

TOP = 20
SCAN = "product of all vectors with the question, numpy"
_ROOM = 4096
"""Rows that are drawn for the product, again and again up to the gallery's number."""


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    sizes = config.search
    return {f"{sizes.rows} x {sizes.dimension}": partial(measure_search, config)}


def measure_search(config: BenchConfig) -> list[Row]:
    """Milliseconds of a question at the median: to all tracklets, to the visible half and to a tenth.

    The limit is that product over the rows that a question looks at; where a gallery scans bytes first, which
    it does where that is quicker, the ratio may be above 1.
    """
    sizes = config.search
    with tempfile.TemporaryDirectory(prefix="tapetum-bench-") as place:
        began = time.perf_counter()
        fill(Path(place) / "gallery", sizes.rows, sizes.dimension)
        stored = sizes.rows / (time.perf_counter() - began)
        forget_peak()
        before = memory_mib(highest=False)
        gallery = LanceGallery(Path(place) / "gallery")
        questions = itertools.cycle(draw_questions(gallery, sizes.questions))
        filters = make_filters(gallery)
        gallery.search(next(questions), top=TOP)  # loads what is held
        cases = {name: Case(partial(_ask, gallery, questions, where)) for name, (where, _) in filters.items()}
        asked = take_turns(cases, sizes.questions)
        added = memory_mib(highest=True) - before
        gallery.close()
    rows = [Row("stored and joined", stored, "rows/s", facts={"rows": sizes.rows})]
    scan = take_turns({SCAN: Case(_scan(sizes.rows, sizes.dimension))}, config.rounds)[SCAN]
    for name, (_, share) in filters.items():
        best = Limit.of(scan)
        limit = Limit(best.what, share * best.wall_s, share * (best.cpu_s or 0.0))
        rows.append(time_row(asked[name], limit, unit="ms a question", memory_mib=added))
    rows.append(rate_row(scan, 4e-9 * sizes.rows * sizes.dimension, "GB/s"))
    return rows


def make_filters(gallery: LanceGallery) -> dict[str, tuple[Filter | None, float]]:
    """What questions look for by name, and the share of the rows that may answer."""
    last = gallery.info().last_time or 0.0
    return {
        "all": (None, 1.0),
        "visible": (Filter(modality="visible"), 0.5),
        "a tenth of the visible, late ones": (
            Filter(modality="visible", cameras=[0, 2], after=last * 0.1),
            0.09,
        ),
    }


def _ask(gallery: LanceGallery, questions: Iterator[Vectors], where: Filter | None) -> None:
    gallery.search(next(questions), top=TOP, where=where)


def _scan(rows: int, dimension: int) -> Callable[[], object]:
    some = draw(np.arange(min(rows, _ROOM)), dimension, seed=0).vectors
    vectors = np.resize(some, (rows, dimension))
    query = vectors[0].copy()
    return lambda: vectors @ query
