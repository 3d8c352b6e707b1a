"""How a service is run: where it listens, who may use it, and how much it takes."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field

from tapetum.config import Config

API = "/api/v1"
"""Where REST begins."""

MIB = 1 << 20


class Limits(Config):
    """How much the service takes; what is over a limit is refused by name."""

    files: int = Field(128, ge=1, description="Pictures of one upload.")
    file_bytes: int = Field(16 * MIB, ge=1, description="Bytes of one picture's file.")
    upload_bytes: int = Field(64 * MIB, ge=1, description="Bytes of one upload in all.")
    pixels: int = Field(25_000_000, ge=1, description="Pixels of one picture, as its header says.")
    body_bytes: int = Field(MIB, ge=1, description="Bytes of any other request.")
    top: int = Field(1000, ge=1, le=1000, description="Hits of one answer.")
    page: int = Field(200, ge=1, description="Tracklets, or lines of the audit log, on one page.")
    queries: int = Field(64, ge=1, description="Uploads of one user that are kept; older ones are forgotten.")
    query_bytes: int = Field(256 * MIB, ge=1, description="Memory for all kept uploads.")
    query_ttl_s: float = Field(1800.0, gt=0, description="Seconds after its last use that an upload is kept.")
    uploads: int = Field(8, ge=1, description="Uploads that are received at a time.")
    receive_s: float = Field(120.0, gt=0, description="Seconds that receiving one body may take.")
    requests_per_minute: float = Field(60_000.0, gt=0, description="Of one user, or one address, on average.")
    requests_at_once: float = Field(2000.0, ge=1, description="That many may come in a burst.")
    logins_per_minute: float = Field(10.0, gt=0, description="Wrong tokens that an address may show.")
    sessions: int = Field(1000, ge=1, description="People signed in at a time.")
    session_hours: float = Field(12.0, gt=0, description="How long somebody stays signed in.")


class ServerSettings(Config):
    """How a service is run."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port; 0: any free one.")
    hosts: tuple[str, ...] = Field((), description="Names by which clients may address the service.")
    proxies: tuple[str, ...] = Field((), description="Addresses of proxies that say who asks.")
    https: bool = Field(False, description="Whether clients come by TLS, through a proxy.")
    tokens: Path | None = Field(None, description="File of `tapetum token`; None: this machine's users only.")
    audit: Path | None = Field(None, description="File of the audit log; None: none is kept.")
    require_reason: bool = Field(False, description="Whether every search must say why.")
    batch_size: int = Field(16, ge=1, description="Clips that the model sees at a time.")
    batch_wait_ms: float = Field(5.0, ge=0, description="How long a clip waits for others to join it.")
    queue: int = Field(64, ge=1, description="Clips that may wait for the model.")
    encode_timeout_s: float = Field(30.0, gt=0, description="How long a query may take to be embedded.")
    threads: int = Field(4, ge=1, description="Threads that read the gallery.")
    searches: int = Field(64, ge=1, description="Reads of the gallery that may wait for a thread.")
    search_timeout_s: float = Field(60.0, gt=0, description="How long one may take.")
    limits: Limits = Limits()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether an address, or a name for one, is this machine's own.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
