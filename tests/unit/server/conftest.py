"""A small gallery in which every answer is known, and a model that sees colours alone."""

import io
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tapetum.search import Gallery, SearchEngine
from tapetum.server.app import create_app
from tapetum.server.settings import ServerSettings
from tapetum.server.tokens import TokenFile
from tapetum.server.users import Role
from tapetum.types import Embeddings, Modality, Preprocessing, Tracklet, TrackletSet

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 220, 30),
    "blue": (30, 30, 220),
    "yellow": (220, 220, 30),
}
"""One person each."""


START = 1_700_000_000.0
"""Unix time of the first."""


def make_file(colour="red", size=(24, 48), form="JPEG", **saving) -> bytes:
    """A picture's file; `colour` is a name or three numbers."""
    buffer = io.BytesIO()
    Image.new("RGB", size, COLOURS.get(colour, colour)).save(buffer, form, **saving)
    return buffer.getvalue()


class ColourModel:
    """The mean colour of a clip is its embedding."""

    fingerprint = "colours"
    preprocessing = Preprocessing(32, 16, 2)
    sampling = "chunk-first"
    trained_on = "crayons"

    def __init__(self):
        self.batches = []
        self.go = threading.Event()
        self.go.set()
        self.busy = False
        """Whether clips are with it."""

    def encode_clips(self, clips, modality, camera_ids):
        self.busy = True
        assert self.go.wait(20)
        self.busy = False
        self.batches.append(len(clips))
        if (clips.reshape(len(clips), -1) == 7).all(axis=1).any():
            raise RuntimeError("the model does not like sevens")
        means = clips.astype(np.float64).mean(axis=(1, 3, 4))
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        return (means / np.maximum(lengths, 1e-9)).astype(np.float32)

    def encode(self, items):
        raise AssertionError("pictures go through the queue")


def make_embeddings() -> Embeddings:
    """Three tracklets of each person: camera 1 by day, 2 and "roof" by night, some seconds apart."""
    rows, vectors = [], []
    for person, (name, colour) in enumerate(COLOURS.items()):
        for number, camera in enumerate((1, 2, "roof")):
            modality = Modality.INFRARED if number else Modality.VISIBLE
            frames = (f"/secret/{name}/{number}.jpg",) * 3
            time = START + person * 100.0 + number
            rows.append(Tracklet(f"{name}/{number}", frames, modality, person, camera, time))
            vectors.append(np.array(colour) + 8.0 * number)
    array = np.array(vectors, dtype=np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return Embeddings(array, TrackletSet("crayons", tuple(rows)), "colours")


@pytest.fixture
def model() -> ColourModel:
    return ColourModel()


@pytest.fixture
def gallery() -> Gallery:
    place = Gallery.open("memory:")
    embeddings = make_embeddings()
    pictures = [[make_file(t.tracklet_id.split("/")[0])] * 2 for t in embeddings.tracklets]
    place.upsert(embeddings, thumbnails=pictures)
    return place


@pytest.fixture
def picture():
    """Makes the file of a picture."""
    return make_file


@pytest.fixture
def serve(gallery, model):
    """Serves the gallery: a context with a client of it; values are of `ServerSettings`."""

    @contextmanager
    def serving(*, has_model=True, **values):
        engine = SearchEngine(gallery, model if has_model else None)
        app = create_app(ServerSettings(**values), engine)
        with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
            yield client

    return serving


@pytest.fixture
def client(serve):
    """A client of a service without tokens."""
    with serve() as client:
        yield client


@pytest.fixture
def tokens(tmp_path):
    """A file with a token of each role, and the headers that show them."""
    file = TokenFile(tmp_path / "tokens.json")
    secrets = {role.value: file.create(f"the {role.value}", role) for role in Role}
    return file, {role: {"Authorization": f"Bearer {secret}"} for role, secret in secrets.items()}


@pytest.fixture
def upload(picture):
    """Uploads pictures of these colours, and gives the query's id."""

    def uploading(client, *colours, headers=None, **fields):
        files = [("files", (f"{n}.jpg", picture(colour), "image/jpeg")) for n, colour in enumerate(colours)]
        answer = client.post("/api/v1/queries", files=files, data=fields, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["query_id"]

    return uploading
