"""From a template and what it shows to an answer of HTTP. All text is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jinja2
from fastapi import Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from tapetum.server.access import access_of, csrf_token
from tapetum.server.page.files import static_file
from tapetum.server.page.scores import percent
from tapetum.server.page.timeline import camera_name
from tapetum.server.page.times import field_text, is_date, iso_time, time_text
from tapetum.server.users import Role, User

_PROBLEM = {"code": "[45]..", "swap": True, "error": False, "target": "#problem", "swapOverride": "innerHTML"}
_HTMX = {
    "includeIndicatorStyles": False,
    "allowEval": False,
    "allowScriptTags": False,
    "selfRequestsOnly": True,
    "historyCacheSize": 0,
    "refreshOnHistoryMiss": True,
    "responseHandling": [{"code": "204", "swap": False}, {"code": "[23]..", "swap": True}, _PROBLEM],
}
"""Nothing is evaluated, nothing asked of others, and no answer kept in the browser's storage."""


class Pages:
    """The templates of the page."""

    def __init__(self, static: str) -> None:
        """Load nothing yet.

        Args:
            static: Where style sheets and scripts are.
        """
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("tapetum.server.page"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            static=static,
            htmx_config=json.dumps(_HTMX),
            case_style=Markup(static_file("css/case.css").decode("utf-8")),
            is_date=is_date,
        )
        self._templates.filters.update(
            camera_name=camera_name,
            count=count_text,
            field_text=field_text,
            iso_time=iso_time,
            percent=percent,
            percent_field=percent_field,
            time_text=time_text,
        )

    def text(self, template: str, **shown: Any) -> str:
        """The text of a template; a name that it misses is an error."""
        return self._templates.get_template(template).render(**shown)

    def show(
        self,
        request: Request,
        template: str,
        *,
        user: User | None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **shown: Any,
    ) -> HTMLResponse:
        """A template as an answer.

        Args:
            request: What is answered.
            template: Name of the template's file.
            user: Who asks; None: nobody knows.
            status: Of HTTP.
            headers: Of the answer, beside those that all have.
            shown: What the template calls by these names.
        """
        text = self.text(
            template,
            user=user,
            may_upload=user is not None and user.role.includes(Role.OPERATOR),
            can_leave=access_of(request).tokens is not None,
            csrf=csrf_token(request),
            **{"here": "", "problem": "", "is_fragment": False} | shown,
        )
        return HTMLResponse(text.encode("utf-8", "replace"), status, headers)


def is_fragment_wanted(request: Request) -> bool:
    """Whether a script asks, which puts a part of a page into its place."""
    return request.headers.get("HX-Request") == "true"


def count_text(count: int) -> str:
    """A number for people, with narrow gaps.

    >>> count_text(1234567)
    '1\u202f234\u202f567'
    """
    return f"{count:,}".replace(",", "\u202f")


def percent_field(share: float | None) -> str:
    """A share as it is filled in: in percent; nothing where there is none.

    >>> percent_field(0.85), percent_field(None)
    ('85', '')
    """
    return "" if share is None else f"{share * 100:.10g}"
