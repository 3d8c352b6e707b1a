"""Errors as answers: one shape for all, and no error without one."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from tapetum.server.refusals import NotKnown, Refusal

_log = logging.getLogger(__name__)

_LONGEST_FIELD = 200
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_type",
}


class AsciiJsonResponse(JSONResponse):
    """JSON in ASCII alone: any text can be sent, also one that UTF-8 cannot hold."""

    def render(self, content: Any) -> bytes:
        """The bytes of `content`."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def error_response(
    status: int, code: str, detail: str, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """An error in the one shape that all have."""
    content = {"error": code, "detail": detail} | ({} if field is None else {"field": field})
    return AsciiJsonResponse(content, status_code=status, headers=headers)


def refusal_response(refusal: Refusal) -> Response:
    """A refusal as an answer."""
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(refusal.retry_after_s)))
    if isinstance(refusal, NotKnown):
        headers["WWW-Authenticate"] = "Bearer"
    return error_response(refusal.status, refusal.code, refusal.detail, refusal.field, headers)


def add_handlers(app: FastAPI) -> None:
    """Give every error of `app` the one shape."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _failed)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refusal_response(error)


def _not_valid(_: Request, error: Exception) -> Response:
    """The first thing that is wrong; what was sent is not sent back."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_response(400, "bad_request", "the body is not JSON")
    return error_response(
        422, "invalid", str(first["msg"]).removeprefix("Value error, "), _field(first["loc"])
    )


def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "error")
    return error_response(error.status_code, code, str(error.detail), headers=dict(error.headers or {}))


def defect_response(error: Exception, method: str, path: str) -> Response:
    """What is said of an error that nobody foresaw; the log keeps the error."""
    _log.error("a defect in %s %s", method, path, exc_info=error)
    return error_response(500, "internal", "a defect of the service; its log says more")


def _field(location: Sequence[int | str]) -> str | None:
    """`filters.cameras.0` of `("body", "filters", "cameras", 0)`."""
    return ".".join(str(part) for part in location[1:])[:_LONGEST_FIELD] or None
