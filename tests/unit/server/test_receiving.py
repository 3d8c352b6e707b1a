import asyncio

import pytest
from fastapi import Request

from tapetum.server.receiving import Receiver
from tapetum.server.refusals import BadRequest, Busy, ClientGone, Invalid, TimedOut, TooLarge, UnknownType
from tapetum.server.settings import Limits
from tapetum.types import Modality

KIND = "multipart/form-data; boundary=XX"
SMALL = {"files": 3, "file_bytes": 100, "upload_bytes": 200, "receive_s": 20.0, "uploads": 1}


def part(name, content, filename=None):
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--XX\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts):
    return b"".join(parts) + b"--XX--\r\n"


def request_of(chunks, kind=KIND, gone=False):
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b""})
    read = []

    async def receive():
        read.append(messages[len(read)])
        return read[-1]

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    return Request(scope, receive), read


def receive(body, size=None, kind=KIND, **limits):
    size = size or len(body) or 1
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    request, _ = request_of(chunks, kind)
    return asyncio.run(Receiver(Limits(**{**SMALL, **limits})).receive(request))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_files_and_fields_are_read_however_they_arrive(size):
    found = receive(
        form(
            part("files", b"one\r\n--X", "../../etc/passwd"),
            part("kind", b"tracklet"),
            part("modality", b"infrared"),
            part("files", b"two"),
        ),
        size,
    )
    assert found.files == [b"one\r\n--X", b"two"]
    assert (found.kind, found.modality) == ("tracklet", Modality.INFRARED)


def test_what_is_not_said_is_as_usual():
    found = receive(form(part("files", b"one", "a.jpg"), part("modality", b"auto")))
    assert (found.kind, found.modality) == ("images", None)


def test_a_field_without_a_chosen_file_brings_none():
    assert receive(form(part("files", b"", ""))).files == []
    with pytest.raises(UnknownType, match="empty file"):
        receive(form(part("files", b"", "a.jpg")))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([part("files", bytes(101), "a")], "more than 100 bytes"),
        ([part("files", bytes(90), "a")] * 3, "more than 200 bytes in all"),
        ([part("files", b"x", "a")] * 4, "more than 3 files"),
        ([part("kind", bytes(101))], "more than 100 bytes"),
    ],
)
def test_too_much_is_refused(parts, said):
    with pytest.raises(TooLarge, match=said):
        receive(form(*parts))


def test_too_much_is_noticed_while_it_arrives():
    body = part("files", bytes(10_000), "a")
    request, read = request_of([body[start : start + 50] for start in range(0, len(body), 50)])
    with pytest.raises(TooLarge):
        asyncio.run(Receiver(Limits(**SMALL)).receive(request))
    assert len(read) < 6


@pytest.mark.parametrize("name", ["file", "path", "", "files[]"])
def test_other_parts_are_refused_by_name(name):
    with pytest.raises(Invalid, match="unknown part; known: files, kind, modality"):
        receive(form(part(name, b"/etc/passwd")))


@pytest.mark.parametrize(("name", "value"), [("kind", b"video"), ("modality", b"thermal"), ("kind", b"\xff")])
def test_other_values_are_refused(name, value):
    with pytest.raises(Invalid, match="known:"):
        receive(form(part(name, value)))


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", form(part("files", b"x", "a"))[:-9], b"--XX\r\nno header\r\n\r\n", b"--YY--\r\n"],
)
def test_damaged_forms_are_refused(body):
    with pytest.raises(BadRequest):
        receive(body)


@pytest.mark.parametrize("kind", ["application/json", "", "multipart/mixed; boundary=XX"])
def test_other_bodies_are_refused(kind):
    with pytest.raises(UnknownType):
        receive(form(part("files", b"x", "a")), kind=kind)


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 5000])
def test_odd_boundaries_are_refused(boundary):
    with pytest.raises(BadRequest):
        receive(b"--XX\r\n", kind="multipart/form-data" + boundary)


def test_a_client_that_leaves_is_noticed():
    request, _ = request_of([part("files", b"x", "a")], gone=True)
    with pytest.raises(ClientGone):
        asyncio.run(Receiver(Limits(**SMALL)).receive(request))


def test_slow_uploads_end_and_no_more_are_taken_than_may_be():
    receiver = Receiver(Limits(**{**SMALL, "receive_s": 0.2}))

    async def never():
        await asyncio.sleep(20)

    async def ask():
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", KIND.encode())]}
        slow = asyncio.create_task(receiver.receive(Request(scope, never)))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await receiver.receive(request_of([form(part("files", b"x", "a"))])[0])
        with pytest.raises(TimedOut, match=r"0\.2 s"):
            await slow
        return await receiver.receive(request_of([form(part("files", b"x", "a"))])[0])

    assert asyncio.run(ask()).files == [b"x"]
