"""From a template beside this file and what it shows to the text of a page."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from tapetum.report.extra import load_extra
from tapetum.report.palette import css_variables

_FOLDER = "tapetum.report"


def render(template: str, page: Mapping[str, Any]) -> str:
    """The HTML of a page; all text is escaped, but for the style sheet and the plots drawn here.

    Args:
        template: Name of the template's file.
        page: What it calls `page`; a name that it misses is an error.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    jinja2 = load_extra("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text: str = environment.get_template(template).render(
        page=page, style=css_variables() + _read("page.css")
    )
    return text


def _read(name: str) -> str:
    return files(_FOLDER).joinpath(name).read_text(encoding="utf-8")
