"""What `tapetum evaluate --corrupt` does: scores on corrupted pictures beside clean ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from tapetum.cli._console import OUT, check_place, note, progress_bar, say
from tapetum.cli._encoding import Encoding, read_for
from tapetum.data.datasets import DataSet
from tapetum.data.datasets._base import is_synthetic
from tapetum.files import replace_text

if TYPE_CHECKING:
    from tapetum.data.corruptions import Corruption
    from tapetum.evaluation.robustness import Figures, Robustness
    from tapetum.model import TrainedModel
    from tapetum.robustness import RobustnessPlan, Side

ALL = "all"


class CorruptSide(StrEnum):
    """Which pictures are corrupted."""

    BOTH = "both"
    QUERY = "query"
    GALLERY = "gallery"
    VISIBLE = "visible"
    INFRARED = "infrared"


CorruptOption = Annotated[
    str | None, typer.Option(help="all, or NAME,...: score on corrupted pictures too; see `corruptions`.")
]
SeverityOption = Annotated[str | None, typer.Option(help="With --corrupt: all, or some of 1,2,3,4,5.")]
CorruptSideOption = Annotated[
    CorruptSide | None, typer.Option(help="With --corrupt: which pictures; default: both.")
]
ReportOption = Annotated[Path | None, typer.Option(help="With --corrupt: HTML file for tables and pictures.")]
CellsOption = Annotated[
    Path | None, typer.Option(help="With --corrupt: folder that keeps what is done, to go on after a stop.")
]


@dataclass(frozen=True, slots=True)
class CorruptionRequest:
    """What `evaluate` was told about corruptions; `corrupt` is None where it was told nothing."""

    corrupt: str | None
    severity: str | None
    side: CorruptSide | None
    out: Path | None
    report: Path | None

    def check(self, **others: object) -> None:
        """Refuse options that act on nothing, and results that could not be written.

        Args:
            others: Options of `evaluate` that do not go with --corrupt, by their names; None or 0: not given.

        Raises:
            ValueError: Two options that do not go together.
            FileNotFoundError: The folder of the report does not exist.
            MissingExtraError: A report is asked for, and what draws it is not installed.
        """
        own = {"severity": self.severity, "corrupt_side": self.side, "out": self.out, "report": self.report}
        refused = own if self.corrupt is None else others
        for name in (name for name, value in refused.items() if value):
            does = "acts only with" if self.corrupt is None else "does not go with"
            raise ValueError(f"--{name.replace('_', '-')} {does} --corrupt")
        check_place(self.report)
        if self.out is not None and self.out.is_file():
            raise NotADirectoryError(f"{self.out}: is a file; expected a folder, or a name that is free")
        if self.report is not None:
            from tapetum.report.extra import load_extra

            for package in ("matplotlib", "jinja2"):
                load_extra(package)

    def chosen(self) -> tuple[Corruption, ...]:
        """The corruptions that were named.

        Raises:
            ValueError: There is no such corruption; the message lists the close ones.
        """
        from tapetum.data.corruptions import CORRUPTIONS, find_corruption

        if self.corrupt == ALL:
            return CORRUPTIONS
        return tuple(find_corruption(name.strip()) for name in (self.corrupt or "").split(","))

    def severities(self) -> tuple[int, ...]:
        """The severities that were named, ascending.

        Raises:
            ValueError: One is no whole number.
        """
        from tapetum.data.corruptions import SEVERITIES

        if self.severity in (None, ALL):
            return SEVERITIES
        parts = [part.strip() for part in str(self.severity).split(",")]
        wrong = [part for part in parts if not part.isdecimal()]
        if wrong:
            raise ValueError(f"--severity {wrong[0]!r}: expected all, or numbers such as 1,3,5")
        return tuple(sorted(map(int, parts)))


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """What else `evaluate` was told: how pictures become scores."""

    protocol: str | None
    root: Path | None
    seed: int
    rerank: bool
    encoding: Encoding
    device: str


def evaluate_corrupted(
    sources: list[Path],
    data: str | None,
    request: CorruptionRequest,
    rules: ScoringRules,
    json_file: Path | None,
) -> None:
    """Score models on clean and on corrupted pictures; print the table, and write what was asked for."""
    from tapetum.embedding_files import is_embeddings_folder
    from tapetum.evaluation.robustness import Robustness
    from tapetum.model import load

    chosen, severities = request.chosen(), request.severities()
    for source in sources:
        if is_embeddings_folder(source):
            raise ValueError(f"{source} holds embeddings, and those have no pixels to corrupt; give the run")
    if data is None:
        raise ValueError("--data FORMAT:ROOT is needed: pictures are read from there")
    models = [load(source, device=rules.device) for source in sources]
    sets = [read_for(model, data) for model in models]
    plan = _plan(request, rules, sets[0], chosen, severities)
    measured = [_measure(*one, plan, rules, request.out) for one in zip(models, sets, strict=True)]
    found = Robustness.of(measured, plan.side)
    OUT.print(robustness_table(found))
    if json_file is not None:
        replace_text(json_file, json.dumps({**found.to_json(), **_settings(plan)}, indent=2) + "\n")
    if request.report is not None:
        _write_report(request.report, found, models[0], sets[0], plan)


def robustness_table(found: Robustness) -> Table:
    """A line for clean pictures, for each corruption over its severities, and for their mean, in per cent."""
    title = f"{found.protocol}, {found.data}: means over severity {', '.join(map(str, found.severities))}"
    measures = [
        f"{name}\n{measure}" for name in found.directions for measure in ("mAP", "lost", "R1", "lost")
    ]
    table = Table(Column("per cent", no_wrap=True), *measures, box=None, title=title)
    table.add_row("[bold]clean[/]", *_cells({name: (own, None) for name, own in found.clean.items()}))
    for corruption in found.corruptions:
        means = {name: found.of_corruption(corruption, name) for name in found.directions}
        table.add_row(corruption, *_cells({name: (own, found.clean[name]) for name, own in means.items()}))
    overall = {name: (found.overall(name), found.clean[name]) for name in found.directions}
    table.add_row("[bold]all corruptions[/]", *_cells(overall))
    return table


def _cells(rows: Mapping[str, tuple[Figures, Figures | None]]) -> list[str]:
    """The mAP and rank-1 of each direction in per cent, each with what is lost of the clean figure."""
    from tapetum.report.score_tables import per_cent

    cells = []
    for own, clean in rows.values():
        lost = None if clean is None else own.drop(clean)
        for value in ("mean_ap", "rank_1"):
            cells += [per_cent(getattr(own, value)), "" if lost is None else per_cent(getattr(lost, value))]
    return cells


def _plan(
    request: CorruptionRequest,
    rules: ScoringRules,
    dataset: DataSet,
    chosen: tuple[Corruption, ...],
    severities: tuple[int, ...],
) -> RobustnessPlan:
    """What is measured; of all corruptions those that would change something."""
    from tapetum.evaluation import Reranking
    from tapetum.robustness import RobustnessPlan, applicable

    side: Side = (request.side or CorruptSide.BOTH).value
    protocol = rules.protocol or dataset.name.partition("?")[0]
    fitting = chosen
    if request.corrupt == ALL:
        root = rules.root or dataset.root
        fitting = applicable(chosen, dataset.test, side, protocol, seed=rules.seed, root=root)
    if len(fitting) < len(chosen):
        left = ", ".join(c.name for c in chosen if c not in fitting)
        note(f"left out, for they would change no picture: {left}")
    encoding = rules.encoding
    return RobustnessPlan(
        protocol=protocol,
        corruptions=fitting,
        severities=severities,
        side=side,
        seed=rules.seed,
        reranking=Reranking() if rules.rerank else None,
        sampling=encoding.sampling.value if encoding.sampling else None,
        flip=encoding.flip,
        precision=encoding.precision.value,
        batch_size=encoding.batch_size,
        workers=encoding.workers,
    )


def _measure(
    model: TrainedModel, dataset: DataSet, plan: RobustnessPlan, rules: ScoringRules, store: Path | None
) -> dict[tuple[str, int], Mapping[str, Any]]:
    from tapetum.robustness import measure_robustness

    root = rules.root or dataset.root
    with progress_bar(f"tracklets, {len(plan.cells)} times") as progress:
        return measure_robustness(
            model, dataset.test, plan, root=root, store=store, device=rules.device, progress=progress
        )


def _settings(plan: RobustnessPlan) -> dict[str, object]:
    """What else the figures depend on, for the record."""
    return {
        "levels": {
            corruption.name: {str(severity): corruption.levels[severity - 1] for severity in plan.severities}
            for corruption in plan.corruptions
        },
        "reranking": plan.reranking is not None,
        "flip": plan.flip,
    }


def _write_report(
    out: Path, found: Robustness, model: TrainedModel, dataset: DataSet, plan: RobustnessPlan
) -> None:
    from tapetum.report.corruption_examples import ExampleFrames
    from tapetum.report.robustness_page import build_robustness

    size = model.preprocessing
    examples = ExampleFrames(dataset.test, size.height, size.width, seed=plan.seed)
    build_robustness(
        out,
        found,
        examples,
        title=f"Robustness: {model.name} on {dataset.name}",
        is_synthetic=dataset.root is not None and is_synthetic(dataset.root),
    )
    say(f"{out}: tables and pictures")
