"""A tiny model in a file, folders of crops, and an extraction of them in a folder."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from tapetum.methods import create_method
from tapetum.methods._checkpoint import save_method
from tapetum.model import load
from tapetum.scale import open_store, plan_extraction


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """A model that embeds frames of 16x8 pixels, two at a time."""
    return save(tmp_path_factory.mktemp("model") / "model.safetensors", seed=0)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    """Another one."""
    return save(tmp_path_factory.mktemp("other") / "model.safetensors", seed=1)


def save(file, seed):
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        method = create_method(
            "small-cnn", num_identities=2, num_cameras=1, preset="tiny", height=32, width=16, frames=2
        )
    save_method(method.eval(), file)
    return file


@pytest.fixture(scope="session")
def model(model_file):
    """The model."""
    return load(model_file)


def picture(seed, kind="JPEG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((16, 32), Image.Resampling.BICUBIC).save(buffer, kind, quality=95)
    return buffer.getvalue()


@pytest.fixture
def draw():
    """Bytes of a picture file, by a seed."""
    return picture


@pytest.fixture
def crops(tmp_path):
    """Writes a folder of as many tracklets of two frames as asked for; the address of it."""

    def write(count, name="crops"):
        for number in range(count):
            place = tmp_path / name / f"{number:03}"
            place.mkdir(parents=True, exist_ok=True)
            for frame in range(2):
                (place / f"{frame}.jpg").write_bytes(picture(100 * number + frame))
        return f"crops:{tmp_path / name}?modality=visible&name=c"

    return write


@pytest.fixture
def archive(tmp_path):
    """Writes a tar archive of as many samples as asked for; its path."""

    def write(count, name="a.tar"):
        path = tmp_path / name
        with tarfile.open(path, "w") as tar:
            for number in range(count):
                facts = json.dumps({"person_id": number, "modality": "infrared"}).encode()
                for ending, content in (("jpg", picture(number)), ("json", facts)):
                    member = tarfile.TarInfo(f"{number:04}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        return path

    return write


@pytest.fixture
def planned(tmp_path, model, crops):
    """Plans an extraction of some crops into a folder; gives its store and plan."""

    def plan(count=8, *, shard_size=2, out="out", **options):
        store = open_store(tmp_path / out)
        return store, plan_extraction([crops(count)], model, store, shard_size=shard_size, **options)

    return plan
