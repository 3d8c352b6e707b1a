"""The report's plots: learning curves, match curves, distance histograms, maps of the embedding space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapetum.report.distances import DistanceHistogram
from tapetum.report.palette import MODALITIES, PEOPLE, ROWS, light
from tapetum.report.projection import Projection
from tapetum.report.score_tables import CHANCE
from tapetum.report.svg import svg_plot
from tapetum.report.training_log import Curve
from tapetum.types import Modality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ((5, 2), (1.5, 1.5), (6, 2, 1.5, 2), (8, 3), (3, 1.5), ())
_POINTS = 300
_MARKERS = {Modality.VISIBLE: "o", Modality.INFRARED: "^"}


@dataclass(frozen=True, slots=True)
class RowStyle:
    """How a row of the result table is drawn, the same in each plot.

    Attributes:
        colour: Name in the palette.
        dashes: Lengths of dashes and gaps; empty for a solid line.
        width: Line width in pixels.
    """

    colour: str
    dashes: tuple[float, ...] = ()
    width: float = 1.6


def row_styles(names: Sequence[str], highlighted: str) -> dict[str, RowStyle]:
    """A style per row: the highlighted one thick and solid, chance grey, each other its own hue and dash."""
    fixed = {CHANCE: RowStyle("muted", (2, 2)), highlighted: RowStyle("accent", (), 2.8)}
    others = [name for name in names if name not in fixed]
    styles = {name: RowStyle(ROWS[i % len(ROWS)], _DASHES[i % len(_DASHES)]) for i, name in enumerate(others)}
    return {**styles, **fixed}


def line_styles(names: Sequence[str]) -> dict[str, RowStyle]:
    """A style for each line of one plot: modalities in their own colours, each other its own hue and dash.

    >>> {name: style.colour for name, style in line_styles(["visible", "infrared to text", "both"]).items()}
    {'visible': 'visible', 'infrared to text': 'infrared', 'both': 'row-3'}
    """
    if len(names) == 1:
        return {names[0]: RowStyle("accent", (), 1.8)}
    own = {modality.value: RowStyle(colour, (), 1.8) for modality, colour in MODALITIES.items()}
    styles = {}
    for i, name in enumerate(names):
        hue, dashes = ROWS[i % len(ROWS)], _DASHES[i % len(_DASHES)]
        found = own.pop(name.partition(" ")[0], None)
        styles[name] = found or RowStyle(hue, dashes, 1.8)
    return styles


def learning_plot(
    curve: Curve, stages: Sequence[tuple[str, int]], *, name: str, colour: str = "accent"
) -> str:
    """One logged quantity over the steps of training; thin vertical lines where a stage begins.

    Args:
        curve: Averaged to at most 300 points before it is drawn.
        stages: (name, first step).
        name: Id prefix of the plot.
        colour: Name in the palette.
    """
    style = RowStyle(colour, (), 1.8)
    return monitor_plot({curve.name: curve}, {curve.name: style}, stages, name=name, title=curve.name)


def monitor_plot(
    curves: Mapping[str, Curve],
    styles: Mapping[str, RowStyle],
    stages: Sequence[tuple[str, int]],
    *,
    name: str,
    title: str,
) -> str:
    """Several logged quantities of one kind over the steps of training, as `learning_plot` draws one.

    Args:
        curves: By the name under which `styles` has them.
        styles: A style for each.
        stages: (name, first step).
        name: Id prefix of the plot.
        title: What is measured, for readers who do not see it.
    """

    def draw(axes: Axes) -> None:
        for _, first in stages[1:]:
            axes.axvline(first, color=light("muted"), linewidth=1, dashes=(2, 2))
        for label, curve in curves.items():
            _draw_line(axes, curve.averaged(_POINTS), styles[label])
        axes.set_xlabel("step")
        axes.locator_params(nbins=4)
        axes.ticklabel_format(axis="y", scilimits=(-2, 4))
        axes.yaxis.get_offset_text().set(color=light("muted"), size=10)
        axes.margins(x=0.02)

    return svg_plot(draw, name=name, title=f"{title} over training steps", width=270, height=165)


def _draw_line(axes: Axes, shown: Curve, style: RowStyle) -> None:
    marker = "o" if len(shown.steps) < 25 else ""
    (line,) = axes.plot(shown.steps, shown.values, color=light(style.colour), marker=marker, markersize=4)
    line.set_linewidth(style.width)
    line.set_dashes(style.dashes)


def cmc_plot(
    cmc: Mapping[str, NDArray[np.float64]], styles: Mapping[str, RowStyle], *, name: str, title: str
) -> str:
    """Cumulative match curves: share of queries with a true match among the first k, for each row.

    Args:
        cmc: Row name -> rates at k = 1, 2, ..., as fractions.
        styles: A style for each row.
        name: Id prefix of the plot.
        title: For readers who do not see it.
    """

    def draw(axes: Axes) -> None:
        for row, rates in cmc.items():
            style = styles[row]
            (line,) = axes.plot(np.arange(1, len(rates) + 1), 100 * rates, color=light(style.colour))
            line.set_linewidth(style.width)
            line.set_dashes(style.dashes)
            line.set_zorder(2 + style.width)
        longest = max(map(len, cmc.values()))
        axes.set(
            xlabel="rank k", ylabel="queries matched within k, %", ylim=(0, 102), xlim=(0.5, longest + 0.5)
        )
        axes.set_xticks([k for k in (1, 5, 10, 15, 20) if k <= longest])

    return svg_plot(draw, name=name, title=title, width=430, height=300)


def distance_plot(histogram: DistanceHistogram, *, bins: int, name: str, title: str) -> str:
    """Two histograms over the cosine distance, each scaled to its own number of pairs.

    Args:
        histogram: Must hold at least one pair.
        bins: Number of bars over the range of all pairs.
        name: Id prefix of the plot.
        title: For readers who do not see it.
    """
    merged = histogram.merged(bins)

    def draw(axes: Axes) -> None:
        for counts, colour, hatch in ((merged.different, "other", ""), (merged.same, "accent", "///")):
            share = 100 * counts / max(1, counts.sum())
            fill = axes.stairs(share, merged.edges, fill=True, color=light(colour), alpha=0.35, linewidth=0)
            fill.set_hatch(hatch)
            axes.stairs(share, merged.edges, color=light(colour), linewidth=1.8)
        axes.set(xlabel="cosine distance (lower is nearer)", ylabel="share of pairs, %")
        axes.set_ylim(bottom=0)

    return svg_plot(draw, name=name, title=title, width=430, height=300)


def person_map(projection: Projection, *, name: str) -> str:
    """The map coloured by identity; a line joins the middles of a person's two modalities.

    The number stands at the visible end, the marker tells the modality.
    """
    colours = np.array([light(PEOPLE[i % len(PEOPLE)]) for i in projection.persons])

    def draw(axes: Axes) -> None:
        for index, person_id in enumerate(projection.person_ids):
            colour = light(PEOPLE[index % len(PEOPLE)])
            middles = _middles(projection, index)
            axes.plot(*middles.T, color=colour, linewidth=1, alpha=0.55)
            _number(axes, middles[0], str(person_id)[:8])
        _scatter(axes, projection, colours)

    title = f"t-SNE map of {len(projection.points)} tracklets by identity"
    return svg_plot(draw, name=name, title=title, width=430, height=400)


def _middles(projection: Projection, person: int) -> NDArray[np.float64]:
    """`[1 or 2, 2]` median point of a person's tracklets in each modality, visible first."""
    own = projection.persons == person
    sides = (own & ~projection.infrared, own & projection.infrared)
    return np.array([np.median(projection.points[side], axis=0) for side in sides if side.any()])


