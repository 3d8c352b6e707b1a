"""The learning section: what a training log says, as groups of plots with what to read from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapetum.report.figures import learning_plot, line_styles, monitor_plot
from tapetum.report.sections import LegendEntry, legend_of
from tapetum.report.training_log import Curve, TrainingLog, read_training_log


@dataclass(frozen=True, slots=True)
class LearningPlot:
    """One quantity, or several of one kind: heading, `<svg>` text, and where they started and ended."""

    title: str
    svg: str
    note: str
    legend: tuple[LegendEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class PlotGroup:
    """Plots that are read together."""

    title: str
    plots: tuple[LearningPlot, ...]
    caption: str


@dataclass(frozen=True, slots=True)
class Learning:
    """The whole section; `not_finite` counts logged values that are in no plot."""

    groups: tuple[PlotGroup, ...]
    not_finite: int


def describe_learning(source: Path | Iterable[Mapping[str, Any]] | None) -> Learning | None:
    """The section of a training log; None without one, or where it holds no number.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file is no JSON-lines file.
        MissingExtraError: matplotlib is not installed.
    """
    if source is None:
        return None
    log = read_training_log(source)
    losses = PlotGroup("Losses", _plots(log, log.losses, "loss", "accent"), _loss_caption(log))
    validation = PlotGroup(
        "Validation",
        _plots(log, log.validation, "validation", "infrared"),
        "Measured while training, as logged. A score that rises with the steps shows that what is learnt "
        "carries over to people who are not trained on; one that falls while the losses still go down shows "
        "over-fitting.",
    )
    monitors = PlotGroup(
        "Monitors",
        _monitor_plots(log),
        "What the method measures of itself while it learns, by the names it gives; no part of what is "
        "minimised. A line that moves from one stage to the next shows what that stage did.",
    )
    rates = PlotGroup(
        "Learning rate",
        _plots(log, log.rates, "rate", "visible"),
        "The rate of each parameter group as scheduled: look here first for the cause of a jump in a loss.",
    )
    groups = tuple(group for group in (losses, validation, monitors, rates) if group.plots)
    return Learning(groups, log.not_finite) if groups or log.not_finite else None


def _plots(log: TrainingLog, curves: Iterable[Curve], prefix: str, colour: str) -> tuple[LearningPlot, ...]:
    return tuple(
        LearningPlot(
            title=curve.name,
            svg=learning_plot(curve, log.stages, name=f"{prefix}-{number}", colour=colour),
            note=_ends(curve),
        )
        for number, curve in enumerate(curves)
    )


def _monitor_plots(log: TrainingLog) -> tuple[LearningPlot, ...]:
    """A plot per group of monitors: what stands before the first slash of their names."""
    groups: dict[str, dict[str, Curve]] = {}
    for curve in log.monitors:
        group, _, name = curve.name.partition("/")
        groups.setdefault(group, {})[name or group] = curve
    return tuple(
        _monitor_plot(log, group, curves, f"monitor-{number}")
        for number, (group, curves) in enumerate(groups.items())
    )


def _monitor_plot(log: TrainingLog, group: str, curves: Mapping[str, Curve], name: str) -> LearningPlot:
    styles = line_styles(list(curves))
    svg = monitor_plot(curves, styles, log.stages, name=name, title=group)
    if len(curves) == 1:
        ((only, curve),) = curves.items()
        return LearningPlot(group if only == group else f"{group}, {only}", svg, _ends(curve))
    note = "; ".join(f"{label}: {_ends(curve)}" for label, curve in curves.items())
    return LearningPlot(group, svg, note, tuple(legend_of(styles)))


def _ends(curve: Curve) -> str:
    return f"{curve.values[0]:.3g} at step {curve.steps[0]}, {curve.values[-1]:.3g} at the end"


def _loss_caption(log: TrainingLog) -> str:
    text = (
        "Each loss by its name in the log, each on its own scale; long runs are averaged over "
        "neighbouring steps. A loss that stays where it began is not being learnt, or has nothing left to do."
    )
    if len(log.stages) < 2:
        return text
    stages = ", ".join(f"{name or 'unnamed'} from step {first}" for name, first in log.stages)
    return f"{text} Stages: {stages}; a dotted line marks where one begins."
