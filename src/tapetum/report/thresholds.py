"""What distances mean, as plots and tables for the page: reliability, error rates, open-set rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tapetum.evaluation.calibration.calibration import Calibration
from tapetum.evaluation.calibration.open_set import OpenSetScores
from tapetum.evaluation.calibration.pair_curves import OperatingPoint, PairCurve
from tapetum.report.palette import light
from tapetum.report.score_tables import with_unit
from tapetum.report.sections import LegendEntry, Panel, direction
from tapetum.report.svg import svg_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Operation:
    """A threshold with what it gives, in words; `is_few` where the rate stands on too few pairs."""

    false_match_rate: str
    threshold: str
    false_non_match_rate: str
    probability: str
    is_few: bool


@dataclass(frozen=True, slots=True)
class PairingPanels:
    """One pairing: two plots, and thresholds."""

    title: str
    summary: str
    reliability: Panel
    error_rates: Panel
    operations: tuple[Operation, ...]
    has_few_people: bool


@dataclass(frozen=True, slots=True)
class OpenSetRow:
    """DIR at each false-alarm rate, in words, for one direction."""

    title: str
    cells: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class ThresholdSection:
    """All pairings, with the legend of their plots, and open-set identification."""

    pairings: tuple[PairingPanels, ...]
    missing: tuple[str, ...]
    legend: tuple[LegendEntry, ...]
    open_set_columns: tuple[str, ...]
    open_set: tuple[OpenSetRow, ...]


def describe_thresholds(
    calibration: Calibration | None, open_set: Sequence[OpenSetScores]
) -> ThresholdSection | None:
    """The section of a calibration and of open-set scores; None where there is neither.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if calibration is None and not open_set:
        return None
    curves = calibration.curves if calibration else {}
    missing = calibration.missing if calibration else {}
    rates = open_set[0].false_alarm_rates if open_set else ()
    return ThresholdSection(
        pairings=tuple(_panels(curve) for curve in curves.values()),
        missing=tuple(f"{pairing}: {reason}" for pairing, reason in missing.items()),
        legend=(
            LegendEntry("false matches: two people taken for one", "wrong", 2.0),
            LegendEntry("false non-matches: one person taken for two", "accent", 2.0, "6 3"),
        ),
        open_set_columns=(*(f"FAR {100 * rate:g} %" for rate in rates), "no threshold"),
        open_set=tuple(_open_set_row(scores) for scores in open_set),
    )


def _operation(point: OperatingPoint) -> Operation:
    return Operation(
        false_match_rate=f"{100 * point.wished:g} %",
        threshold=f"{point.threshold:.4f}",
        false_non_match_rate=with_unit(point.false_non_match_rate),
        probability=with_unit(point.probability),
        is_few=not point.is_resolved,
    )


def _panels(curve: PairCurve) -> PairingPanels:
    rate, at = curve.judged.equal_error()
    name = curve.pairing.value
    reliability = curve.reliability()
    return PairingPanels(
        title=f"{name} pairs",
        summary=(
            f"Learnt from {curve.learnt.people:,} people, judged on {curve.judged.people:,} others "
            f"({curve.judged.same.sum():,} pairs of one person, {curve.judged.different.sum():,} of two)."
        ),
        reliability=Panel(
            "Do the probabilities hold?",
            _reliability_plot(curve, f"reliability-{name}"),
            f"Expected calibration error {with_unit(reliability.expected_error)}, with as many pairs of one "
            "person as of two.",
        ),
        error_rates=Panel(
            "Errors at each threshold",
            _error_plot(curve, f"errors-{name}"),
            f"Equal error rate {with_unit(rate)} at distance {at:.4f}.",
        ),
        operations=tuple(map(_operation, curve.operating_points())),
        has_few_people=curve.has_few_people,
    )


def _open_set_row(scores: OpenSetScores) -> OpenSetRow:
    cells = [
        with_unit(scores.rate(rate)) + ("" if scores.is_resolved(rate) else " *")
        for rate in scores.false_alarm_rates
    ]
    note = (
        f"{scores.with_mate.mean():.0f} queries with a mate, {scores.without_mate.mean():.0f} without, mean "
        f"of {len(scores.rates)} draws"
    )
    return OpenSetRow(direction(scores.trial), (*cells, with_unit(float(scores.closed.mean()))), note)


def _reliability_plot(curve: PairCurve, name: str) -> str:
    found = curve.reliability()
    filled = found.weight > 0
    size = 20 + 160 * np.sqrt(found.weight[filled] / found.weight.max())

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=light("muted"), linewidth=1, dashes=(4, 3))
        x, y = found.predicted[filled], found.observed[filled]
        axes.plot(x, y, color=light("accent"), linewidth=1.4)
        axes.scatter(x, y, s=size, color=light("accent"), linewidths=0, alpha=0.75, zorder=3)
        axes.set(xlabel="probability said", ylabel="share of one person seen", xlim=(0, 1), ylim=(0, 1.02))

    title = f"share of pairs of one person over the probability said, {curve.pairing} pairs"
    return svg_plot(draw, name=name, title=title, width=390, height=300)


def _error_plot(curve: PairCurve, name: str) -> str:
    false_match = np.cumsum(curve.judged.different) / curve.judged.different.sum()
    missed = 1 - np.cumsum(curve.judged.same) / curve.judged.same.sum()
    used = np.flatnonzero(curve.judged.same + curve.judged.different)
    shown = np.unique(np.linspace(max(0, used[0] - 1), used[-1], 400).astype(np.int64))
    rate, at = curve.judged.equal_error()

    def draw(axes: Axes) -> None:
        distance = curve.judged.distances[shown]
        axes.plot(distance, 100 * false_match[shown], color=light("wrong"), linewidth=2)
        (line,) = axes.plot(distance, 100 * missed[shown], color=light("accent"), linewidth=2)
        line.set_dashes((6, 3))
        axes.axvline(at, color=light("muted"), linewidth=1, dashes=(2, 2))
        axes.annotate(f"{100 * rate:.1f} %", (at, 100 * rate), xytext=(6, 4), textcoords="offset points")
        axes.set(xlabel="threshold of distance", ylabel="share of pairs, %", ylim=(0, 102))

    title = f"false-match and false-non-match rates over the threshold, {curve.pairing} pairs"
    return svg_plot(draw, name=name, title=title, width=390, height=300)
