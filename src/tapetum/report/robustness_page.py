"""What a model keeps of its scores on corrupted pictures, as one HTML page that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tapetum.data.corruptions import CORRUPTIONS, Corruption
from tapetum.evaluation.robustness import Figures, Robustness, mean_figures
from tapetum.files import replace_text
from tapetum.report.cameras import HeatCell, HeatMap
from tapetum.report.corruption_examples import ExampleFrames, corruption_examples
from tapetum.report.figures import RowStyle, row_styles
from tapetum.report.palette import light
from tapetum.report.rendering import render
from tapetum.report.score_tables import Cell, ScoreRow, ScoreTable, per_cent, with_unit
from tapetum.report.sections import LegendEntry, Panel, Tile, direction
from tapetum.report.svg import svg_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALL = "all corruptions"
_CLEAN = "clean"
_INFRARED = "infrared sensor"
_INFRARED_STYLE = RowStyle("infrared", (4, 1.5, 1, 1.5, 1, 1.5))
_DEEPEST = 60  # per cent: figures stay readable
_MEASURES = ("mAP", "lost", "R-1", "lost")
_SIDES = {
    "both": "All pictures are corrupted, as far as a corruption happens to their modality.",
    "query": "Only the pictures that are searched for are corrupted.",
    "gallery": "Only the pictures that are searched among are corrupted.",
    "visible": "Only visible pictures are corrupted.",
    "infrared": "Only infrared pictures are corrupted.",
}


@dataclass(frozen=True, slots=True)
class RobustnessDirection:
    """One direction of search: figures, a grid of cells, and a curve for each family."""

    title: str
    table: ScoreTable
    heat_map: HeatMap
    curves: Panel


def build_robustness(
    out: Path, found: Robustness, examples: ExampleFrames, *, title: str, is_synthetic: bool = False
) -> Path:
    """Write the page to `out`, whole or not at all, and return `out`.

    Args:
        out: The HTML file; its folder is made where there is none.
        found: All figures.
        examples: Frames to show.
        title: Heading of the page.
        is_synthetic: Whether to say above all figures that the data was drawn.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
        DataError: A frame cannot be read.
    """
    corruptions = [corruption for corruption in CORRUPTIONS if corruption.name in found.corruptions]
    page = {
        "title": title,
        "summary": _summary(found),
        "side": _SIDES[found.side],
        "is_synthetic": is_synthetic,
        "tiles": [tile for name in found.directions for tile in _tiles(found, name)],
        "legend": _legend(_families(corruptions)),
        "directions": [_direction(found, name, corruptions) for name in found.directions],
        "examples": corruption_examples(examples, corruptions, found.severities),
        "severities": found.severities,
    }
    text = render("robustness.html", page)
    out.parent.mkdir(parents=True, exist_ok=True)
    return replace_text(out, text)


def _summary(found: Robustness) -> str:
    severities = ", ".join(map(str, found.severities))
    return (
        f"Model {found.model or '(unknown)'} on {found.data} by the protocol {found.protocol}: "
        f"{len(found.corruptions)} corruptions at severity {severities}, seed {found.seed}."
    )


def _tiles(found: Robustness, name: str) -> list[Tile]:
    clean, overall = found.clean[name], found.overall(name)
    drop = overall.drop(clean)
    words = direction(name)
    return [
        Tile(f"mAP, {words}", with_unit(overall.mean_ap), f"clean: {with_unit(clean.mean_ap)}"),
        Tile(f"mAP lost, {words}", with_unit(drop.mean_ap), "of the clean mAP, mean over corruptions"),
        Tile(f"rank-1, {words}", with_unit(overall.rank_1), f"clean: {with_unit(clean.rank_1)}"),
    ]


def _direction(found: Robustness, name: str, corruptions: Sequence[Corruption]) -> RobustnessDirection:
    words = direction(name)
    return RobustnessDirection(
        words, _table(found, name), _heat_map(found, name), _curves(found, name, _families(corruptions))
    )


def _table(found: Robustness, name: str) -> ScoreTable:
    """A line for clean pictures, one for each corruption, and their mean."""
    clean = found.clean[name]
    means = {corruption: found.of_corruption(corruption, name) for corruption in found.corruptions}
    rows = {_CLEAN: clean, **means, ALL: found.overall(name)}
    return ScoreTable(
        f"Means over severities, {direction(name)}",
        tuple(ScoreRow(title, _cells(own, clean), title == ALL) for title, own in rows.items()),
        "Lost: relative to clean pictures. The last line is the mean of the lines between.",
        _MEASURES,
    )


def _cells(own: Figures, clean: Figures) -> tuple[Cell, ...]:
    drop = own.drop(clean)
    shown = (own.mean_ap, drop.mean_ap, own.rank_1, drop.rank_1)
    return tuple(Cell(per_cent(value), _bar(value)) for value in shown)


def _bar(share: float) -> float:
    return 0.0 if math.isnan(share) else round(100 * min(max(share, 0.0), 1.0), 2)


def _heat_map(found: Robustness, name: str) -> HeatMap:
    """The mAP of each cell; the deeper its colour, the more of the clean mAP is lost."""
    clean = found.clean[name]
    rows = []
    for corruption in found.corruptions:
        own = {
            s: found.cells[corruption, s][name] for s in found.severities if (corruption, s) in found.cells
        }
        cells = [_heat_cell(own[s], clean) if s in own else HeatCell("") for s in found.severities]
        rows.append((corruption, (*cells, _heat_cell(mean_figures(own.values()), clean))))
    return HeatMap(
        f"mAP, {direction(name)}",
        (*(f"severity {severity}" for severity in found.severities), "mean"),
        tuple(rows),
        f"Clean: {per_cent(clean.mean_ap)}. The deeper the colour, the more of it is lost.",
        corner="corruption",
    )


def _heat_cell(own: Figures, clean: Figures) -> HeatCell:
    lost = own.drop(clean).mean_ap
    note = f"{with_unit(lost)} lost; rank-1 {with_unit(own.rank_1)}, mINP {with_unit(own.mean_inp)}"
    return HeatCell(per_cent(own.mean_ap), round(_DEEPEST * _bar(lost) / 100, 1), note)


def _styles(families: Mapping[str, list[str]]) -> dict[str, RowStyle]:
    """A line style for each family; one more than there are hues, so that one has the infrared's."""
    return {**row_styles([name for name in families if name != _INFRARED], ALL), _INFRARED: _INFRARED_STYLE}


