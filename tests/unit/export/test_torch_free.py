"""Reading, searching, ingesting and exported models in a Python in which torch cannot be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.embedding_files import load_embeddings

NO_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "lightning_fabric"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
"""

WAY = """
import json, sys
from pathlib import Path
import tapetum
from tapetum.cli import main

file, run_folder, folder = map(Path, sys.argv[1:])
model = tapetum.load(file, threads=1)
pictures = sorted((folder / "crops" / "a").iterdir())
vectors = model.encode([str(p) for p in pictures], modality="visible")

def run(*arguments):
    code = main([str(a) for a in arguments])
    assert code == 0, (arguments, code)

query = ["search", folder / "gallery", folder / "crops" / "b", "--model", file]
run("encode", file, *pictures, "--out", folder / "embeddings", "--modality", "visible")
crops = f"crops:{folder / 'crops'}?camera=3"
run("index", file, "--data", crops, "--gallery", folder / "gallery", "--workers", "1")
run(*query, "--rerank", "2")
print("JSON")
run(*query, "--json")
from starlette.testclient import TestClient
from tapetum.search import Gallery, SearchEngine
from tapetum.server.app import create_app
from tapetum.server.settings import ServerSettings

engine = SearchEngine(Gallery.open(str(folder / "gallery"), create=False), model)
with TestClient(create_app(ServerSettings(), engine), base_url="http://127.0.0.1:8000") as client:
    shown = sorted((folder / "crops" / "c").iterdir())
    files = [("files", (p.name, p.read_bytes(), "image/png")) for p in shown]
    asked = client.post("/api/v1/queries", files=files, data={"kind": "tracklet"})
    assert asked.is_success, asked.text
    found = client.post("/api/v1/search", json={"query_ids": [asked.json()["query_id"]], "rerank_head": 2})
    assert found.is_success, found.text
    (folder / "served.json").write_text(found.text)
assert main([str(a) for a in (*query[:-1], run_folder)]) == 1
try:
    tapetum.load(run_folder)
except ImportError as error:
    assert "a run needs torch, which is not installed; what `tapetum export` writes does not" in str(error)
else:
    raise AssertionError
assert not any(name.partition(".")[0] == "torch" for name in sys.modules)
(folder / "vectors.json").write_text(json.dumps(vectors.tolist()))
"""

MODULES = (
    "tapetum.types",
    "tapetum.model",
    "tapetum.data",
    "tapetum.data.datasets",
    "tapetum.search",
    "tapetum.ingest",
    "tapetum.server",
    "tapetum.evaluation",
    "tapetum.evaluation.calibration.files",
    "tapetum.evaluation.ranking.reranking",
    "tapetum.embedding_files",
    "tapetum.cli",
)


def run_without_torch(program: str, *arguments: object) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", NO_TORCH + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=55,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def folder(tmp_path) -> Path:
    """Crops of three people."""
    generator = np.random.default_rng(0)
    for person in "abc":
        (tmp_path / "crops" / person).mkdir(parents=True)
        colours = generator.integers(0, 256, (4, 2, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        for frame in range(3):
            noisy = colours // 2 + generator.integers(0, 100, (32, 16, 3), dtype=np.uint8)
            Image.fromarray(noisy).save(tmp_path / "crops" / person / f"{frame}.png")
    return tmp_path


def test_an_exported_model_encodes_indexes_and_searches_without_torch(case, folder):
    answer = run_without_torch(WAY, case.exported.path, case.model.path.parent, folder)
    found = json.loads(answer.partition("JSON\n")[2])
    assert found["searched"] == 3
    assert found["hits"][0]["tracklet_id"].endswith("b")
    assert found["hits"][0]["similarity"] == pytest.approx(1, abs=1e-5)
    served = json.loads((folder / "served.json").read_text())
    assert served["hits"][0]["item"]["item_id"].endswith("c")
    vectors = np.array(json.loads((folder / "vectors.json").read_text()), dtype=np.float32)
    pictures = sorted(map(str, (folder / "crops" / "a").iterdir()))
    np.testing.assert_allclose(vectors, case.model.encode(pictures, modality="visible"), atol=1e-5)
    embeddings = load_embeddings(folder / "embeddings")
    np.testing.assert_allclose(embeddings.vectors, vectors, atol=1e-6)
    assert embeddings.model == case.model.fingerprint


def test_importing_what_searches_and_serves_needs_no_torch():
    run_without_torch("\n".join(f"import {name}" for name in MODULES))


def test_names_of_the_packages_stay_what_they_are():
    import tapetum.data
    import tapetum.evaluation.evaluate

    assert callable(tapetum.evaluation.evaluate)
    assert sys.modules["tapetum.evaluation.evaluate"].evaluate is tapetum.evaluation.evaluate
    for package in (tapetum.evaluation, tapetum.data):
        assert all(getattr(package, name) is not None for name in package.__all__)
        assert {name for names in package._HOMES.values() for name in names} <= set(package.__all__)
        assert not hasattr(package, "nothing")
