"""A model that compares pixels, and people as coloured noise: what is scored in an instant."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.methods._checkpoint import fingerprint
from tapetum.methods.raw_pixels import RawPixels, RawPixelsConfig
from tapetum.model import Model
from tapetum.types import Modality, Tracklet, TrackletSet

HEIGHT, WIDTH, FRAMES = 24, 12, 2


@pytest.fixture
def model():
    method = RawPixels(RawPixelsConfig(height=HEIGHT, width=WIDTH, frames=FRAMES), 1, 1).eval()
    return Model(method, fingerprint(method), Path("model.safetensors"))


@pytest.fixture
def make_tracklets(tmp_path):
    """Tracklets of so many people, seen in these modalities by a camera each, two frames a tracklet."""

    def make(people=6, modalities=tuple(Modality)):
        found = []
        for person in range(people):
            looks = np.random.default_rng(person).uniform(0, 255, (HEIGHT, WIDTH, 1))
            for camera, modality in enumerate(modalities, start=1):
                rng = np.random.default_rng([person, camera])
                frames = []
                for number in range(FRAMES):
                    colours = 1 if modality is Modality.INFRARED else 3
                    pixels = looks + rng.normal(0, 400, (HEIGHT, WIDTH, colours))
                    picture = np.broadcast_to(np.clip(pixels, 0, 255), (HEIGHT, WIDTH, 3)).astype(np.uint8)
                    path = tmp_path / f"{person}-{camera}-{number}.png"
                    Image.fromarray(picture).save(path)
                    frames.append(str(path))
                part = "query" if camera == 1 else "gallery"
                name = f"p{person}c{camera}"
                found.append(Tracklet(name, tuple(frames), modality, person, camera, part=part))
        return TrackletSet("manifest/test", tuple(found))

    return make


@pytest.fixture
def tracklets(make_tracklets):
    return make_tracklets()
