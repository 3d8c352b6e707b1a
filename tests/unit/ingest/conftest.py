"""Synthetic crops and videos, and an encoder that tells what it was given."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tapetum.types import Modality, Preprocessing

RATE = 10


class Colours:
    """An encoder: the mean colour of a clip, and how many clips it has seen."""

    fingerprint = "colours"
    preprocessing = Preprocessing(16, 8, 2)
    sampling = "uniform"

    def __init__(self):
        self.seen = 0
        self.modalities = []

    def encode_clips(self, clips, modality, camera_ids):
        self.seen += len(clips)
        self.modalities += modality
        assert all(isinstance(m, Modality) for m in modality)
        assert len(modality) == len(camera_ids) == len(clips)
        means = clips.astype(np.float32).mean(axis=(1, 3, 4)) + 1
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def colours():
    return Colours()


def walker(colour, height=48, width=24, seed=0):
    """A picture with texture: two colours and noise; grey where `colour` is None."""
    noise = np.random.default_rng(seed).integers(0, 40, (height, width, 1))
    top, bottom = (colour, colour[::-1]) if colour else ((90, 90, 90), (160, 160, 160))
    pixels = np.empty((height, width, 3))
    pixels[: height // 2], pixels[height // 2 :] = top, bottom
    return (pixels + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def draw():
    """Draws a walker."""
    return walker


@pytest.fixture
def crops(tmp_path):
    """Writes a folder of JPEG crops: folders by name, each with colours of its pictures (None: grey)."""

    def write(name, folders):
        for folder, colours in folders.items():
            place = tmp_path / name / folder
            place.mkdir(parents=True, exist_ok=True)
            for number, colour in enumerate(colours):
                Image.fromarray(walker(colour, seed=number)).save(place / f"{number}.jpg", quality=95)
        return tmp_path / name

    return write


@pytest.fixture
def film(tmp_path):
    """Writes a video and its tracks; `people` is {track: (first, last, left, top, colours by frame)}."""
    av = pytest.importorskip("av")

    def write(name, people, frames=20, size=(96, 160), codec="mpeg4", lines=(), order=1):
        video, tracks = tmp_path / name, tmp_path / f"{name}.txt"
        with av.open(str(video), "w") as container:
            stream = container.add_stream(codec, rate=RATE)
            stream.width, stream.height, stream.pix_fmt = size[1], size[0], "yuv420p"
            stream.time_base = Fraction(1, RATE)
            if codec == "mpeg4":
                stream.bit_rate = 4_000_000
            for number in range(1, frames + 1):
                pixels = np.full((*size, 3), 128, np.uint8)
                for first, last, left, top, colour_of in people.values():
                    if first <= number <= last:
                        _paste(pixels, walker(colour_of(number), seed=number), left, top)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            container.mux(stream.encode())
        rows = [
            f"{number},{track},{left},{top},24,48,1,-1,-1,-1"
            for track, (first, last, left, top, _) in people.items()
            for number in range(first, last + 1)
        ]
        tracks.write_text("\n".join([*rows[::order], *lines]) + "\n")
        return video, tracks

    return write


def _paste(pixels, picture, left, top):
    """Put a picture into another where they overlap."""
    height, width = pixels.shape[:2]
    rows = [y for y in range(48) if 0 <= top + y < height]
    columns = [x for x in range(24) if 0 <= left + x < width]
    if rows and columns:
        pixels[top + rows[0] : top + rows[-1] + 1, left + columns[0] : left + columns[-1] + 1] = picture[
            rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1
        ]
