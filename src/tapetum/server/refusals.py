"""Why a request is not answered: each refusal has a name, a text for people, and its status in HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from tapetum.errors import CalibrationError, ModelMismatchError, TapetumError

_log = logging.getLogger(__name__)


class Refusal(TapetumError):  # noqa: N818
    """A request that is not answered, and why.

    Attributes:
        status: Of HTTP.
        code: Names the kind of refusal, for programs.
        detail: Says what is wrong, for people; never a path of this machine.
        field: Which part of the request is meant; None: no single one.
        retry_after_s: When to ask again; None: it would not help, or nobody knows.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"

    def __init__(self, detail: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s


class BadRequest(Refusal):
    """The request cannot be read."""


class NotKnown(Refusal):
    """Nobody knows who asks."""

    status, code = 401, "unauthorized"


class NotAllowed(Refusal):
    """The role of whoever asks does not allow it."""

    status, code = 403, "forbidden"


class NotFound(Refusal):
    """There is no such thing, or no longer."""

    status, code = 404, "not_found"


class NoModel(Refusal):
    """Pictures were given to a service that has no model."""

    status, code = 409, "no_model"


class GalleryMoved(Refusal):
    """The gallery has been moved to another model than the service's."""

    status, code = 409, "other_model"


class TooLarge(Refusal):
    """More files, bytes, frames or pixels than are taken."""

    status, code = 413, "too_large"


class UnknownType(Refusal):
    """A body, or a file, of a kind that is not taken."""

    status, code = 415, "unsupported_type"


class Invalid(Refusal):
    """A value does not fit."""

    status, code = 422, "invalid"


class Unreadable(Refusal):
    """A file of a known kind holds no picture that can be read."""

    status, code = 422, "unreadable_picture"


class NoReason(Refusal):
    """The service wants a reason for every search, and none was given."""

    status, code = 422, "reason_required"


class Busy(Refusal):
    """Too many requests are waiting already."""

    status, code = 429, "busy"


class TooFast(Refusal):
    """One user or address asks more often than is allowed."""

    status, code = 429, "rate_limited"


class ClientGone(Refusal):
    """Whoever asked has closed the connection; nobody reads the answer."""

    status, code = 499, "client_closed_request"


class Unavailable(Refusal):
    """The service cannot answer now, through no fault of the request."""

    status, code = 503, "unavailable"


class AuditFailed(Refusal):
    """The audit log cannot be written, so nothing is answered."""

    status, code = 503, "audit_failed"


class EncodingFailed(Refusal):
    """The model failed on a picture."""

    status, code = 503, "encoding_failed"


class TimedOut(Refusal):
    """The work took longer than it may."""

    status, code = 504, "timed_out"


@contextmanager
def refusing(missing: str = "no such tracklet in the gallery") -> Iterator[None]:
    """Turn errors of the gallery and the engine into refusals, without the paths that they name.

    Args:
        missing: What to say of a `KeyError`.

    Raises:
        Refusal: Whatever was raised inside.
    """
    try:
        yield
    except Refusal:
        raise
    except Exception as error:
        raise _refusal_of(error, missing) from error


def _refusal_of(error: Exception, missing: str) -> Refusal:
    match error:
        case KeyError():
            return NotFound(missing)
        case ModelMismatchError():
            return GalleryMoved("the gallery is of another model than this service; start the service anew")
        case TimeoutError():
            return TimedOut("the gallery took too long to answer")
        case CalibrationError():
            return Invalid(str(error), field="min_probability")
        case ValueError() if not isinstance(error, TapetumError):
            return Invalid(str(error))
    _log.error("the gallery cannot answer", exc_info=error)
    return Unavailable("the gallery cannot answer now; the service's log says why")
