"""A browser, and a service with drawn walkers to point it at.

The walkers' embeddings are drawn around a direction for each person; the model looks up which of the drawn
pictures an upload is nearest to, so that every answer is known.
"""

import io
import re
import shutil
import socket
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.types import Embeddings, Modality, Preprocessing, Tracklet, TrackletSet

PEOPLE, CALIBRATED_ON, DIM = 10, 40, 16
NOON = 1_772_020_800.0
SIZE = (192, 96)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Walkers:
    """What the service holds, and pictures to search by.

    Attributes:
        embeddings: Of the gallery.
        thumbnails: Of each of its tracklets.
        background: Embeddings to calibrate on.
        query: Files of a tracklet of person 0 that is not in the gallery.
        model: Knows all of the pictures.
    """

    embeddings: Embeddings
    thumbnails: list[list[bytes]]
    background: Embeddings
    query: list[bytes]
    model: "NearestPicture"


class NearestPicture:
    """A model that gives a picture the embedding of the drawn picture that it is nearest to."""

    fingerprint = "walkers-1"
    trained_on = "drawn walkers"
    preprocessing = Preprocessing(height=32, width=16, frames=4)
    sampling = "uniform"

    def __init__(self, pictures, vectors):
        self._pictures = np.stack([small(picture) for picture in pictures])
        self._vectors = np.stack(vectors)

    def encode_clips(self, clips, modality, camera_ids):
        """Embeddings of clips, by their mean frame."""
        means = clips.astype(np.float32).mean(axis=1).transpose(0, 2, 3, 1)
        far = ((means[:, None] - self._pictures[None]) ** 2).sum(axis=(2, 3, 4))
        return self._vectors[far.argmin(axis=1)]


def small(picture):
    """A picture at the model's size."""
    image = Image.fromarray(picture).resize((16, 32), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)


def as_jpeg(picture):
    """A JPEG file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def drawn_tracklets():
    """Plan and four frames of tracklets of ten people, three of each modality."""
    from tapetum.data.synthetic.options import WalkerOptions
    from tapetum.data.synthetic.population import Population

    options = WalkerOptions(
        difficulty="easy", frame_size=SIZE, tracklets_per_modality=(3, 3), short_tracklet_share=0.0
    )
    population = Population(5, 2 + PEOPLE, options, test_identities=PEOPLE)
    for plan in population.plan("test"):
        shorter = replace(plan, frame_numbers=plan.frame_numbers[:4])
        yield plan, population.render(shorter)


def vectors_of(count, rng, middles):
    """Embeddings scattered about people's directions."""
    rows = middles[np.asarray(count)] + 0.62 * rng.standard_normal((len(count), DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def walkers():
    """Ten people, six tracklets of each, but for the one that is searched by."""
    rng = np.random.default_rng(3)
    middles = rng.standard_normal((CALIBRATED_ON, DIM))
    drawn = list(drawn_tracklets())
    vectors = vectors_of([plan.index for plan, _ in drawn], rng, middles)
    rows, pictures, known = [], [], []
    for number, (plan, frames) in enumerate(drawn):
        hour = rng.uniform(-4, 5) if plan.modality is Modality.VISIBLE else rng.uniform(8, 15)
        name = f"{plan.index:04}/c{plan.camera_id}/{number:03}"
        rows.append(Tracklet(name, (), plan.modality, None, plan.camera_id, NOON + 3600 * hour))
        pictures.append([as_jpeg(frame) for frame in frames])
        known += [(frame, vectors[number]) for frame in (*frames, frames.mean(axis=0).astype(np.uint8))]
    kinds = list(Modality)
    people = np.arange(6 * CALIBRATED_ON) % CALIBRATED_ON
    other = tuple(
        Tracklet(f"b{n}", (), kinds[n // CALIBRATED_ON % 2], int(p), n // CALIBRATED_ON)
        for n, p in enumerate(people)
    )
    background = Embeddings(vectors_of(people, rng, middles), TrackletSet("others", other), "walkers-1")
    return Walkers(
        Embeddings(vectors[1:], TrackletSet("walkers", tuple(rows[1:])), "walkers-1"),
        pictures[1:],
        background,
        pictures[0],
        NearestPicture(*zip(*known, strict=True)),
    )


@pytest.fixture(scope="session")
def address(walkers):
    """Address of a service that runs in a thread as long as the tests."""
    uvicorn = pytest.importorskip("uvicorn")
    from tapetum.evaluation import calibrate
    from tapetum.search import Gallery, SearchEngine
    from tapetum.server.app import create_app
    from tapetum.server.settings import ServerSettings

    gallery = Gallery.open("memory:")
    gallery.upsert(walkers.embeddings, thumbnails=walkers.thumbnails)
    engine = SearchEngine(gallery, walkers.model, calibrate(walkers.background))
    app = create_app(ServerSettings(), engine)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=2))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        assert server.started
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def case(walkers, address):
    """Where an answer to the pictures to search by is shown."""
    import httpx

    with httpx.Client(base_url=address, headers={"HX-Request": "true"}) as client:
        files = [("files", (f"{number}.jpg", content)) for number, content in enumerate(walkers.query)]
        query = re.search(r'name="query_id" value="([^"]+)"', client.post("/upload", files=files).text)
        asked = {"query_id": query.group(1), "reason": "case 2031 <missing> & sought"}
        return client.post("/search", data=asked).headers["HX-Push-Url"]


@pytest.fixture(scope="module")
def browser():
    """Chromium with an empty profile. It ends with each file: its event loop is in the way of other tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs a chromium browser")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=FLAGS, timeout=30_000)
        yield started
        started.close()


@pytest.fixture
def opened(browser, address):
    """Opens a page; complaints of the browser, and requests to others, fail the test."""
    contexts, complaints = [], []

    def open_page(path="/", width=1280, height=860, tolerated=None, **wishes):
        context = browser.new_context(
            base_url=address,
            viewport={"width": width, "height": height},
            locale="en-GB",
            timezone_id="Asia/Kolkata",
            **wishes,
        )
        context.set_default_timeout(25_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: is_complaint(said, tolerated) and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: is_own(asked.url, address) or complaints.append(asked.url))
        page.goto(path, wait_until="domcontentloaded")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def is_complaint(said, tolerated):
    """Whether the browser warns of something that was not expected."""
    return said.type in ("error", "warning") and (tolerated is None or tolerated not in said.text)


def is_own(url, address):
    """Whether a request stays with the service."""
    return url.startswith((f"{address}/", "data:", "blob:"))


@pytest.fixture
def pictures(walkers, tmp_path) -> list[Path]:
    """Files of the tracklet to search by."""
    files = [tmp_path / f"frame{number}.jpg" for number in range(len(walkers.query))]
    for path, content in zip(files, walkers.query, strict=True):
        path.write_bytes(content)
    return files
