"""Running a service until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from tapetum.server.settings import ServerSettings

_GRACE_S = 15
"""How long open requests may take once the service is told to stop."""

_KEEP_ALIVE_S = 15
_BACKLOG = 512

_log = logging.getLogger(__name__)


def serve(app: FastAPI, settings: ServerSettings, started: Callable[[str], None]) -> None:
    """Answer requests until SIGTERM or SIGINT; requests that are open then are brought to their end.

    Args:
        app: What answers.
        settings: Where to listen.
        started: Called with the service's address once it answers.

    Raises:
        OSError: The address or port cannot be listened on.
    """
    listener = listen(settings.host, settings.port)
    address = _address(settings, listener.getsockname()[1])
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    former = signal.signal(signal.SIGTERM, _stopped)
    try:
        _Server(config, lambda: started(address)).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, former)
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 is any free one.

    Raises:
        OSError: It cannot; the message names address and port.
    """
    name = host.strip("[]")
    try:
        family = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((name, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen there: {error.strerror}", f"{host}:{port}") from error


class _Server(uvicorn.Server):
    """Says when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._started()


def _stopped(number: int, frame: FrameType | None) -> None:
    """Uvicorn raises the signal again when it has stopped; that is the end of it."""
    _log.info("stopped by signal %d", number)


def _address(settings: ServerSettings, port: int) -> str:
    name = settings.host.strip("[]")
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"
