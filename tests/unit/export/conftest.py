"""A small run with cameras, exported once for all tests."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

import tapetum
from tapetum.export import Exported, export_onnx
from tapetum.methods import create_method
from tapetum.methods._checkpoint import save_method
from tapetum.model import Model
from tapetum.types import Modality, Tracklet, TrackletSet

TINY = {"height": 32, "width": 16, "frames": 2, "weights": "none"}


class Case(NamedTuple):
    """A run, what was exported of it, and tracklets to ask both for."""

    model: Model
    exported: Exported
    tracklets: TrackletSet


def save_run(folder: Path, name: str, seed: int = 0, **changes: object) -> Path:
    """A run's folder with a method of random weights."""
    torch.manual_seed(seed)
    method = create_method(name, num_identities=3, num_cameras=2, preset="tiny", **{**TINY, **changes})
    method.camera_ids = ("gate", 7)
    folder.mkdir(parents=True)
    save_method(method, folder / "model.safetensors", extra={"trained_on": "hitsz-vcm"})
    (folder / "config.yaml").write_text("data: hitsz-vcm:/gone\npreset: tiny\ntraining: {seed: 5}\n")
    return folder


def draw_tracklets(folder: Path, count: int = 4, frames: int = 5) -> TrackletSet:
    """Tracklets of noise, in both modalities and from known and unknown cameras."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    made = []
    for number in range(count):
        paths = [folder / f"{number}-{frame}.png" for frame in range(frames)]
        for path in paths:
            Image.fromarray(generator.integers(0, 256, (32, 16, 3), dtype=np.uint8)).save(path)
        camera = ("gate", 7, "elsewhere", None)[number % 4]
        made.append(Tracklet(str(number), tuple(map(str, paths)), list(Modality)[number % 2], camera_id=camera))
    return TrackletSet("drawn", tuple(made))


@pytest.fixture(scope="session")
def case(tmp_path_factory) -> Case:
    """A method that reads cameras and mixes frames: X-ReID with one block."""
    folder = tmp_path_factory.mktemp("export")
    shape = {"width": 32, "layers": 1, "heads": 2, "patch_size": 8, "image_size": [32, 16], "output_dim": 16}
    model = tapetum.load(save_run(folder / "run", "x-reid", vision=shape, backbone="tiny"))
    tracklets = draw_tracklets(folder / "pictures")
    exported = export_onnx(model, folder / "model.onnx", data=tracklets, threads=1)
    return Case(model, exported, tracklets)
