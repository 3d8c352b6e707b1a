"""A small run, exported once for all tests."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from tapetum.export import Exported, export_onnx
from tapetum.methods import create_method
from tapetum.methods._checkpoint import save_method
from tapetum.model import Model
from tapetum.types import Modality, Tracklet, TrackletSet

RESNET = {"layers": (1, 1, 1, 1), "width": 8, "non_local": (0, 1, 0, 0)}


class Case(NamedTuple):
    """A run, what was exported of it, and tracklets to ask both for.

    The model has its generator still, as a checkpoint has, which its file has not.
    """

    model: Model
    exported: Exported
    tracklets: TrackletSet


def create_model(folder: Path) -> Model:
    """MUN of random weights, whose modalities have a stem each, and its run's folder."""
    torch.manual_seed(0)
    method = create_method(
        "mun", num_identities=3, num_cameras=2, preset="tiny", height=32, width=16, frames=2, resnet=RESNET
    ).eval()
    with torch.no_grad():  # stems are equal at first
        method.network.stems.stems["infrared"].conv1.weight.mul_(torch.rand(8, 1, 1, 1) * 2 - 1)
    folder.mkdir()
    known = {"camera_ids": ("gate", 7)}
    fingerprint = save_method(
        method, folder / "model.safetensors", extra={"trained_on": "hitsz-vcm"}, **known
    )
    (folder / "config.yaml").write_text("data: hitsz-vcm:/gone\npreset: tiny\ntraining: {seed: 5}\n")
    return Model(method, fingerprint, folder / "model.safetensors", **known, trained_on="hitsz-vcm")


def draw_tracklets(folder: Path, count: int = 4, frames: int = 5) -> TrackletSet:
    """Tracklets of noise, in both modalities and from known and unknown cameras."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    made = []
    for number in range(count):
        paths = [folder / f"{number}-{frame}.png" for frame in range(frames)]
        for path in paths:
            Image.fromarray(generator.integers(0, 256, (32, 16, 3), dtype=np.uint8)).save(path)
        camera, seen = ("gate", 7, "elsewhere", None)[number % 4], list(Modality)[number % 2]
        made.append(Tracklet(str(number), tuple(map(str, paths)), seen, camera_id=camera))
    return TrackletSet("drawn", tuple(made))


@pytest.fixture(scope="session")
def case(tmp_path_factory) -> Case:
    """A method whose modalities have a stem each, and whose frames meet in their mean alone."""
    folder = tmp_path_factory.mktemp("export")
    model = create_model(folder / "run")
    tracklets = draw_tracklets(folder / "pictures")
    return Case(model, export_onnx(model, folder / "model.onnx", data=tracklets, threads=1), tracklets)
