"""The application: REST under /api/v1, and the page where it is there."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import cast

from fastapi import FastAPI

from tapetum.clip_encoding import ClipEncoder
from tapetum.errors import ConfigError
from tapetum.search.engine import SearchEngine
from tapetum.server.access import Access
from tapetum.server.audit import AuditLog
from tapetum.server.edge import Edge
from tapetum.server.metrics import Metrics
from tapetum.server.problems import add_handlers
from tapetum.server.receiving import Receiver
from tapetum.server.recording import Recorder
from tapetum.server.removal import Caretaker
from tapetum.server.routes import administration, health, items, queries, searching, sessions
from tapetum.server.service import SearchService
from tapetum.server.settings import API, ServerSettings
from tapetum.server.tokens import TokenFile

UPLOADS = (f"{API}/queries", "/upload")
"""Where pictures are taken: for programs, and for the page."""

_PAGE = "tapetum.server.page"
_DESCRIPTION = (
    "Find people across day and night in a gallery of tracklets. A tracklet is one person seen by one camera "
    "in one pass. Every error has the shape `{error, detail, field?}`. Times are seconds, Unix time where "
    "the gallery's source had it. Answers are not to be kept by caches; `X-Request-Id` names each in the log."
)


def create_app(settings: ServerSettings, engine: SearchEngine) -> FastAPI:
    """The application that serves a gallery; the model's thread starts and stops with it.

    Args:
        settings: Who may use it, and how much it takes.
        engine: The gallery with its model, if any, and what its distances mean.

    Raises:
        ConfigError: Other machines could reach it, and there is no token.
        DataError: The file of tokens, or the audit log, is damaged or something else.
        TypeError: The engine's model cannot embed clips.
        OSError: A file cannot be read, or its folder is missing.
    """
    refuse_unprotected(settings)
    metrics = Metrics()
    recorder = Recorder(None if settings.audit is None else AuditLog(settings.audit))
    service = SearchService(settings, engine, _encoder_of(engine), recorder, metrics)
    app = FastAPI(
        title="Tapetum",
        version=version("tapetum"),
        description=_DESCRIPTION,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.service = service
    app.state.recorder = recorder
    app.state.caretaker = Caretaker(service)
    app.state.receiver = Receiver(settings.limits)
    app.state.access = Access(settings, None if settings.tokens is None else TokenFile(settings.tokens))
    add_handlers(app)
    app.add_middleware(Edge, settings=settings, metrics=metrics, uploads=UPLOADS)
    for part in (health, queries, searching, items, administration, sessions):
        app.include_router(part.router, prefix=API)
    _add_page(app, service)
    return app


def refuse_unprotected(settings: ServerSettings) -> None:
    """Nothing, or an error where strangers could use a service.

    Raises:
        ConfigError: Other machines can reach it, and there is no token that is valid.
        DataError: The file of tokens is damaged, or others may read it.
    """
    tokens = () if settings.tokens is None else TokenFile(settings.tokens).tokens()
    if settings.tokens is not None and not tokens:
        raise ConfigError(
            f"{settings.tokens}: no token yet; run: tapetum token create NAME --role viewer "
            f"--tokens {settings.tokens}"
        )
    if not settings.is_local and not tokens:
        raise ConfigError(
            f"--host {settings.host} can be reached from other machines, and anybody there could search; "
            "give --tokens FILE (see tapetum token create), or listen on 127.0.0.1"
        )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: SearchService = app.state.service
    caretaker: Caretaker = app.state.caretaker
    service.start()
    try:
        yield
    finally:
        caretaker.close()
        service.close()


def _encoder_of(engine: SearchEngine) -> ClipEncoder | None:
    """The engine's model as it sees clips: pictures of several requests at a time."""
    if engine.model is None:
        return None
    if not hasattr(engine.model, "encode_clips"):
        raise TypeError(
            f"{type(engine.model).__name__} has no encode_clips: it cannot embed uploaded pictures"
        )
    return cast(ClipEncoder, engine.model)


def _add_page(app: FastAPI, service: SearchService) -> None:
    found = importlib.util.find_spec(_PAGE)
    if found is not None and found.origin is not None:
        from tapetum.server.page import add_page

        add_page(app, service)
