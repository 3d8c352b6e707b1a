import logging
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tapetum.export.graph import _quiet, build_graph, graph_inputs, write_model
from tapetum.methods import create_method
from tapetum.onnx_metadata import digest_of


@pytest.fixture(scope="module")
def mun(case):
    return case.model.method


@pytest.fixture(scope="module")
def graph(case) -> onnx.ModelProto:
    return onnx.load(case.exported.path)


def test_parts_that_only_training_needs_are_absent(mun, graph):
    held = dict(mun.named_parameters())
    assert any(name.startswith("generator.") for name in held)
    assert "network.stems.stems.auxiliary.conv1.weight" in held
    names = " ".join(tensor.name for tensor in graph.graph.initializer)
    assert "network.body" in names
    for absent in ("generator", "prototypes", "auxiliary", "classifier"):
        assert absent not in names
    stored = sum(np.prod(tensor.dims) for tensor in graph.graph.initializer)
    used = [p.numel() for name, p in mun.network.named_parameters() if "auxiliary" not in name]
    assert stored < 1.1 * sum(used)


def test_rows_of_both_modalities_go_their_own_way(case, mun):
    session = onnxruntime.InferenceSession(case.exported.path, providers=["CPUExecutionProvider"])
    shapes = {i.name: i.shape for i in (*session.get_inputs(), *session.get_outputs())}
    assert shapes == {
        "clips": ["clips", "frames", 3, 32, 16],
        "infrared": ["clips"],
        "embeddings": ["clips", 256],
    }
    clips = torch.randn(5, 3, 3, 32, 16, generator=torch.Generator().manual_seed(1))
    infrared = np.array([True, False, False, True, True])
    (found,) = session.run(["embeddings"], {"clips": clips.numpy(), "infrared": infrared})
    with torch.inference_mode():
        seen = ["infrared" if i else "visible" for i in infrared]
        expected = mun.encode(clips, modality=seen).numpy()
        other = mun.encode(clips, modality="visible").numpy()
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(expected - other)[infrared].max() > 1e-3


def test_a_routing_tensor_gives_what_segments_give(mun):
    clips = torch.randn(4, 2, 3, 32, 16, generator=torch.Generator().manual_seed(2))
    infrared = torch.tensor([False, True, True, False])
    with torch.inference_mode():
        expected = mun.encode(clips, modality=["infrared" if i else "visible" for i in infrared])
        torch.testing.assert_close(mun.encode_rows(clips, infrared=infrared), expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="tell which are infrared"):
        mun.encode_rows(clips)


def test_the_digest_is_of_all_before_the_metadata(graph, tmp_path, case):
    about = write_model(graph, case.exported.about, tmp_path / "a.onnx")
    assert digest_of(tmp_path / "a.onnx", about.content_bytes) == (about.content_bytes, about.content_sha256)
    assert about.content_bytes < (tmp_path / "a.onnx").stat().st_size
    assert digest_of(tmp_path / "a.onnx", 10**9)[0] < 10**9
    assert onnx.load(tmp_path / "a.onnx").graph == graph.graph


def test_what_a_graph_reads(mun):
    assert graph_inputs(mun) == ("clips", "infrared")
    plain = create_method("raw-pixels", num_identities=1, num_cameras=1, preset="tiny")
    assert graph_inputs(plain) == ("clips",)


def test_weights_have_to_fit_into_a_file_and_be_at_hand(mun, monkeypatch):
    with pytest.raises(ValueError, match="exported from the processor"):
        build_graph(create_method("small-cnn", num_identities=1, num_cameras=1, preset="tiny").to("meta"))
    monkeypatch.setattr("tapetum.export.graph.LARGEST_BYTES", 1000)
    with pytest.raises(ValueError, match="do not fit into one ONNX file"):
        build_graph(mun)


def test_the_exporter_is_silent_and_loggers_are_as_before(caplog):
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    with _quiet():
        logging.getLogger("torch.onnx.inside").warning("something")
        warnings.warn("something", stacklevel=1)
    assert (caplog.records, logger.level) == ([], before)
