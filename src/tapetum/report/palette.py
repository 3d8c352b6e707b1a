"""The report's colours: plots draw with the light values, the page maps those to CSS variables.

Hues follow the palettes of Okabe and Ito and of Paul Tol, which stay apart for colour-blind readers; right
and wrong, and the two modalities, are told apart by shape too.
"""

from __future__ import annotations

from tapetum.types import Modality

COLOURS: dict[str, tuple[str, str]] = {
    "ink": ("#18222d", "#e8edf2"),
    "muted": ("#5a6673", "#9dabb9"),
    "line": ("#d9dfe6", "#34404c"),
    "surface": ("#fefefe", "#161d25"),
    "page": ("#f4f6f8", "#0e1319"),
    "accent": ("#0b7a75", "#4fd1c5"),
    "visible": ("#c96f12", "#f4a94d"),
    "infrared": ("#5b4bb3", "#a99bff"),
    "right": ("#177a3c", "#56cf83"),
    "wrong": ("#c0262d", "#ff7f79"),
    "other": ("#8d99a6", "#76838f"),
    "row-1": ("#0072b1", "#5ab4f0"),
    "row-2": ("#d45e01", "#ff9146"),
    "row-3": ("#b0578f", "#e596c4"),
    "row-4": ("#7a6a12", "#d8c64a"),
    "row-5": ("#4a7a94", "#8fc3dd"),
    "row-6": ("#6b4226", "#c99a78"),
    "person-1": ("#cc6677", "#f08a9b"),
    "person-2": ("#332288", "#8f83f2"),
    "person-3": ("#b39a2e", "#ddcc77"),
    "person-4": ("#117733", "#4fbf75"),
    "person-5": ("#3f9ac4", "#88ccee"),
    "person-6": ("#882255", "#d06aa0"),
    "person-7": ("#44aa99", "#66d1bf"),
    "person-8": ("#7f7f2a", "#bfbf55"),
    "person-9": ("#aa4499", "#dd7fd0"),
}
"""Name -> (hexadecimal on a light page, the same on a dark page); the light values are all different."""

ROWS = ("row-1", "row-2", "row-3", "row-4", "row-5", "row-6")
PEOPLE = tuple(f"person-{i}" for i in range(1, 10))
MODALITIES = {Modality.VISIBLE: "visible", Modality.INFRARED: "infrared"}


def light(name: str) -> str:
    """Hexadecimal of a colour as drawn on a light page.

    >>> light("ink")
    '#18222d'
    """
    return COLOURS[name][0]


def css_variables() -> str:
    """Style sheet text that declares every colour as `--name`, for light pages and for dark ones."""
    day, night = ("".join(f"--{name}:{pair[side]};" for name, pair in COLOURS.items()) for side in (0, 1))
    return f":root{{color-scheme:light dark;{day}}}\n@media (prefers-color-scheme:dark){{:root{{{night}}}}}\n"