def _families(corruptions: Sequence[Corruption]) -> dict[str, list[str]]:
    """Family -> names of its corruptions, and all of them together."""
    found: dict[str, list[str]] = {}
    for corruption in corruptions:
        found.setdefault(corruption.family, []).append(corruption.name)
    return {**found, ALL: [corruption.name for corruption in corruptions]}


def _curves(found: Robustness, name: str, families: Mapping[str, list[str]]) -> Panel:
    """The mAP over severity, a line for each family; clean pictures are severity 0."""
    styles = _styles(families)
    severities = [s for s in found.severities if all((c, s) in found.cells for c in found.corruptions)]
    curves = {
        family: [found.clean[name].mean_ap]
        + [mean_figures(found.cells[c, s][name] for c in names).mean_ap for s in severities]
        for family, names in families.items()
    }

    def draw(axes: Axes) -> None:
        for family, values in curves.items():
            _draw_curve(axes, [0, *severities], [100 * value for value in values], styles[family])
        axes.set(xlabel="severity", ylabel="mAP, %")
        axes.set_xticks([0, *severities], ["clean", *map(str, severities)])
        axes.set_ylim(bottom=0)

    words = direction(name)
    title = f"mAP by severity for each family of corruptions, {words}"
    svg = svg_plot(
        draw, name=f"severity-{name.lower().replace(' ', '-')}", title=title, width=430, height=300
    )
    return Panel(f"mAP by severity, {words}", svg, "Means over the corruptions of a family.")


def _draw_curve(axes: Axes, severities: list[int], values: list[float], style: RowStyle) -> None:
    (line,) = axes.plot(severities, values, color=light(style.colour), marker="o", markersize=3.5)
    line.set_linewidth(style.width)
    line.set_dashes(style.dashes)
    line.set_zorder(2 + style.width)


def _legend(families: Mapping[str, list[str]]) -> list[LegendEntry]:
    styles = _styles(families)
    return [
        LegendEntry(name, style.colour, style.width, " ".join(f"{d:g}" for d in style.dashes))
        for name, style in ((name, styles[name]) for name in families)
    ]
