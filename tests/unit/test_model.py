import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import tapetum
from tapetum.errors import CheckpointError
from tapetum.methods._checkpoint import fingerprint, save_method
from tapetum.types import Modality, Tracklet, TrackletSet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, and frames of four pictures."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    method = tapetum.create_method(
        "small-cnn", num_identities=3, num_cameras=2, preset="tiny", height=32, width=16, frames=2
    )
    known = {"label_ids": (7, 8, 9), "camera_ids": ("a", "b")}
    save_method(method, folder / "model.safetensors", **known, extra={"trained_on": "regdb?trial=3"})
    save_method(method, folder / "bare.safetensors")
    rng = np.random.default_rng(0)
    for i in range(4):
        picture = rng.integers(0, 256, (32, 16, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{i}.png")
    return folder, method.eval(), [str(folder / f"{i}.png") for i in range(4)]


def test_a_run_s_folder_and_its_file_are_the_same_model(run):
    folder, method, _ = run
    model = tapetum.load(folder)
    assert model.fingerprint == tapetum.load(str(folder / "model.safetensors")).fingerprint
    assert model.fingerprint == fingerprint(method)
    assert (model.label_ids, model.camera_ids) == ((7, 8, 9), ("a", "b"))
    assert (model.trained_on, tapetum.load(folder / "bare.safetensors").trained_on) == ("regdb?trial=3", "")
    assert not model.method.training
    assert "model.safetensors" in repr(model)


def test_encode_takes_paths_and_tracklets_alike(run):
    folder, method, frames = run
    model = tapetum.load(folder)
    vectors = model.encode(frames)
    assert vectors.shape == (4, method.embedding_dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    tracklets = [Tracklet(f, (f,), Modality.VISIBLE) for f in frames]
    np.testing.assert_allclose(model.encode(TrackletSet("all", tuple(tracklets))), vectors, atol=1e-6)
    np.testing.assert_allclose(model.encode([tracklets[0], *frames[1:]], batch_size=3), vectors, atol=1e-6)
    np.testing.assert_allclose(model.encode(frames[2]), vectors[2:3], atol=1e-6)
    np.testing.assert_allclose(model.encode(tracklets[2], modality="infrared"), vectors[2:3], atol=1e-6)
    assert model.encode([]).shape == (0, method.embedding_dim)


def test_a_folder_of_frames_is_one_row(run):
    folder, _, frames = run
    model = tapetum.load(folder)
    whole = Tracklet("w", tuple(frames), Modality.VISIBLE)
    np.testing.assert_allclose(model.encode([folder]), model.encode([whole]), atol=1e-6)


def test_an_unknown_modality_is_refused(run):
    with pytest.raises(ValueError, match="thermal"):
        tapetum.load(run[0]).encode(run[2], modality="thermal")


def test_where_there_is_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        tapetum.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors: no such file; no run was finished"):
        tapetum.load(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-000000012.safetensors").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"not finished; its last checkpoint is .*step-000000012"):
        tapetum.load(tmp_path)
    with pytest.raises(CheckpointError, match="step-000000012"):
        tapetum.load(tmp_path / "checkpoints" / "step-000000012.safetensors")


def test_names_of_the_package_come_on_first_use():
    program = (
        "import sys, tapetum\n"
        "assert not {'torch', 'numpy', 'pydantic', 'PIL'} & set(sys.modules)\n"
        "assert {'load', 'create_method', 'models'} <= set(dir(tapetum))\n"
        "tapetum.models.load_clip; tapetum.load; tapetum.create_method\n"
        "assert not {'torchvision', 'lightning_fabric', 'matplotlib', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        tapetum.lod  # noqa: B018
