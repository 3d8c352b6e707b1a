"""Every method as an ONNX file: a new method is tested by being there."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tapetum.export.graph import build_graph
from tapetum.methods import create_method, method_names

TRAINING_ONLY = ("classifier", "prompts", ".text.", "text.", "generator", "prototypes", "memory", "auxiliary")


def build(name: str):
    torch.manual_seed(0)
    return create_method(name, num_identities=4, num_cameras=2, preset="tiny", weights="none").eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", method_names())
def test_every_method_runs_as_onnx_on_any_number_of_clips(name):
    method = build(name)
    graph = build_graph(method)
    onnx.checker.check_model(graph)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    size = method.preprocessing
    lengths = [size.frames] if method.mixes_frames else [size.frames, 1, 4]
    for rows, frames in [(1, lengths[0]), *((5, length) for length in lengths)]:
        clips = pictures(rows, frames, size)
        infrared = np.arange(rows) % 2 == 1
        cameras = np.arange(rows, dtype=np.int64) % 3 - 1
        given = {"clips": clips, "infrared": infrared, "cameras": cameras}
        asked = {i.name: given[i.name] for i in session.get_inputs()}
        (found,) = session.run(["embeddings"], asked)
        expected = encode(method, clips, infrared, cameras)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert (found * expected).sum(axis=1).min() > 0.99999
    assert_lean(graph, method)


def pictures(rows: int, frames: int, size) -> np.ndarray:
    """Normalised clips of coarse pictures."""
    generator = np.random.default_rng(rows + frames)
    coarse = generator.integers(0, 256, (rows, frames, 3, 4, 4), dtype=np.uint8)
    return size.normalise(coarse.repeat(size.height // 4, axis=3).repeat(size.width // 4, axis=4))


def encode(method, clips, infrared, cameras) -> np.ndarray:
    with torch.inference_mode():
        seen = ["infrared" if i else "visible" for i in infrared]
        known = [method.camera_ids[c] if c >= 0 else None for c in cameras]
        return method.encode(torch.from_numpy(clips), modality=seen, camera_ids=known).numpy()


def assert_lean(graph: onnx.ModelProto, method) -> None:
    """Nothing in the file that `encode` does not read, and no place of this machine."""
    names = [tensor.name for tensor in graph.graph.initializer]
    bank = {name for name in names if name.endswith("text_bank")}  # of LSMRL, which semantic diffusion reads
    for name in set(names) - bank:
        assert not any(part in name for part in TRAINING_ONLY), name
    assert b"site-packages" not in graph.SerializeToString()
