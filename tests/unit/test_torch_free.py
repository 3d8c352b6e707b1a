"""Reading, searching, ingesting and exported models in a Python in which torch cannot be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tapetum
from tapetum.embedding_files import load_embeddings
from tapetum.export import export_onnx
from tapetum.methods import create_method
from tapetum.methods._checkpoint import save_method

SMALL = {"layers": (1, 1, 1, 1), "width": 8, "non_local": (0, 0, 0, 0)}

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
from tapetum.cli import main

folder = Path(sys.argv[1])
import tapetum
model = tapetum.load(folder / "model.onnx", threads=1)
pictures = sorted((folder / "crops" / "a").iterdir())
vectors = model.encode([str(p) for p in pictures], modality="visible")

def run(*arguments):
    code = main([str(a) for a in arguments])
    assert code == 0, (arguments, code)

run("encode", folder / "model.onnx", *pictures, "--out", folder / "embeddings", "--modality", "visible")
run("index", folder / "model.onnx", "--data", f"crops:{folder / 'crops'}?camera=3", "--gallery", folder / "gallery",
    "--workers", "1")
run("search", folder / "gallery", folder / "crops" / "a", "--model", folder / "model.onnx", "--rerank", "2")
print("JSON")
run("search", folder / "gallery", folder / "crops" / "b", "--model", folder / "model.onnx", "--json")
assert main(["search", str(folder / "gallery"), str(folder / "crops" / "b"), "--model", str(folder / "run")]) == 1
try:
    tapetum.load(folder / "run")
except ImportError as error:
    assert "a run needs torch, which is not installed; what `tapetum export` writes does not" in str(error)
else:
    raise AssertionError
assert not any(name.partition(".")[0] == "torch" for name in sys.modules)
(folder / "vectors.json").write_text(json.dumps(vectors.tolist()))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run, what was exported of it, and crops of three people."""
    place = tmp_path_factory.mktemp("free")
    (place / "run").mkdir()
    method = create_method("agw", num_identities=2, num_cameras=1, preset="tiny", height=32, width=16, resnet=SMALL)
    save_method(method.eval(), place / "run" / "model.safetensors")
    export_onnx(tapetum.load(place / "run"), place / "model.onnx", threads=1)
    generator = np.random.default_rng(0)
    for person in "abc":
        (place / "crops" / person).mkdir(parents=True)
        colours = generator.integers(0, 256, (4, 2, 3), dtype=np.uint8)
        for frame in range(3):
            noisy = colours.repeat(8, axis=0).repeat(8, axis=1) // 2 + generator.integers(0, 100, (32, 16, 3))
            Image.fromarray(noisy.astype(np.uint8)).save(place / "crops" / person / f"{frame}.png")
    return place


def run_without_torch(program: str, *arguments: object) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", NO_TORCH + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=50,
        env=environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_an_exported_model_encodes_indexes_and_searches_without_torch(folder):
    answer = run_without_torch(WAY, folder)
    found = json.loads(answer.partition("JSON\n")[2])
    assert found["hits"][0]["tracklet_id"].endswith("b")
    assert found["hits"][0]["similarity"] == pytest.approx(1, abs=1e-5)
    assert found["searched"] == 3
    vectors = np.array(json.loads((folder / "vectors.json").read_text()), dtype=np.float32)
    pictures = sorted(map(str, (folder / "crops" / "a").iterdir()))
    model = tapetum.load(folder / "run")
    np.testing.assert_allclose(vectors, model.encode(pictures, modality="visible"), atol=1e-5)
    embeddings = load_embeddings(folder / "embeddings")
    np.testing.assert_allclose(embeddings.vectors, vectors, atol=1e-6)
    assert embeddings.model == model.fingerprint


MODULES = (
    "tapetum.types",
    "tapetum.model",
    "tapetum.data",
    "tapetum.data.datasets",
    "tapetum.search",
    "tapetum.ingest",
    "tapetum.evaluation",
    "tapetum.evaluation.calibration.files",
    "tapetum.embedding_files",
    "tapetum.cli",
)


def test_importing_what_searches_and_serves_needs_no_torch():
    served = [m for m in ("tapetum.server",) if (Path(tapetum.__file__).parent / "server" / "__init__.py").exists()]
    imports = "\n".join(f"import {name}" for name in (*MODULES, *served))
    run_without_torch(imports + "\nassert 'torch' not in sys.modules")


def test_names_of_the_packages_stay_what_they_are():
    program = (
        "import tapetum.evaluation.evaluate, tapetum.evaluation as e, tapetum.data as d\n"
        "assert callable(e.evaluate) and e.evaluate.__module__ == 'tapetum.evaluation.evaluate'\n"
        "assert all(getattr(e, name) is not None for name in e.__all__)\n"
        "assert all(getattr(d, name) is not None for name in d.__all__)\n"
        "from tapetum.data import loading\n"
        "for package in (e, d):\n"
        "    assert {n for names in package._HOMES.values() for n in names} <= set(package.__all__)\n"
        "    assert not hasattr(package, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=50)
