"""Run a demo, step by step; each step is one or two public calls."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from tapetum.config import read_yaml
from tapetum.data.datasets import DataSet, read_dataset
from tapetum.data.frames import FrameSource, open_frames
from tapetum.data.synthetic import write_hitsz_vcm
from tapetum.demo.machine import quicker_precision
from tapetum.demo.plan import METHOD, NOT_LEARNT, UNTRAINED, DemoPlan
from tapetum.demo.table import score_rows, to_json
from tapetum.embed import embed
from tapetum.embedding_files import save_embeddings
from tapetum.errors import CalibrationError
from tapetum.evaluation import calibrate, evaluate
from tapetum.evaluation.evaluate import Evaluation
from tapetum.evaluation.scores.metrics import Scores
from tapetum.files import replace_text
from tapetum.ingest import MethodEncoder, ingest, open_source
from tapetum.methods import Method, create_method
from tapetum.model import load
from tapetum.report import ReportData, build_report
from tapetum.search import Filter, Gallery, SearchResult
from tapetum.training import TrainingProgress, resolve_run, train
from tapetum.training.run_folder import RunFolder
from tapetum.types import Embeddings, Modality

_PROTOCOL = "hitsz-vcm"
_CACHE_BYTES = 2 << 30
GALLERY = "gallery"
"""The gallery's folder, inside the demo's."""

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar with a title; gives a function of (done, total)."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demo leaves.

    Attributes:
        rows: Row -> direction -> scores, chance first.
        report: The HTML page.
        gallery: The folder with the gallery, which `tapetum serve` opens.
        table: The table as JSON.
        search: What the example search found.
        timings_s: Seconds of each step.
    """

    rows: Mapping[str, Mapping[str, Scores]]
    report: Path
    gallery: Path
    table: Path
    search: SearchResult
    timings_s: Mapping[str, float]


