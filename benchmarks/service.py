"""Many clients of one service at once: searches in a second, the slow ones, and errors.

    python benchmarks/service.py [--rows 100000] [--dimension 768] [--clients 32] [--seconds 30]

The application of `tapetum serve` runs in a process of its own, with uvicorn, on a gallery in a folder whose
embeddings are drawn as in `search.py`, and a model that costs next to nothing: the service is measured, not
the model. Each client asks, waits for the answer and asks again: for the twenty tracklets nearest to one of
the gallery, among all or with a filter; or it uploads a new picture and searches by it. The clients are one
other process on the same machine, so they take their share of its processors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tapetum.benchmarking.galleries import CAMERAS, fill
from tapetum.types import Modality, Preprocessing

MODEL = "drawn"
TOP = 20
START_S = 120.0
ANSWER_S = 60.0
_EDGE = "edge-of-a-part"


class Projection:
    """A model: the mean colours of a clip's quarters, turned into as many numbers as embeddings have."""

    fingerprint = MODEL
    preprocessing = Preprocessing(64, 32, 2)
    sampling = "uniform"
    trained_on = ""

    def __init__(self, dimension: int) -> None:
        self._matrix = np.random.default_rng(0).standard_normal((12, dimension)).astype(np.float32)

    def encode_clips(
        self, clips: np.ndarray, modality: Sequence[Modality], camera_ids: Sequence[Any]
    ) -> np.ndarray:
        """Unit rows."""
        count, frames, channels, height, width = clips.shape
        quarters = clips.reshape(count, frames, channels, 2, height // 2, 2, width // 2)
        rows = quarters.mean(axis=(1, 4, 6), dtype=np.float32).reshape(count, 12) @ self._matrix
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass
class Tally:
    """Seconds of the answers by what was asked, and how often which error was met."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)


class Connection:
    """A connection to the service that is kept open: HTTP in few lines, so that clients cost little."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, kind: str = "", body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of an answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        writer.write((head + (f"Content-Type: {kind}\r\n" if kind else "") + "\r\n").encode() + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        found = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return int(first.split()[1]), found

    def close(self) -> None:
        """Let go of the connection; the next question opens another."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


def main() -> None:
    options = parse()
    if options.serve:
        serve(options.gallery, options.dimension)
        return
    folder = options.gallery or Path(tempfile.mkdtemp(prefix="tapetum-service-"))
    try:
        if not (folder / "gallery.json").is_file():
            fill(folder, options.rows, options.dimension)
        with service(folder, options.dimension) as (port, process):
            found = asyncio.run(measure(port, options))
            found["server_peak_mib"] = peak_mib(process.pid)
    finally:
        if options.gallery is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"the service's memory at the highest: {found['server_peak_mib']:.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--uploads", type=float, default=0.2, help="share of searches that upload a picture")
    parser.add_argument("--gallery", type=Path, help="keep the gallery there, or use the one that is there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def serve(folder: Path, dimension: int) -> None:
    """Be the service, until SIGTERM; its port is printed once it answers."""
    from tapetum.search import Gallery, SearchEngine
    from tapetum.server import ServerSettings
    from tapetum.server.app import create_app
    from tapetum.server.running import serve as run

    settings = ServerSettings(port=0)
    engine = SearchEngine(Gallery.open(folder, create=False), Projection(dimension))
    run(create_app(settings, engine), settings, lambda address: print(address, flush=True))


@contextlib.contextmanager
def service(folder: Path, dimension: int) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port of a service in another process, and that process, which is ended."""
    words = [sys.executable, __file__, "--serve", "--gallery", str(folder), "--dimension", str(dimension)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline()
        if not address:
            raise SystemExit("the service did not start")
        yield int(address.rpartition(":")[2]), process
    finally:
        process.terminate()
        try:
            process.wait(START_S)
        except subprocess.TimeoutExpired:
            process.kill()


async def measure(port: int, options: argparse.Namespace) -> dict[str, Any]:
    """Let all clients ask for so many seconds, and tell how it went."""
    connection = Connection(port)
    _, answer = await connection.ask("GET", "/api/v1/info")
    rows = json.loads(answer)["count"]
    warming = Tally()
    for kind in ("item", "filtered", "upload"):  # the first question loads what is held in memory
        await search(connection, kind, rows, random.Random(-1), warming)
    if warming.errors:
        raise SystemExit(f"the service does not answer: {dict(warming.errors)}")
    connection.close()
    tally, began = Tally(), time.perf_counter()
    until = began + options.seconds
    await asyncio.gather(
        *(client(port, number, rows, until, options.uploads, tally) for number in range(options.clients))
    )
    return told(tally, time.perf_counter() - began, rows, options)


async def client(port: int, number: int, rows: int, until: float, uploads: float, tally: Tally) -> None:
    """Ask, wait, ask again."""
    dice, connection = random.Random(number), Connection(port)
    while time.perf_counter() < until:
        kind = "upload" if dice.random() < uploads else dice.choice(["item", "filtered"])
        try:
            async with asyncio.timeout(ANSWER_S):
                await search(connection, kind, rows, dice, tally)
        except (OSError, EOFError, TimeoutError) as error:
            tally.errors[f"{kind}: {type(error).__name__}"] += 1
            connection.close()
    connection.close()


async def search(connection: Connection, kind: str, rows: int, dice: random.Random, tally: Tally) -> None:
    """One search; by a new upload it is two requests, and the time is that of both."""
    wish: dict[str, Any] = {"top": TOP}
    began = time.perf_counter()
    if kind == "upload":
        form, body = upload_of(dice)
        status, answer = await connection.ask("POST", "/api/v1/queries", form, body)
        if status != 201:
            tally.errors[f"{kind}: {status} on the upload"] += 1
            return
        wish["query_ids"] = [json.loads(answer)["query_id"]]
    else:
        wish["item_id"] = f"t{dice.randrange(rows):08d}"
    if kind == "filtered":
        wish["filters"] = {"modality": "infrared", "exclude_cameras": [dice.randrange(CAMERAS)]}
    status, answer = await connection.ask(
        "POST", "/api/v1/search", "application/json", json.dumps(wish).encode()
    )
    took = time.perf_counter() - began
    if status != 200:
        tally.errors[f"{kind}: {status}"] += 1
    elif len(json.loads(answer)["hits"]) != TOP:
        tally.errors[f"{kind}: not {TOP} hits"] += 1
    else:
        tally.seconds[kind].append(took)


def upload_of(dice: random.Random) -> tuple[str, bytes]:
    """A form with a picture of 128x64 pixels that nobody has uploaded before."""
    pixels = np.frombuffer(dice.randbytes(16 * 8 * 3), np.uint8).reshape(16, 8, 3)
    buffer = BytesIO()
    Image.fromarray(pixels).resize((64, 128), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    head = f'--{_EDGE}\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + buffer.getvalue() + f"\r\n--{_EDGE}--\r\n".encode()
    return f"multipart/form-data; boundary={_EDGE}", body


def told(tally: Tally, seconds: float, rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """The result, which is printed too."""
    everything = [s for times in tally.seconds.values() for s in times]
    found: dict[str, Any] = {
        "rows": rows,
        "dimension": options.dimension,
        "clients": options.clients,
        "seconds": seconds,
        "errors": dict(tally.errors),
    }
    for name, times in [*sorted(tally.seconds.items()), ("all", everything)]:
        p50, p99, most = (1000 * float(np.percentile(times, p)) for p in (50, 99, 100))
        rate = len(times) / seconds
        found[name] = {"per_second": rate, "p50_ms": p50, "p99_ms": p99, "max_ms": most}
        print(
            f"{name:10}{rate:8.1f} searches/s   p50 {p50:7.0f} ms   p99 {p99:7.0f} ms   most {most:7.0f} ms"
        )
    print(f"{options.clients} clients, {seconds:.1f} s, {rows} rows; errors: {dict(tally.errors) or 'none'}")
    return found


def peak_mib(process_id: int) -> float:
    """The highest memory of a process so far; 0 where that is not told."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
