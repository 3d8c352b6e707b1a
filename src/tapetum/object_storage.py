"""Files in object storage by their addresses, s3://BUCKET/KEY; everything else is a path on this machine.

Where the storage is, and who asks, is said by the environment, as for other programs: `AWS_ENDPOINT_URL_S3`
or `AWS_ENDPOINT_URL`, `AWS_REGION` or `AWS_DEFAULT_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_MAX_ATTEMPTS`. An address may end in `?endpoint=http://HOST:PORT&region=NAME`; keys never stand in it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

SCHEME = "s3://"
_OPTIONS = re.compile(r"\?((?:endpoint|region)=[^?&]+(?:&(?:endpoint|region)=[^?&]+)?)$")
_CONNECT_S, _REQUEST_S = 10, 60
_ATTEMPTS = 3
_BLOCK = 8 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in object storage.

    Attributes:
        address: s3://BUCKET/KEY.
        size: Bytes.
        changed_ns: When it was written, by the storage's clock.
    """

    address: str
    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """An address taken apart.

    Attributes:
        path: BUCKET/KEY.
        options: What stands behind it, with its question mark; "" for nothing.
    """

    path: str
    options: str = ""

    @classmethod
    def parse(cls, address: str) -> RemoteAddress:
        """The parts of an address.

        >>> RemoteAddress.parse("s3://crops/day/1.jpg")
        RemoteAddress(path='crops/day/1.jpg', options='')
        >>> RemoteAddress.parse("s3://out/run?endpoint=http://localhost:9000").path
        'out/run'

        Raises:
            ValueError: It names no bucket, or holds a key.
        """
        found = _OPTIONS.search(address)
        options = found[0] if found else ""
        path = address.removeprefix(SCHEME).removesuffix(options).rstrip("/")
        bucket = path.partition("/")[0]
        if not bucket or not address.startswith(SCHEME):
            raise ValueError(f"{address!r}: expected s3://BUCKET/KEY")
        if "@" in bucket:
            raise ValueError("an address shows what it holds: give keys to object storage by the environment")
        return cls(path, options)

    def below(self, name: str) -> str:
        """Address of something below this one."""
        return f"{SCHEME}{self.path}/{name}{self.options}"


def is_remote(address: str) -> bool:
    """Whether an address is one of object storage.

    >>> is_remote("s3://crops/1.jpg"), is_remote("/crops/1.jpg")
    (True, False)
    """
    return address.startswith(SCHEME)


def read_bytes(address: str) -> bytes:
    """What is in a file.

    Raises:
        FileNotFoundError: There is none.
        OSError: The storage does not answer, or refuses; the address is named.
    """
    with _asking(address) as (storage, path), storage.open_input_stream(path) as stream:
        content: bytes = stream.read()
    return content


def write_bytes(address: str, content: bytes) -> None:
    """Write a file in one piece: it is there whole, or not at all.

    Raises:
        OSError: The storage does not answer, or refuses; the address is named.
    """
    with _asking(address) as (storage, path), storage.open_output_stream(path) as stream:
        stream.write(content)


def look_at(address: str) -> RemoteFile | None:
    """Size and age of a file; None where there is none, nor a bucket.

    Raises:
        OSError: The storage does not answer, or refuses; the address is named.
    """
    with _asking(address) as (storage, path):
        found = storage.get_file_info(path)
    return RemoteFile(address, found.size, found.mtime_ns) if found.is_file else None


def remote_files(address: str) -> list[RemoteFile]:
    """All files below an address, in the order of their keys.

    Raises:
        OSError: The storage does not answer, or refuses, or there is no such bucket; the address is named.
    """
    from pyarrow.fs import FileSelector

    with _asking(address) as (storage, path):
        found = storage.get_file_info(FileSelector(path, recursive=True, allow_not_found="/" in path))
    options = RemoteAddress.parse(address).options
    files = (RemoteFile(f"{SCHEME}{f.path}{options}", f.size, f.mtime_ns) for f in found if f.is_file)
    return sorted(files, key=lambda file: file.address)


def copy_to(address: str, place: Path) -> Path:
    """Copy a file to this machine, as old as it is there; returns `place`.

    Raises:
        FileNotFoundError: There is none.
        OSError: The storage does not answer, or refuses, or the disk cannot be written.
    """
    found = look_at(address)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no such file in object storage", address)
    with (
        _asking(address) as (storage, path),
        storage.open_input_stream(path) as stream,
        place.open("wb") as file,
    ):
        shutil.copyfileobj(stream, file, _BLOCK)
    if place.stat().st_size != found.size:
        raise OSError(errno.EIO, f"changed while it was copied: expected {found.size} bytes", address)
    os.utime(place, ns=(found.changed_ns, found.changed_ns))
    return place


@contextmanager
def _asking(address: str) -> Iterator[tuple[Any, str]]:
    """The storage, and the path in it; errors inside name the address."""
    remote = RemoteAddress.parse(address)
    try:
        yield _storage(remote.options), remote.path
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such file in object storage", address) from None
    except OSError as error:
        if error.filename is not None or error.errno == errno.ENOSPC:
            raise  # of this machine's disk
        reason = str(error).partition("\n")[0]
        raise OSError(error.errno or errno.EIO, f"object storage: {reason}", address) from error


def _storage(options: str) -> Any:
    chosen = dict(part.split("=", 1) for part in options.lstrip("?").split("&") if part)
    known = os.environ.get
    endpoint = chosen.get("endpoint") or known("AWS_ENDPOINT_URL_S3") or known("AWS_ENDPOINT_URL") or ""
    region = chosen.get("region") or known("AWS_REGION") or known("AWS_DEFAULT_REGION")
    attempts = int(known("AWS_MAX_ATTEMPTS") or _ATTEMPTS)
    return _connect(endpoint.rstrip("/"), region, attempts, known("AWS_ACCESS_KEY_ID"))


@lru_cache(maxsize=8)
def _connect(endpoint: str, region: str | None, attempts: int, key_id: str | None) -> Any:
    """A connection; the key is found by the library itself, and another one makes another connection."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    where: dict[str, str] = {}
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        where = {"endpoint_override": host, "scheme": scheme or "https"}
    return S3FileSystem(
        region=region or ("us-east-1" if endpoint else None),
        connect_timeout=_CONNECT_S,
        request_timeout=_REQUEST_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=attempts),
        allow_delayed_open=True,  # small files by one request, which no cut-off leaves half done
        **where,
    )