@dataclass(slots=True)
class _Show:
    """What a demo tells its caller while it runs, and how long its steps took."""

    bar: Bar
    training: Callable[[], AbstractContextManager[TrainingProgress]]
    note: Callable[[str], None]
    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step and time it."""
        self.note(name)
        began = time.monotonic()
        yield
        self.timings_s[name] = time.monotonic() - began


def run_demo(
    plan: DemoPlan,
    *,
    bar: Bar,
    training: Callable[[], AbstractContextManager[TrainingProgress]],
    note: Callable[[str], None],
) -> DemoResult:
    """Synthetic data, training, scores in both directions, a gallery, a search, a report.

    Args:
        plan: What to do and where.
        bar: Shows the progress of a step.
        training: Shows the progress of training.
        note: Takes a line for each step.

    Raises:
        FileExistsError: The plan's folder is not empty.
    """
    if plan.out.exists() and any(plan.out.iterdir()):
        raise FileExistsError(f"{plan.out}: not empty; give another folder")
    plan.out.mkdir(parents=True, exist_ok=True)
    show = _Show(bar, training, note)
    with show.step(f"drawing {plan.train_identities} + {plan.test_identities} people"):
        _draw(plan, show)
        dataset = read_dataset(plan.data)
    results = _score_not_learnt(plan, dataset, show)
    embeddings: dict[str, Embeddings] = {}
    for name in plan.learnt:
        _train(plan, name, show)
        with show.step(f"scoring {name}"):
            embeddings[name], found = _score_run(plan, name, dataset, show)
            results[name] = found
    with show.step("indexing"):
        _index(plan, embeddings[METHOD], show)
    with show.step("searching"):
        answer = _search(plan, embeddings[METHOD])
    with show.step("writing the report"):
        report = _report(plan, dataset, embeddings[METHOD], results, show)
    rows = score_rows(results)
    table = replace_text(plan.out / "table.json", json.dumps(to_json(rows), indent=2) + "\n")
    return DemoResult(rows, report, plan.out / GALLERY, table, answer, show.timings_s)


def _draw(plan: DemoPlan, show: _Show) -> None:
    with show.bar("tracklets") as progress:
        write_hitsz_vcm(
            plan.root,
            identities=plan.train_identities + plan.test_identities,
            test_identities=plan.test_identities,
            seed=plan.seed,
            options=plan.walkers,
            workers=plan.workers,
            progress=progress,
        )


def _score_not_learnt(plan: DemoPlan, dataset: DataSet, show: _Show) -> dict[str, Evaluation]:
    """Rows that need no training: pixels, colours, and the stand-in as it is."""
    results = {}
    names = {name: name for name in NOT_LEARNT} | {UNTRAINED: "clip-baseline"}
    with show.step("scoring what is not learnt"):
        size = plan.walkers.frame_size
        frames = open_frames(dataset.test, *size, cache_bytes=_CACHE_BYTES)
        for row, name in names.items():
            method = create_method(name, num_identities=2, num_cameras=2, preset="tiny")
            results[row] = _evaluate(method, dataset, frames, show, row)[1]
    return results


def _evaluate(
    method: Method, dataset: DataSet, frames: FrameSource | None, show: _Show, row: str
) -> tuple[Embeddings, Evaluation]:
    with show.bar(row) as progress:
        embeddings = embed(method, dataset.test, cache=frames, progress=progress)
    return embeddings, evaluate(embeddings, _PROTOCOL)


def _train(plan: DemoPlan, name: str, show: _Show) -> None:
    settings = {
        "seed": plan.seed,
        "max_minutes": plan.minutes,
        "precision": quicker_precision(),
        "cache": "always",
        "validation_identities": 0,
    }
    run = resolve_run(
        name, plan.data, preset="tiny", overrides={"training": settings, "config": plan.settings}
    )
    with show.step(f"training {name} for {plan.minutes:g} min"), show.training() as progress:
        train(run, plan.out / "runs" / name, progress=progress)


def _score_run(plan: DemoPlan, name: str, dataset: DataSet, show: _Show) -> tuple[Embeddings, Evaluation]:
    model = load(plan.out / "runs" / name)
    embeddings, found = _evaluate(model.method, dataset, None, show, name)
    embeddings = replace(embeddings, model=model.fingerprint, trained_on=model.trained_on)
    save_embeddings(embeddings, plan.out / "embeddings" / name, method=name)
    return embeddings, found


def _index(plan: DemoPlan, embeddings: Embeddings, show: _Show) -> None:
    """Put the test tracklets, with pictures of each, into a gallery that knows what its distances mean."""
    model = load(plan.out / "runs" / METHOD)
    source = open_source(plan.data)
    with closing(Gallery.open(plan.out / GALLERY)) as gallery, show.bar("tracklets") as progress:
        total = source.count or len(embeddings)
        ingest(source, gallery, MethodEncoder(model), progress=lambda report: progress(report.done, total))
        try:
            gallery.set_calibration(calibrate(embeddings, seed=plan.seed))
        except CalibrationError as error:  # of too few people
            show.note(f"no calibration: {error}")


def _search(plan: DemoPlan, embeddings: Embeddings) -> SearchResult:
    """Ask the gallery, by day, for the person in the first infrared tracklet."""
    with closing(Gallery.open(plan.out / GALLERY, create=False)) as gallery:
        query = next(i for i, t in enumerate(embeddings.tracklets) if t.modality is Modality.INFRARED)
        return gallery.search(embeddings.rows([query]), top=5, where=Filter(modality=Modality.VISIBLE))


def _report(
    plan: DemoPlan, dataset: DataSet, embeddings: Embeddings, results: Mapping[str, Evaluation], show: _Show
) -> Path:
    run = RunFolder(plan.out / "runs" / METHOD)
    data = ReportData(
        dataset=f"synthetic walkers in the format of HITSZ-VCM, cues: {plan.cues}, seed {plan.seed}",
        is_synthetic=True,
        method=METHOD,
        train=dataset.train,
        test=embeddings,
        results=results,
        log=run.log,
        config=read_yaml(run.config),
        environment=_environment(),
        timings_s=show.timings_s,
    )
    return build_report(plan.out / "report.html", title="Day finds night", data=data)


def _environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
        "processors": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
    }
