"""`tapetum.load` of an exported file: the face of a run, and files that are not what they should be."""

import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest

import tapetum
from tapetum.errors import CheckpointError, ExportedModelError, MissingExtraError
from tapetum.model import OnnxModel
from tapetum.types import TrackletSet

FACE = ("fingerprint", "name", "preprocessing", "sampling", "embedding_dim", "trained_on")


@pytest.fixture(scope="module")
def exported(case) -> OnnxModel:
    return tapetum.load(str(case.exported.path), threads=1)


def test_it_says_of_itself_what_the_run_says(case, exported):
    for name in FACE:
        assert getattr(exported, name) == getattr(case.model, name), name
    assert exported.path == case.exported.path
    assert (exported.camera_ids, exported.label_ids) == (("gate", 7), ())
    assert repr(exported).startswith("OnnxModel(")


@pytest.mark.parametrize("options", [{}, {"batch_size": 3}, {"sampling": "dense"}, {"flip": True}])
def test_embeddings_are_those_of_the_run(case, exported, options):
    seen = []
    expected = case.model.embed(case.tracklets, **options)
    found = exported.embed(case.tracklets, **options, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-5)
    assert (found.model, found.trained_on, found.tracklets) == (expected.model, "hitsz-vcm", case.tracklets)
    assert seen[-1] == (4, 4)


def test_paths_and_tracklets_are_encoded_as_by_the_run(case, exported):
    paths = [t.frames[0] for t in case.tracklets]
    found = exported.encode(paths, 3, modality="visible")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, case.model.encode(paths, modality="visible"), atol=1e-5)
    np.testing.assert_allclose(
        exported.encode(case.tracklets[1]), case.model.encode(case.tracklets[1]), atol=1e-5
    )
    assert exported.encode([]).shape == (0, exported.embedding_dim)
    assert exported.embed(TrackletSet("none", ()), flip=True).vectors.shape == (0, exported.embedding_dim)


def test_clips_are_checked(case, exported):
    size = exported.preprocessing
    clips = np.zeros((2, size.frames, 3, size.height, size.width), dtype=np.uint8)
    seen = ["visible", "infrared"]
    assert exported.encode_clips(clips, seen, [7, None]).shape == (2, exported.embedding_dim)
    assert exported.encode_clips(clips[:0], [], []).shape == (0, exported.embedding_dim)
    assert exported.encode_clips(clips[:, :1], seen, [7, None]).shape == (2, exported.embedding_dim)
    with pytest.raises(
        ValueError, match=r"clips of shape \[2, 2, 3, 30, 16\] uint8: expected uint8 \[B, 2, 3, 32, 16\]"
    ):
        exported.encode_clips(clips[..., :30, :], seen, [7, None])
    with pytest.raises(ValueError, match="float32: expected uint8"):
        exported.encode_clips(clips.astype(np.float32), seen, [7, None])
    with pytest.raises(ValueError, match="2 modalities and 1 camera_ids for 2 clips"):
        exported.encode_clips(clips, seen, [7])


class Session:
    """Keeps what it is asked for."""

    def run(self, outputs, given):
        self.given = given
        return [np.zeros((len(given["clips"]), 4), dtype=np.float32)]


def test_cameras_are_told_by_their_place_and_a_clip_has_its_length(case):
    about = replace(
        case.exported.about, inputs=("clips", "cameras"), camera_ids=("gate", 7), is_frame_count_free=False
    )
    model = OnnxModel(about, case.exported.path, session := Session())
    clips = np.full((3, 2, 3, 32, 16), 128, dtype=np.uint8)
    model.encode_clips(clips, ["visible"] * 3, [7, "elsewhere", None])
    assert set(session.given) == {"clips", "cameras"}
    assert (session.given["cameras"].tolist(), session.given["cameras"].dtype) == ([1, -1, -1], np.int64)
    np.testing.assert_array_equal(session.given["clips"], about.preprocessing.normalise(clips))
    with pytest.raises(ValueError, match=r"expected uint8 \[B, 2, 3, 32, 16\]"):
        model.encode_clips(clips[:, :1], ["visible"] * 3, [7, 7, 7])
    strict = OnnxModel(replace(about, unknown_camera="error"), case.exported.path, session)
    strict.encode_clips(clips[:1], ["visible"], ["gate"])
    with pytest.raises(
        ValueError, match="camera 'elsewhere' is not among those of the training data: gate, 7"
    ):
        strict.encode_clips(clips[:1], ["visible"], ["elsewhere"])


def test_what_only_a_run_can_do_is_refused_by_name(exported, case):
    with pytest.raises(ExportedModelError, match=r"model\.onnx: an exported model has no torch Module"):
        exported.method  # noqa: B018
    assert not hasattr(exported, "method")
    with pytest.raises(ExportedModelError, match="precision 32, not bf16"):
        exported.embed(case.tracklets, precision="bf16")


def test_where_it_runs(case):
    with pytest.raises(ValueError, match="runs on the processor, not on cuda"):
        tapetum.load(case.exported.path, device="cuda")
    with pytest.raises(ValueError, match="threads must be at least 1, found 0"):
        tapetum.load(case.exported.path, threads=0)
    with pytest.raises(ValueError, match="threads are told to exported models only"):
        tapetum.load(case.model.path, threads=1)


def changed(case, place, **properties):
    """A copy of the file with other metadata; None removes one."""
    model = onnx.load(case.exported.path)
    kept = {p.key: p.value for p in model.metadata_props}
    kept.update(properties)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {name: value for name, value in kept.items() if value is not None})
    onnx.save(model, place)
    return place


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"format": None}, "without the metadata that `tapetum export` writes"),
        ({"format": "other"}, "without the metadata that `tapetum export` writes"),
        ({"format_version": "2"}, "format version '2'; this version of tapetum reads up to 1"),
        ({"format_version": "new"}, "format version 'new'"),
        ({"fingerprint": None}, "damaged metadata: 'fingerprint'"),
        ({"embedding_dim": "many"}, "damaged metadata"),
        ({"embedding_dim": "true"}, "damaged metadata: embedding_dim is true; expected int"),
        ({"preprocessing": "{}"}, "damaged metadata"),
        ({"content_sha256": "0"}, "does not match its digest"),
    ],
)
def test_files_with_other_metadata(case, tmp_path, properties, message):
    with pytest.raises(CheckpointError, match=rf"a\.onnx: .*{message}"):
        tapetum.load(changed(case, tmp_path / "a.onnx", **properties))


def test_files_that_are_not_whole(case, tmp_path):
    content = case.exported.path.read_bytes()
    about = case.exported.about
    for length in (0, 10, len(content) // 2, about.content_bytes, len(content) - 1):
        (tmp_path / "a.onnx").write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"a\.onnx"):
            tapetum.load(tmp_path / "a.onnx")


def test_a_file_whose_weights_were_altered(case, tmp_path):
    content = bytearray(case.exported.path.read_bytes())
    model = onnx.load(case.exported.path)
    weights = max((t.raw_data for t in model.graph.initializer), key=len)
    place = content.index(weights) + len(weights) // 2
    content[place] ^= 1
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.onnx: the content does not match its digest"):
        tapetum.load(tmp_path / "a.onnx")


def test_files_that_are_not_there(tmp_path, case, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"none\.onnx: no such file"):
        tapetum.load(tmp_path / "none.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors: no such file; no run was finished"):
        tapetum.load(tmp_path / "folder.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match="'onnxruntime' is not installed"):
        tapetum.load(case.exported.path)