def _number(axes: Axes, middle: NDArray[np.float64], text: str) -> None:
    box = {"boxstyle": "round,pad=0.1", "fc": light("surface"), "ec": "none", "alpha": 0.7}
    axes.annotate(
        text,
        (float(middle[0]), float(middle[1])),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        size=9,
        color=light("ink"),
        bbox=box,
    )


def modality_map(projection: Projection, *, name: str) -> str:
    """The same map coloured by modality."""
    colours = np.array(
        [light(MODALITIES[Modality.INFRARED if i else Modality.VISIBLE]) for i in projection.infrared]
    )

    def draw(axes: Axes) -> None:
        _scatter(axes, projection, colours)

    title = f"t-SNE map of {len(projection.points)} tracklets by modality"
    return svg_plot(draw, name=name, title=title, width=430, height=400)


def _scatter(axes: Axes, projection: Projection, colours: NDArray[np.str_]) -> None:
    for modality, marker in _MARKERS.items():
        of_modality = projection.infrared == (modality is Modality.INFRARED)
        x, y = projection.points[of_modality].T
        axes.scatter(x, y, s=32, c=colours[of_modality], marker=marker, linewidths=0, alpha=0.9, zorder=3)
    axes.set(xticks=[], yticks=[])
    axes.spines["bottom"].set_visible(False)
    axes.margins(0.04)
