"""`tapetum export` and `encode`, and the commands that take an exported model."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

import tapetum
from tapetum.cli import main
from tapetum.embedding_files import load_embeddings


@pytest.fixture(scope="module")
def answer(run, data) -> str:
    """What `export` prints."""
    out = run.parent / "exported" / "model.onnx"
    out.parent.mkdir()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["export", str(run), "--format", "onnx", "--out", str(out), "--data", data]) == 0
    return said.getvalue()


@pytest.fixture(scope="module")
def exported(run, answer) -> Path:
    """What it wrote."""
    return run.parent / "exported" / "model.onnx"


def test_export_shows_the_parity_and_what_it_wrote(ask, answer, exported, run):
    assert "least cosine" in answer
    assert f"{exported}: small-cnn, model {tapetum.load(run).fingerprint}" in answer
    names = {place.name for place in exported.parent.iterdir()}
    assert names == {"model.onnx", "model.onnx.parity.json", "model.onnx.md"}
    report = json.loads(exported.with_name("model.onnx.parity.json").read_text())
    assert [one["name"] for one in report["comparisons"]] == ["drawn, seed 0", "hitsz-vcm/test"]
    assert "trained on synthetic data" in exported.with_name("model.onnx.md").read_text()
    again = ask("export", run, "--out", exported)
    assert (again.code, "--overwrite" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--format", "torchscript"], 2, "torchscript"),
        (["--precision", "16"], 2, "16"),
        (["--opset", "11"], 1, "opset must be at least 18, found 11"),
    ],
)
def test_what_is_not_offered(ask, run, tmp_path, options, code, message):
    answer = ask("export", run, "--out", tmp_path / "a.onnx", *options)
    assert (answer.code, message in answer.err) == (code, True)
    assert not list(tmp_path.iterdir())


def test_an_exported_model_is_not_exported(ask, exported, tmp_path):
    answer = ask("export", exported, "--out", tmp_path / "a.onnx")
    assert (answer.code, "is exported already" in answer.err) == (1, True)


def test_embed_and_evaluate_take_it_as_the_run(ask, exported, run, data, embeddings, tmp_path):
    assert ask("embed", exported, "--data", data, "--out", tmp_path / "e").code == 0
    found, expected = load_embeddings(tmp_path / "e"), load_embeddings(embeddings)
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-5)
    assert (found.model, found.trained_on) == (expected.model, expected.trained_on)
    summaries = [
        json.loads((place / "embeddings.json").read_text()) for place in (tmp_path / "e", embeddings)
    ]
    assert summaries[0] == summaries[1]
    refused = ask("embed", exported, "--data", data, "--out", tmp_path / "b", "--precision", "bf16")
    assert (refused.code, "computes in precision 32, not bf16" in refused.err) == (1, True)
    corrupted = ask("evaluate", exported, "--data", data, "--corrupt", "gaussian-noise", "--severity", "1")
    assert corrupted.code == 0, corrupted.err


def test_index_and_search_take_it_as_the_run(ask, exported, gallery, data, walkers):
    again = ask("index", exported, "--data", data, "--gallery", gallery)
    assert (again.code, "unchanged" in again.err, "0 new of" in again.out) == (0, True, True), again
    picture = next((walkers / "Test").rglob("*.jpg"))
    found = ask("search", gallery, picture, "--model", exported, "--json")
    assert found.code == 0, found.err
    assert found.json["hits"]


def test_encode_writes_a_row_for_each_path(ask, exported, run, walkers, tmp_path):
    folder = next(path.parent for path in (walkers / "Test").rglob("*.jpg"))
    pictures = sorted(folder.glob("*.jpg"))[:2]
    for number, model in enumerate((exported, run)):
        answer = ask(
            "encode", model, *pictures, folder, "--out", tmp_path / str(number), "--modality", "visible"
        )
        assert answer.code == 0, answer.err
        assert "3 embeddings of" in answer.out
    found, expected = (load_embeddings(tmp_path / str(number)) for number in range(2))
    assert [t.tracklet_id for t in found.tracklets] == [*map(str, pictures), str(folder)]
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-5)
    np.testing.assert_allclose(
        found.vectors, tapetum.load(run).encode([*pictures, folder], modality="visible"), atol=1e-5
    )
    refused = ask("encode", exported, tmp_path / "gone.jpg", "--out", tmp_path / "new")
    assert (refused.code, "gone.jpg: no such file" in refused.err) == (1, True)
    assert not (tmp_path / "new").exists()
