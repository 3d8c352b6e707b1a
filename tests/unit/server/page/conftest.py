"""A small service with the page: people of one grey level each, some with names that would be markup."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tapetum.search import Gallery, SearchEngine
from tapetum.server.app import create_app
from tapetum.server.settings import Limits, ServerSettings
from tapetum.server.tokens import TokenFile
from tapetum.server.users import Role
from tapetum.types import Embeddings, Modality, Preprocessing, Tracklet, TrackletSet

HOSTILE = "<script>alert(1)</script>"
QUOTED = "\"'><img src=x onerror=alert(2)>"
START = 1_772_000_000.0
PEOPLE = 6
ADDRESS = "http://127.0.0.1:8000"


class ByBrightness:
    """A model that knows people by the brightness of their pictures."""

    fingerprint = "model-of-brightness"
    trained_on = "walls"
    preprocessing = Preprocessing(height=16, width=8, frames=2)
    sampling = "uniform"

    def encode_clips(self, clips, modality, camera_ids):
        """The direction of the person whose grey level is nearest."""
        levels = clips.reshape(len(clips), -1).mean(axis=1)
        return np.stack([direction(round((float(level) - 40) / 30)) for level in levels])


def direction(person, turn=0.0):
    """The embedding of a person, turned a little towards the next."""
    vector = np.zeros(PEOPLE + 2, np.float32)
    vector[person % PEOPLE] = np.cos(turn)
    vector[(person + 1) % PEOPLE] = np.sin(turn)
    return vector


def picture(person, visible=True, size=(32, 64)):
    """A JPEG file of a person: one colour, or grey where it is infrared."""
    level = 40 + 30 * person
    colour = (level + 20, level, level - 20) if visible else (level,) * 3
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def name(person, number):
    """Identifier of a tracklet; two of person 0 are markup."""
    return {(0, 1): HOSTILE, (0, 2): QUOTED}.get((person, number), f"walker/{person}-{number}")


def tracklets():
    """Four of each person: two visible, two infrared, by four cameras, an hour apart."""
    cameras = (1, 2, "<b>yard</b>", None)
    for person in range(PEOPLE):
        for number in range(4):
            kind = Modality.VISIBLE if number % 2 == 0 else Modality.INFRARED
            time = None if number == 3 else START + 3600 * number + 60 * person
            yield Tracklet(name(person, number), (), kind, f"p{person}", cameras[number], time)


def filled_gallery():
    """A gallery in memory with all of them."""
    rows = tuple(tracklets())
    vectors = np.stack([direction(n // 4, 0.1 * (n % 4)) for n in range(len(rows))])
    gallery = Gallery.open("memory:")
    pictures = [[picture(n // 4, n % 2 == 0)] * (1 + n % 4) for n in range(len(rows))]
    pictures[-1] = []
    gallery.upsert(
        Embeddings(vectors, TrackletSet("walls", rows), "model-of-brightness"), thumbnails=pictures
    )
    return gallery


@pytest.fixture(scope="session")
def gallery():
    """A gallery that stays as it is."""
    return filled_gallery()


@contextmanager
def asking(gallery, settings, headers=None):
    """A client of a service that runs meanwhile."""
    app = create_app(settings, SearchEngine(gallery, ByBrightness()))
    with TestClient(app, base_url=ADDRESS, follow_redirects=False, headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
def client(gallery):
    """A program on this machine that asks a service without tokens."""
    limits = Limits(requests_per_minute=1e6, requests_at_once=1e6)
    with asking(gallery, ServerSettings(limits=limits)) as found:
        yield found


@pytest.fixture
def fresh():
    """A client with a gallery of its own, which may be erased."""
    own = filled_gallery()
    with asking(own, ServerSettings()) as found:
        yield found, own


@pytest.fixture
def guarded(gallery, tmp_path):
    """A browser that asks a service with tokens, and the secrets of a viewer and of an operator."""
    tokens = TokenFile(tmp_path / "tokens.json")
    secrets = {role: tokens.create(role, Role(role)) for role in ("viewer", "operator")}
    settings = ServerSettings(
        tokens=tmp_path / "tokens.json", audit=tmp_path / "audit.jsonl", require_reason=True
    )
    with asking(gallery, settings, {"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"}) as found:
        yield found, secrets


@pytest.fixture(scope="session")
def drawn():
    """Draws a picture of a person."""
    return picture


@pytest.fixture(scope="session")
def hostile():
    """Identifiers that would be markup."""
    return HOSTILE, QUOTED
