"""Ask a service thousands of odd questions, made from its own description, and report what it says.

    python benchmarks/fuzz_service.py [--requests 10000] [--seed 0] [--kind open|guarded|bare]

The service runs in this process, on a gallery of a few drawn tracklets in a folder, with a model that sees
mean colours. Requests are drawn from `/api/v1/openapi.json` alone: values that fit, values beside their
bounds, of other kinds or of nobody's kind, damaged bodies and forms, other methods, tokens and headers, and
clients that leave. A fault is a status of 500, a status that is not described, or an answer that is not of
its described shape. The exit code is 1 if there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from openapi_values import ODD, Values, faults_of
from PIL import Image

from tapetum.evaluation import Calibration, calibrate
from tapetum.search import Gallery, SearchEngine
from tapetum.server import ServerSettings
from tapetum.server.app import create_app
from tapetum.server.tokens import TokenFile
from tapetum.server.users import Role
from tapetum.types import Embeddings, Modality, Preprocessing, Tracklet, TrackletSet

DESCRIPTION = "/api/v1/openapi.json"
PEOPLE = 6
START = 1_700_000_000.0
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
_BODIES = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"NaN",
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"a":' * 9_000,
    b'"\\ud800"',
    b"\0",
)
_KINDS = (
    "application/json",
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "multipart/form-data",
    "a/b",
)
_REFILL = 20
_PATIENCE_S = 60.0

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    """A request: what of the description it is about, and how it is sent.

    Attributes:
        operation: Of the description; None: a method or place that it does not have.
        path: With its query, percent-encoded.
        leaves: Whether the client leaves before the body has arrived.
    """

    operation: Mapping[str, Any] | None
    method: str
    path: str
    headers: Headers
    body: bytes = b""
    leaves: bool = False


@dataclass(frozen=True)
class Response:
    """What came back; the status is 0 where nothing did."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Report:
    """What was answered: how often which status, by operation, and what should not have been."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """A line for each operation."""
        names = sorted({name for name, _ in self.statuses})
        lines = [
            f"{name:52}" + "  ".join(f"{s}: {n}" for (o, s), n in sorted(self.statuses.items()) if o == name)
            for name in names
        ]
        return "\n".join([*lines, f"{self.statuses.total()} requests, {len(self.faults)} faults"])


class Requests:
    """Draws requests from a description."""

    def __init__(
        self, description: Mapping[str, Any], seed: int, credentials: Sequence[Headers] = ()
    ) -> None:
        """Draw by a seed; each request shows one of these credentials, if any are given."""
        self._dice = random.Random(seed)
        self.values = Values(description, self._dice)
        self._credentials = credentials
        self._operations = [
            (path, method.upper(), operation)
            for path, methods in description["paths"].items()
            for method, operation in methods.items()
            for _ in range(8 if "requestBody" in operation else 3 if "parameters" in operation else 1)
        ]

    def draw(self) -> Request:
        """The next request."""
        path, method, operation = self._dice.choice(self._operations)
        described: Mapping[str, Any] | None = operation
        if self._dice.random() < 0.03:
            described, method = None, self._dice.choice(_METHODS)
        kind, body = self._body(operation)
        headers = [("host", "127.0.0.1"), ("content-length", str(len(body))), *self._credential()]
        if kind is not None:
            headers.append(("content-type", kind))
        if self._dice.random() < 0.1:
            headers.append(self._odd_header())
        return Request(
            described, method, self._place(path, operation), headers, body, self._dice.random() < 0.01
        )

    def learn(self, request: Request, response: Response) -> None:
        """Remember the names of uploads, so that later requests can mean them."""
        if response.status == 201:
            name = json.loads(response.body)["query_id"]
            for field_name in ("query_id", "query_ids"):
                self.values.known.setdefault(field_name, []).append(name)
                del self.values.known[field_name][:-20]

    def _place(self, path: str, operation: Mapping[str, Any]) -> str:
        asked = []
        for parameter in operation.get("parameters", ()):
            name, is_path = parameter["name"], parameter["in"] == "path"
            if not is_path and self._dice.random() < 0.6:
                continue
            schema = parameter["schema"]
            if self._dice.random() < 0.25:
                value = self.values.missing(schema)
            else:
                value = self.values.fitting(schema, name)
            if is_path:
                path = path.replace(f"{{{name}}}", self._quoted(value))
            else:
                asked += [
                    f"{name}={self._quoted(v)}" for v in (value if isinstance(value, list) else [value])
                ]
        return path + ("?" + "&".join(asked) if asked else "")

    def _quoted(self, value: Any) -> str:
        if self._dice.random() < 0.02:
            return self._dice.choice(["%ff", "%00", "%zz", "%", "%c3%28", "a%2F..%2Fb", ";", "%0d%0aX: y"])
        text = value if isinstance(value, str) else json.dumps(value)
        return quote(text[:4000], safe="/" if self._dice.random() < 0.5 else "", errors="replace")

    def _credential(self) -> Headers:
        return list(self._dice.choice(self._credentials)) if self._credentials else []

    def _odd_header(self) -> tuple[str, str]:
        names = ("origin", "cookie", "x-csrf-token", "authorization", "accept", "range", "transfer-encoding")
        texts = [
            "",
            "null",
            "*",
            "Bearer",
            "Basic eDp5",
            "http://[",
            "http://127.0.0.1",
            "bytes=0-",
            "\xff" * 9,
        ]
        return self._dice.choice(names), self._dice.choice([*texts, "tapetum_session=x; a=b", "x" * 3000])

    def _body(self, operation: Mapping[str, Any]) -> tuple[str | None, bytes]:
        """Kind and bytes of a body."""
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            return (None, b"") if self._dice.random() < 0.95 else ("application/json", b"{}")
        if self._dice.random() < 0.06:
            return self._dice.choice(_KINDS), self._dice.choice(_BODIES)
        kind, described = next(iter(content.items()))
        value = self.values.fitting(described["schema"])
        if kind == "multipart/form-data":
            return self._form(value)
        value = self._with_one_question(value, self.values.resolved(described["schema"]))
        if self._dice.random() < 0.35:
            value = self.values.spoiled(value, described["schema"])
        return kind, json.dumps(value).encode()

    def _with_one_question(self, value: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
        """A search by one of uploads and items, and with a mark: what the description says in words alone."""
        known = schema["properties"]
        if "query_ids" not in known:
            return value
        asked, other = self._dice.sample(["query_ids", "item_id"], 2)
        value = {name: part for name, part in value.items() if name != other}
        for name in (asked, self._dice.choice(["right", "wrong"])):
            for _ in range(4):
                value[name] = value.get(name) or self.values.fitting(known[name], name)
        return value

    def _form(self, value: Mapping[str, Any]) -> tuple[str, bytes]:
        parts: list[tuple[str, bytes]] = [("files", drawn_file(self._dice)) for _ in value["files"]]
        parts += [(name, str(text).encode()) for name, text in value.items() if name != "files"]
        if self._dice.random() < 0.1:
            odd = str(self._dice.choice(ODD)).encode("utf-8", "replace")
            parts.append((self._dice.choice(["files", "kind", "modality", "other", ""]), odd))
        edge = self._dice.choice(["edge", "-", "a" * 70])
        body = b"".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"'.encode()
            + (b'; filename="../x.jpg"' if name == "files" else b"")
            + b"\r\n\r\n"
            + content
            + b"\r\n"
            for name, content in parts
        )
        body += f"--{edge}--\r\n".encode()
        if self._dice.random() < 0.1:
            body = spoiled_bytes(body, self._dice)
        shown = self._dice.choice([edge] * 19 + ["other"])
        return f"multipart/form-data; boundary={shown}", body


def drawn_file(dice: random.Random) -> bytes:
    """The file of a picture, now and then of a damaged one or of none."""
    if dice.random() < 0.1:
        return dice.choice(
            [b"", b"GIF89a\1\0\1\0", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", dice.randbytes(200)]
        )
    colour = tuple(dice.randrange(256) for _ in range(3))
    size = dice.choice([(24, 48)] * 40 + [(8, 8), (1, 500), (7, 9), (300, 20)])
    mode, form = dice.choice(
        [("RGB", "JPEG"), ("RGB", "PNG"), ("L", "JPEG"), ("RGBA", "WEBP"), ("P", "PNG"), ("1", "BMP")]
    )
    buffer = BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(buffer, form)
    content = buffer.getvalue()
    return spoiled_bytes(content, dice) if dice.random() < 0.05 else content


def spoiled_bytes(content: bytes, dice: random.Random) -> bytes:
    """Bytes that were cut off, or changed in some places."""
    if dice.random() < 0.5:
        return content[: dice.randrange(len(content))]
    found = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        found[dice.randrange(len(found))] = dice.randrange(256)
    return bytes(found)


async def send(app: Any, request: Request) -> Response:
    """What an application answers; the bytes pass through no network."""
    path, _, asked = request.path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": asked.encode("ascii"),
        "root_path": "",
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in request.headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
    half = len(request.body) // 2
    body = request.body[:half] if request.leaves else request.body
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": request.leaves}]
    if request.leaves:
        messages.append({"type": "http.disconnect"})
    sent: list[dict[str, Any]] = []
    is_over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not messages:
            await is_over.wait()
        return messages.pop(0) if len(messages) > 0 else {"type": "http.disconnect"}

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(_PATIENCE_S):
        await app(scope, receive, keep)
    is_over.set()
    if not sent:
        return Response(0, {}, b"")
    headers = {name.decode().lower(): text.decode("latin-1") for name, text in sent[0]["headers"]}
    return Response(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def faults(description: Mapping[str, Any], request: Request, response: Response) -> Iterator[str]:
    """What is wrong with an answer."""
    status, operation = response.status, request.operation
    if status == 500 or (status == 0 and not request.leaves):
        yield f"status {status}"
        return
    if request.leaves and status in (0, 499):
        return
    if operation is None:
        return
    if str(status) not in operation["responses"]:
        yield f"status {status} is not described"
        return
    described = operation["responses"][str(status)].get("content", {})
    kind = response.headers.get("content-type", "").partition(";")[0]
    if described and kind not in described:
        yield f"an answer of type {kind!r}; described: {', '.join(described)}"
    elif kind == "application/json" and described:
        schema = described[kind].get("schema", {})
        yield from faults_of(description, schema, json.loads(response.body))


async def fuzz(
    app: Any,
    count: int,
    seed: int,
    *,
    credentials: Sequence[Headers] = (),
    known: Mapping[str, Sequence[Any]] | None = None,
    refill: Callable[[], object] = lambda: None,
) -> Report:
    """Ask an application that has started, so many times.

    Args:
        app: The application.
        count: How many requests.
        seed: Decides which.
        credentials: Headers that say who asks, one of them for each request.
        known: By the name of a field, values of the gallery that mean something there.
        refill: Called now and then, to store again what was erased.
    """
    answer = await send(app, Request(None, "GET", DESCRIPTION, [("host", "127.0.0.1")]))
    description = json.loads(answer.body)
    requests, report = Requests(description, seed, credentials), Report()
    requests.values.known.update({name: list(values) for name, values in (known or {}).items()})
    for number in range(count):
        if number % _REFILL == 0:
            await asyncio.to_thread(refill)
        request = requests.draw()
        response = await send(app, request)
        requests.learn(request, response)
        name = "other" if request.operation is None else request.operation["operationId"]
        report.statuses[name, response.status] += 1
        for fault in faults(description, request, response):
            shown = request.body[:300].decode("latin-1")
            report.faults.append(f"{request.method} {request.path[:300]} {shown!r}: {fault}")
    return report


class MeanColours:
    """A model: the mean colour of a clip is its embedding."""

    fingerprint = "mean-colours"
    preprocessing = Preprocessing(32, 16, 2)
    sampling = "uniform"
    trained_on = ""

    def encode_clips(
        self, clips: np.ndarray, modality: Sequence[Modality], camera_ids: Sequence[Any]
    ) -> np.ndarray:
        """Unit rows."""
        means = clips.astype(np.float64).mean(axis=(1, 3, 4))
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        return (means / np.maximum(lengths, 1e-9)).astype(np.float32)


def drawn_people() -> tuple[Embeddings, list[list[bytes]]]:
    """Three tracklets of each person, with a thumbnail each."""
    rows, vectors, pictures = [], [], []
    for person in range(PEOPLE):
        colour = np.random.default_rng(person).integers(40, 255, 3)
        for camera in (1, 2, "roof"):
            modality = Modality.VISIBLE if camera == 1 else Modality.INFRARED
            time = START + 60.0 * person
            rows.append(Tracklet(f"p{person}/c {camera}", ("f.jpg",), modality, person, camera, time))
            vectors.append(colour / np.linalg.norm(colour))
            buffer = BytesIO()
            Image.new("RGB", (24, 48), tuple(colour.tolist())).save(buffer, "JPEG")
            pictures.append([buffer.getvalue()])
    array = np.array(vectors, dtype=np.float32)
    return Embeddings(array, TrackletSet("drawn", tuple(rows)), MeanColours.fingerprint), pictures


def drawn_calibration() -> Calibration:
    """What distances mean, by people who are a little different each time."""
    dice = np.random.default_rng(0)
    people = np.repeat(np.arange(12), 6)
    vectors = dice.standard_normal((12, 3))[people] + 0.3 * dice.standard_normal((len(people), 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(
        Tracklet(f"c{n}", ("f.jpg",), list(Modality)[n % 2], int(person), n)
        for n, person in enumerate(people)
    )
    drawn = Embeddings(vectors.astype(np.float32), TrackletSet("drawn", rows), MeanColours.fingerprint)
    return calibrate(drawn)


def known_of(embeddings: Embeddings) -> dict[str, list[Any]]:
    """Values of a gallery by the fields in which they are meant."""
    tracklets = embeddings.tracklets.tracklets
    ids = [t.tracklet_id for t in tracklets]
    cameras: list[Any] = [1, 2, "roof", "1"]
    people: list[Any] = [*range(PEOPLE), "0"]
    times = [START - 1.0, START - 1.0, START + 100.0]
    return {
        **dict.fromkeys(("item_id", "item_ids", "right", "wrong"), ids),
        **dict.fromkeys(("cameras", "exclude_cameras", "camera", "exclude_camera"), cameras),
        **dict.fromkeys(("persons", "person_ids", "person"), people),
        **dict.fromkeys(("after", "before"), times),
        "number": [0, 0, 1],
        "offset": [0, 3],
    }


@contextmanager
def service(kind: str, place: Path, seed: int, gallery_at: str = "") -> Iterator[tuple[Any, dict[str, Any]]]:
    """An application, and what `fuzz` is told of it.

    Args:
        kind: "open": no tokens; "guarded": tokens of all roles, an audit log and required reasons; "bare": no
            model.
        place: Of its files.
        seed: Unused tokens differ by it.
        gallery_at: Address of its gallery; "": a folder there.
    """
    embeddings, pictures = drawn_people()
    gallery = Gallery.open(gallery_at or place / "gallery")
    credentials: list[Headers] = []
    settings: dict[str, Any] = {}
    if kind == "guarded":
        file = TokenFile(place / "tokens.json")
        shown = [file.create(f"the {role.value}", role) for role in Role]
        credentials = [[("authorization", f"Bearer {secret}")] for secret in shown] * 3
        credentials += [[], [("authorization", f"Bearer tpt_{seed}")]]
        settings = {"tokens": file.path, "audit": place / "audit.jsonl", "require_reason": True}
    app = create_app(
        ServerSettings(**settings), SearchEngine(gallery, None if kind == "bare" else MeanColours())
    )

    def refill() -> None:
        gallery.upsert(embeddings, thumbnails=pictures)

    refill()
    gallery.set_calibration(drawn_calibration())
    yield app, {"credentials": credentials, "known": known_of(embeddings), "refill": refill}
    gallery.close()


@asynccontextmanager
async def running(app: Any) -> Any:
    """An application between its start and its stop."""
    async with app.router.lifespan_context(app):
        yield app


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=["open", "guarded", "bare"], help="default: a third each")
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else ["open", "guarded", "bare"]
    found = 0

    async def ask(kind: str, place: Path) -> Report:
        with service(kind, place, options.seed) as (app, told):
            async with running(app):
                return await fuzz(app, -(-options.requests // len(kinds)), options.seed, **told)

    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            report = asyncio.run(ask(kind, Path(folder)))
        print(f"== {kind}\n{report.text()}")
        for fault in report.faults[:20]:
            print(f"FAULT {fault}")
        found += len(report.faults)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
