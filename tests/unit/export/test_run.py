import json
import re
import tomllib
from pathlib import Path

import onnx
import pytest
import torch

import tapetum
from tapetum.errors import DataError, ExportParityError, MissingExtraError
from tapetum.export import export_onnx, run
from tapetum.onnx_metadata import OnnxMetadata


def test_the_report_compares_with_drawn_and_real_clips(case):
    report = json.loads(case.exported.report.read_text())
    assert report["format"] == "tapetum-parity"
    assert report["fingerprint"] == case.model.fingerprint
    assert [found["name"] for found in report["comparisons"]] == ["drawn, seed 0", "drawn"]
    assert [found["clips"] for found in report["comparisons"]] == [8, 4]
    assert report["comparisons"][0]["batch_sizes"] == [1, 3, 8]
    assert report["min_cosine"] >= 0.99999
    assert 0 < report["max_abs_difference"] < 1e-5
    assert report["versions"]["torch"] == torch.__version__


def test_the_file_is_one_onnx_model_that_says_what_it_is(case):
    model = onnx.load(case.exported.path)
    onnx.checker.check_model(model)
    said = OnnxMetadata.from_properties({p.key: p.value for p in model.metadata_props}, case.exported.path)
    assert said == case.exported.about
    assert said.fingerprint == case.model.fingerprint
    assert (said.method, said.trained_on, said.embedding_dim) == ("mun", "hitsz-vcm", 256)
    assert (said.preprocessing, said.sampling) == (case.model.preprocessing, case.model.sampling)
    assert (said.camera_ids, said.inputs) == (("gate", 7), ("clips", "infrared"))
    assert said.is_frame_count_free
    assert (said.opset, model.opset_import[0].version) == (18, 18)
    assert said.config["frames"] == 2


def test_no_place_of_this_machine_is_in_the_files(case):
    for file in (case.exported.path, case.exported.report, case.exported.card):
        content = file.read_bytes()
        assert str(Path(tapetum.__file__).parent).encode() not in content
        assert str(case.model.path.parent).encode() not in content


def test_weight_files_are_named_without_their_folder(case):
    config = case.model.method.config
    try:
        case.model.method.config = config.model_copy(update={"weights": "/home/somebody/clip.pt"})
        assert run.describe(case.model, 18).config["weights"] == "clip.pt"
    finally:
        case.model.method.config = config


def test_the_card_says_what_is_known(case):
    card = case.exported.card.read_text()
    for part in (
        "mun, trained on hitsz-vcm",
        "Preset tiny, seed 5",
        "Whether they were synthetic is not known",
        "None: the run holds no scores",
        "academic use",
        "none, it learnt from random ones",
        "`infrared`: bool",
        "`[B, T, 3, 32, 16]`",
        "## Limits",
    ):
        assert part in card


def test_the_card_says_synthetic_and_takes_the_run_s_scores(case, tmp_path):
    from tapetum.export.card import model_card
    from tapetum.export.facts import read_facts

    data = tmp_path / "walkers"
    data.mkdir()
    (data / "walkers.json").write_text("{}")
    (tmp_path / "config.yaml").write_text(f"data: hitsz-vcm:{data}\n")
    row = {"cmc": [0.5, 0.625], "mean_ap": 0.25, "mean_inp": 0.125, "queries": 8.0}
    scores = {
        "protocol": "hitsz-vcm",
        "data": "hitsz-vcm/test",
        "model": case.model.fingerprint,
        "directions": {"I2V": {**row, "chance": None}},
    }
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    facts = read_facts(tmp_path / "model.safetensors", case.model.fingerprint)
    assert facts.synthetic is True
    card = model_card(case.exported.path, case.exported.about, case.exported.parity, facts)
    assert "trained on synthetic data" in card
    assert "these figures say nothing about real ones" in card
    assert "| I2V | 50.0 | 62.5 | 62.5 | 25.0 | 12.5 | 8 |" in card
    with pytest.raises(DataError, match="scores of model"):
        read_facts(tmp_path / "model.safetensors", "another")
    (tmp_path / "scores.json").write_text("[]")
    with pytest.raises(DataError, match="not what `tapetum evaluate --json` writes"):
        read_facts(tmp_path / "model.safetensors", case.model.fingerprint)
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_facts(tmp_path / "model.safetensors", case.model.fingerprint, tmp_path / "none.json")


def test_a_file_that_differs_is_refused_and_nothing_is_left(case, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tapetum.export.graph.build_graph", lambda method, opset: onnx.load(case.exported.path)
    )
    monkeypatch.setattr(
        type(case.model.method),
        "encode",
        lambda self, clips, **sides: torch.eye(clips.shape[0], self.embedding_dim),
    )
    with pytest.raises(ExportParityError, match=r"least cosine.*Nothing was written"):
        export_onnx(case.model, tmp_path / "model.onnx", threads=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("model.pt", {}, ValueError, "NAME.onnx"),
        ("gone/model.onnx", {}, FileNotFoundError, "its folder does not exist"),
        ("model.onnx", {"opset": 17}, ValueError, "at least 18, found 17"),
    ],
)
def test_what_cannot_be_written(case, tmp_path, name, options, error, message):
    with pytest.raises(error, match=message):
        export_onnx(case.model, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["model.onnx", "model.onnx.parity.json", "model.onnx.md"])
def test_files_that_are_there_stay(case, tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{taken} is there already.*--overwrite"):
        export_onnx(case.model, tmp_path / "model.onnx")
    assert (tmp_path / taken).read_text() == "mine"


def test_a_missing_package_is_named(case, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(MissingExtraError, match=r"'onnxscript' is not installed.*tapetum\[export\]"):
        export_onnx(case.model, tmp_path / "model.onnx")


def test_the_list_of_packages_without_torch_is_whole():
    root = Path(__file__).parents[3]
    page = (root / "docs" / "export.md").read_text()
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = [line.split("#")[0].split()[2:] for line in page.splitlines() if line.startswith("pip install")]
    assert lines[0] == ["--no-deps", "tapetum"]
    assert set(lines[1]) == {*names(project["dependencies"]), "onnxruntime"} - {"torch"}
    extras = project["optional-dependencies"]
    assert set(lines[2]) == {*names(extras["serve"]), *names(extras["video"])} - {"tapetum"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~]", text)[0] for text in requirements}
