"""Matplotlib figures as SVG inside an HTML page: no outside names, unique ids, colours of the theme."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from tapetum.report.extra import load_extra
from tapetum.report.palette import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_VARIABLES = {day: f"var(--{name})" for name, (day, _) in COLOURS.items()}
_HEX = re.compile(r"#[0-9a-f]{6}\b")
_FONT_FAMILY = re.compile(r"font-family:[^;]*;?|(?<=px )'DejaVu Sans'[^;]*")
_LINK = re.compile(r"url\(#([^)]+)\)")


def svg_plot(
    draw: Callable[[Axes], None], *, name: str, title: str, width: int = 400, height: int = 270
) -> str:
    """One plot as an `<svg>` element for use inside HTML.

    Args:
        draw: Draws into the given axes.
        name: Prefix of every id in the element; unique on the page, letters, digits and dashes.
        title: What the picture shows, for readers who do not see it.
        width: Natural width in CSS pixels; the page scales the plot down where there is less room.
        height: Natural height in CSS pixels.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _drawing_style(name):
        figure = new_figure(width, height)
        axes = figure.add_subplot()
        style_axes(axes)
        draw(axes)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return embeddable(buffer.getvalue(), name=name, title=title)


def new_figure(width: int, height: int) -> Figure:
    """An empty figure of `width` x `height` CSS pixels, where one point is one pixel.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure: Figure = load_extra("matplotlib.figure").Figure(
        figsize=(width / 72, height / 72), dpi=72, layout="constrained"
    )
    return figure


def style_axes(axes: Axes) -> None:
    """Give axes the house look: no box, a light grid, small muted figures."""
    ink, muted, line = (COLOURS[name][0] for name in ("ink", "muted", "line"))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(line)
    axes.grid(True, color=line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=muted, labelsize=11, length=0, pad=5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=ink, size=11.5)


def embeddable(document: bytes, *, name: str, title: str) -> str:
    """Turn an SVG file into an element for HTML: `name` before each id, palette colours as CSS variables."""
    root = ElementTree.fromstring(document)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): _themed(_local(key), value, name) for key, value in element.items()}
        element.text, element.tail = _without_layout(element.text), None
    width = root.attrib.pop("width").removesuffix("pt")
    root.attrib.pop("height")
    root.attrib.update(
        {
            "class": "plot",
            "role": "img",
            "aria-label": title,
            "style": f"max-width:{1.25 * float(width):.0f}px",
        }
    )
    return ElementTree.tostring(root, encoding="unicode")


@contextmanager
def _drawing_style(name: str) -> Iterator[None]:
    """Text stays text and is never read as a formula; ids depend on `name` alone, so that files repeat."""
    with load_extra("matplotlib").rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}
    ):
        yield


def _themed(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return f"#{name}-{value.removeprefix('#')}"
    if key == "d":
        return " ".join(value.split())
    value = _LINK.sub(rf"url(#{name}-\1)", value)
    if key != "style":
        return value
    value = _FONT_FAMILY.sub("", value)
    return _HEX.sub(lambda found: _VARIABLES.get(found[0], found[0]), value)


def _local(tag: str) -> str:
    """A name without its `{namespace}`."""
    return tag.rpartition("}")[2]


def _without_layout(text: str | None) -> str | None:
    return text if text and text.strip() else None
