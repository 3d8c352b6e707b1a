"""Uploads as they arrive: forms read piece by piece, refused once they are too large. No file is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from tapetum.server.asking import UploadKind
from tapetum.server.refusals import BadRequest, Busy, ClientGone, Invalid, TimedOut, TooLarge, UnknownType
from tapetum.server.settings import Limits
from tapetum.types import Modality

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM = "multipart/form-data"

FORM_BYTES = 1 << 16
"""Of an upload, beside its files."""

_FILES = "files"
_FIELDS = ("kind", "modality")
_FIELD_BYTES = 100


@dataclass(slots=True)
class Upload:
    """What a form brings.

    Attributes:
        files: The files' bytes in their order.
        kind: What they are.
        modality: How they were seen; None: not said.
    """

    files: list[bytes] = field(default_factory=list)
    kind: UploadKind = "images"
    modality: Modality | None = None


class Receiver:
    """Receives uploads, so many at a time."""

    def __init__(self, limits: Limits) -> None:
        """Nothing is being received."""
        self._limits = limits
        self._open = 0

    async def receive(self, request: Request) -> Upload:
        """The form in a request: parts `files`, and `kind` and `modality` where they are given.

        Names that the client gives to files are not looked at.

        Raises:
            UnknownType: It is no form.
            TooLarge: Too many files, or too many bytes; noticed when they arrive, not after.
            BadRequest: The form is damaged.
            Invalid: A part by another name, or a value that is unknown.
            Busy: Too many uploads are being received.
            TimedOut: It took too long to arrive.
            ClientGone: The connection was closed.
        """
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != FORM.encode():
            raise UnknownType(f"pictures are taken as {FORM}", field="Content-Type")
        form = _Form(self._limits)
        with self._place(), _as_refusals(self._limits.receive_s):
            parser = MultipartParser(options.get(b"boundary", b""), form.callbacks())
            async with asyncio.timeout(self._limits.receive_s):
                async for chunk in request.stream():
                    form.count(chunk)
                    parser.write(chunk)
            parser.finalize()
        if not form.is_whole:
            raise BadRequest("the form ends before its last boundary")
        return form.upload

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._open >= self._limits.uploads:
            raise Busy(f"{self._open} uploads are being received already", retry_after_s=1.0)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


@contextmanager
def _as_refusals(receive_s: float) -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise BadRequest("the form is damaged") from error
    except ClientDisconnect as error:
        raise ClientGone("the connection was closed") from error
    except TimeoutError as error:
        raise TimedOut(f"the upload did not arrive within {receive_s:g} s") from error


class _Form:
    """Takes the pieces of a form from its parser."""

    def __init__(self, limits: Limits) -> None:
        self.upload = Upload()
        self.is_whole = False
        self._limits = limits
        self._arrived = 0
        self._bytes = 0
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._name = ""
        self._is_nothing = False
        self._content = bytearray()

    def count(self, chunk: bytes) -> None:
        """Count what arrives, also what is no file.

        Raises:
            TooLarge: It is too much.
        """
        self._arrived += len(chunk)
        if self._arrived > self._limits.upload_bytes + FORM_BYTES:
            raise TooLarge(f"more than {self._limits.upload_bytes} bytes in all", field=_FILES)

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._take_header,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take_data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition, self._content = b"", bytearray()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_nothing = options.get(b"filename") == b""
        if self._name != _FILES and self._name not in _FIELDS:
            known = ", ".join((_FILES, *_FIELDS))
            raise Invalid(f"unknown part; known: {known}", field=self._name[:_FIELD_BYTES] or None)

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        is_file = self._name == _FILES
        if is_file and not self._content and len(self.upload.files) >= self._limits.files:
            raise TooLarge(f"more than {self._limits.files} files", field=_FILES)
        self._content += data[start:end]
        self._bytes += end - start
        most = self._limits.file_bytes if is_file else _FIELD_BYTES
        if len(self._content) > most:
            raise TooLarge(f"more than {most} bytes", field=self._field())
        if self._bytes > self._limits.upload_bytes:
            raise TooLarge(f"more than {self._limits.upload_bytes} bytes in all", field=_FILES)

    def _end(self) -> None:
        content, self._content = bytes(self._content), bytearray()
        if self._name == _FILES:
            self._add_file(content)
        elif self._name == "kind":
            self.upload.kind = _kind(content)
        else:
            self.upload.modality = _modality(content)

    def _add_file(self, content: bytes) -> None:
        if not content and self._is_nothing:
            return  # what a browser sends where no file was chosen
        if not content:
            raise UnknownType("an empty file", field=self._field())
        self.upload.files.append(content)

    def _field(self) -> str:
        return f"{_FILES}.{len(self.upload.files)}" if self._name == _FILES else self._name

    def _finish(self) -> None:
        self.is_whole = True


def _kind(content: bytes) -> UploadKind:
    for known in get_args(UploadKind):
        if content == known.encode():
            found: UploadKind = known
            return found
    raise Invalid(f"unknown kind; known: {', '.join(get_args(UploadKind))}", field="kind")


def _modality(content: bytes) -> Modality | None:
    if content in (b"", b"auto"):
        return None
    for known in Modality:
        if content == known.value.encode():
            return known
    raise Invalid(f"unknown modality; known: auto, {', '.join(Modality)}", field="modality")
