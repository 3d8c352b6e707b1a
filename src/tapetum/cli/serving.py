"""`tapetum serve`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapetum.cli._console import note, say
from tapetum.cli._devices import Device
from tapetum.errors import MissingExtraError

if TYPE_CHECKING:
    from tapetum.search import SearchEngine
    from tapetum.server import ServerSettings


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(serve)


def serve(
    gallery: Annotated[str, typer.Option(help="Folder of a gallery, or its address.")],
    model: Annotated[
        Path | None, typer.Option(help="Run of the gallery's model; without it, only its items are asked.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0: any free one.")] = 8000,
    calibration: Annotated[Path | None, typer.Option(help="Default: the one stored in the gallery.")] = None,
    tokens: Annotated[Path | None, typer.Option(help="File of `tapetum token`: who may ask.")] = None,
    audit: Annotated[Path | None, typer.Option(help="File of the audit log; it is added to.")] = None,
    require_reason: Annotated[
        bool, typer.Option("--require-reason", help="Refuse searches that do not say why.")
    ] = False,
    name: Annotated[list[str] | None, typer.Option(help="Name by which clients come; repeatable.")] = None,
    proxy: Annotated[list[str] | None, typer.Option(help="Address of a proxy to trust; repeatable.")] = None,
    https: Annotated[bool, typer.Option("--https", help="Clients come by TLS, through a proxy.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads that read the gallery.")] = 4,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips that the model sees at a time.")] = 16,
    batch_wait_ms: Annotated[float, typer.Option(min=0, help="How long a clip waits for others.")] = 5.0,
    queue: Annotated[int, typer.Option(min=1, help="Clips that may wait for the model.")] = 64,
    limit: Annotated[
        list[str] | None, typer.Option(help="NAME=NUMBER, such as files=32; repeatable.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Serve a gallery over HTTP, as a page and as REST, until it is stopped (Ctrl-C or SIGTERM)."""
    settings = _settings(
        host=host,
        port=port,
        hosts=tuple(name or ()),
        proxies=tuple(proxy or ()),
        https=https,
        tokens=tokens,
        audit=audit,
        require_reason=require_reason,
        threads=threads,
        batch_size=batch_size,
        batch_wait_ms=batch_wait_ms,
        queue=queue,
        limits=_limits(limit or ()),
    )
    try:
        from tapetum.server.app import create_app, refuse_unprotected
        from tapetum.server.running import serve as run
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from None
    refuse_unprotected(settings)
    engine = _engine(gallery, model, calibration, device)
    app = create_app(settings, engine)
    count = engine.gallery.info().count
    run(app, settings, lambda address: _announce(address, gallery, count, settings))
    engine.gallery.close()
    note("stopped")


def _settings(**values: Any) -> ServerSettings:
    from tapetum.config import build_config
    from tapetum.server.settings import ServerSettings

    return build_config(ServerSettings, values)


def _limits(texts: Sequence[str]) -> dict[str, float]:
    """Limits by name."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"--limit {text!r}: expected NAME=NUMBER, such as files=32")
    return found


def _engine(gallery: str, model: Path | None, calibration: Path | None, device: str) -> SearchEngine:
    from tapetum.evaluation import load_calibration
    from tapetum.model import load
    from tapetum.search import Gallery, SearchEngine

    place = Gallery.open(gallery, create=False)
    known = None if calibration is None else load_calibration(calibration, model=place.info().model)
    return SearchEngine(place, None if model is None else load(model, device=device), known)


def _announce(address: str, gallery: str, count: int, settings: ServerSettings) -> None:
    say(f"{address} serves {gallery} with {count} tracklets")
    if settings.audit is None:
        note("no audit log is kept; --audit FILE keeps one")
    if not settings.is_local and not settings.https:
        note("tokens and pictures travel unencrypted; put a TLS proxy before it and say --https")
