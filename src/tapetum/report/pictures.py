"""A picture of a search for people who only look: day queries and the night tracklets found for them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tapetum.evaluation.evaluate import TrialResult
from tapetum.report.extra import load_extra
from tapetum.report.palette import light
from tapetum.report.rankings import ChosenList, choose_lists
from tapetum.report.score_tables import with_unit
from tapetum.report.strips import frame_strip, middle_frame
from tapetum.types import Embeddings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT, _WIDTH, _GAP = 128, 64, 8
_QUERY_FRAMES = 4
_ROW = _HEIGHT + 52
_QUERY_WIDTH = _QUERY_FRAMES * (_WIDTH + 3) - 3
_LIST_LEFT = _QUERY_WIDTH + 48
_SCALE = 1.5  # pixels of the file per unit of the layout, for dense screens


def draw_overview(embeddings: Embeddings, result: TrialResult, *, title: str, hits: int = 10) -> bytes:
    """PNG of three searches of a trial: the query's frames, then the nearest tracklets, right or wrong.

    The queries are the one with the best, the median and the worst average precision, so the picture is no
    selection of successes; where there are fewer queries it shows fewer.

    Args:
        embeddings: What the trial's rows are rows of.
        result: The trial with its scores.
        title: Written above the strips.
        hits: Answers to show per query.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ValueError: The scores are not those of the ranking.
        DataError: A frame cannot be read.
    """
    lists = choose_lists(embeddings, result.trial, result.scores, each=1)
    width, height = _LIST_LEFT + hits * (_WIDTH + _GAP), 30 + len(lists) * _ROW
    figure = load_extra("matplotlib.figure").Figure(figsize=(width / 72, height / 72), dpi=72 * _SCALE)
    figure.set_facecolor("white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    _write(axes, 2, 16, title, size=13, weight="bold")
    for number, chosen in enumerate(lists):
        _draw_search(axes, embeddings, chosen, 30 + number * _ROW, hits)
    axes.set(xlim=(0, width), ylim=(height, 0))
    return _small_png(figure)


def _small_png(figure: Figure) -> bytes:
    """The figure with 256 colours of its own: a third of the size, and no difference to see."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(256).save(small, format="PNG", optimize=True)
    return small.getvalue()


def _draw_search(axes: Axes, embeddings: Embeddings, chosen: ChosenList, top: int, hits: int) -> None:
    ranked, query = chosen.ranked, embeddings.tracklets[chosen.ranked.query]
    precision = with_unit(chosen.average_precision)
    about = f"{chosen.kind} query: AP {precision}, first match at rank {chosen.first_match}"
    _write(axes, 2, top + 10, about)
    _place(axes, frame_strip(query, frames=_QUERY_FRAMES, height=_HEIGHT), 2, top + 22)
    _write(axes, 2, top + _HEIGHT + 33, f"{query.modality}, person {query.person_id}")
    _write(axes, _QUERY_WIDTH + 25, top + 22 + _HEIGHT / 2, "→", size=20, ha="center")
    for place in range(min(hits, len(ranked.gallery))):
        tracklet = embeddings.tracklets[int(ranked.gallery[place])]
        left = _LIST_LEFT + place * (_WIDTH + _GAP)
        _place(axes, middle_frame(tracklet, height=_HEIGHT), left, top + 22)
        _mark(axes, left, top + 22, is_match=bool(ranked.is_match[place]))
        _write(axes, left, top + _HEIGHT + 33, f"{place + 1}  p. {tracklet.person_id}")


def _mark(axes: Axes, left: float, top: float, *, is_match: bool) -> None:
    """A solid frame with a tick, or a dashed one with a cross."""
    rectangle = load_extra("matplotlib.patches").Rectangle
    colour = light("right" if is_match else "wrong")
    inside = (left + 1.5, top + 1.5), _WIDTH - 3, _HEIGHT - 3
    style = "solid" if is_match else (0, (3, 1.5))
    axes.add_patch(rectangle(*inside, fill=False, edgecolor=colour, linewidth=3, linestyle=style))
    axes.add_patch(rectangle((left, top), 18, 18, facecolor=colour, edgecolor="none"))
    _write(axes, left + 9, top + 9, "✓" if is_match else "✗", color="white", size=13, ha="center")


def _place(axes: Axes, picture: Image.Image, left: float, top: float) -> None:
    box = (left, left + picture.width, top + picture.height, top)
    axes.imshow(np.asarray(picture), extent=box, aspect="auto", interpolation="lanczos")


def _write(axes: Axes, left: float, top: float, text: str, **style: Any) -> None:
    look: dict[str, Any] = {"size": 10.5, "color": light("ink"), "va": "center", "parse_math": False}
    axes.text(left, top, text, **(look | style))
