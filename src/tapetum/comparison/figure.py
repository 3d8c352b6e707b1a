"""A picture of a comparison: each row's mean mAP as a dot and its seeds as strokes, chance as a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tapetum.comparison.text import direction_title, row_title
from tapetum.report.palette import ROWS, light
from tapetum.report.svg import svg_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "^", "s", "D", "v", "P")
_ROW_HEIGHT, _MARGIN = 26, 70
"""Pixels."""


def spread_plot(block: Mapping[str, Any], *, name: str) -> str:
    """The mAP of all rows on one data set, a colour and a marker per direction, as an `<svg>` element.

    Args:
        block: A data set of the table, with at least one row that has scores.
        name: Id prefix of the plot.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rows = [row for row in block["rows"] if "scores" in row]
    scores = rows[0]["scores"]
    lanes = [((i + 0.5) / len(scores) - 0.5) * 0.5 for i in range(len(scores))]

    def draw(axes: Axes) -> None:
        for i, score in enumerate(scores):
            colour, lane = light(ROWS[i % len(ROWS)]), lanes[i]
            _draw_direction(axes, rows, i, lane, colour)
            for level in block["chance"]:
                if (level["protocol"], level["direction"]) == (score["protocol"], score["direction"]):
                    axes.axvline(100 * level["map"], color=colour, linewidth=1, dashes=(2, 3))
        axes.set_yticks(range(len(rows)), [row_title(row) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("mAP, %")
        axes.set_xlim(left=0)

    height = _MARGIN + _ROW_HEIGHT * len(rows)
    return svg_plot(draw, name=name, title=f"mAP of each row on {block['title']}", width=560, height=height)


def directions(block: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Of each direction in a plot: its name, its colour in the palette, its marker's sign."""
    scores = next(row["scores"] for row in block["rows"] if "scores" in row)
    return [
        (direction_title(score, scores), ROWS[i % len(ROWS)], _SIGNS[MARKERS[i % len(MARKERS)]])
        for i, score in enumerate(scores)
    ]


_SIGNS = {"o": "●", "^": "▲", "s": "■", "D": "◆", "v": "▼", "P": "✚"}


def _draw_direction(axes: Axes, rows: list[dict[str, Any]], place: int, lane: float, colour: str) -> None:
    """Dots of the means of one direction, and a stroke for each seed."""
    for line, row in enumerate(rows):
        figure = row["scores"][place]["map"]
        values = [100 * value for value in figure["values"]]
        axes.plot(values, [line + lane] * len(values), "|", color=colour, markersize=9, markeredgewidth=1.3)
        axes.plot(
            100 * figure["mean"],
            line + lane,
            MARKERS[place % len(MARKERS)],
            color=colour,
            markersize=6.5,
            markeredgecolor=light("surface"),
        )
